"""Adaptive concurrency: growth, cuts and pauses, in simulated time."""

from __future__ import annotations

import math

from llm_tester.llms.pace import Outcome, Pace


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def fill(pace: Pace) -> list[int]:
    numbers = []
    while (number := pace.start()) is not None:
        numbers.append(number)
    return numbers


def wave(pace: Pace, outcome: Outcome) -> int:
    numbers = fill(pace)
    for number in numbers:
        pace.settle(number, outcome)
    return len(numbers)


def test_it_grows_only_when_full_and_up_to_its_size() -> None:
    pace = Pace(20, clock=Clock())
    for _ in range(10):
        number = pace.start()
        assert number is not None
        pace.settle(number, "good")
    assert pace.limit == 4
    for _ in range(30):
        wave(pace, "good")
    assert 4 < pace.limit <= 20


def test_one_wave_of_refusals_is_one_cut() -> None:
    pace = Pace(100, start=100, clock=Clock())
    assert wave(pace, "limited") == 100
    assert (pace.limit, pace.in_flight) == (70, 0)
    wave(pace, "limited")
    assert pace.limit == 49


def test_it_never_falls_below_one() -> None:
    pace = Pace(2, clock=Clock())
    for _ in range(20):
        wave(pace, "limited")
    assert pace.limit == 1


def test_failures_of_the_provider_stop_growth() -> None:
    pace = Pace(50, clock=Clock())
    for _ in range(5):
        wave(pace, "failed")
    assert pace.limit == 4


def test_a_pause_holds_the_whole_lane_and_is_never_shortened() -> None:
    clock = Clock()
    pace = Pace(8, clock=clock)
    number = pace.start()
    assert number is not None
    pace.settle(number, "limited", retry_after=30)
    for seconds in (-1, 5, math.inf, math.nan):
        pace.pause(seconds)
    assert (pace.start(), pace.wait()) == (None, 30)
    clock.now = 30
    assert pace.wait() == 0
    assert pace.start() is not None
