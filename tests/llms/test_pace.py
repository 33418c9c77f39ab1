"""Adaptive concurrency: growth and cuts."""

from __future__ import annotations

from llm_tester.llms.pace import Outcome, Pace


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
    pace = Pace(20, start=4)
    for _ in range(10):
        number = pace.start()
        assert number is not None
        pace.settle(number, "good")
    assert pace.limit == 4
    for _ in range(30):
        wave(pace, "good")
    assert 4 < pace.limit <= 20


def test_one_wave_of_refusals_is_one_cut() -> None:
    pace = Pace(100, start=100)
    assert wave(pace, "limited") == 100
    assert (pace.limit, pace.in_flight) == (70, 0)
    wave(pace, "limited")
    assert pace.limit == 49


def test_it_never_falls_below_one() -> None:
    pace = Pace(2, start=4)
    for _ in range(20):
        wave(pace, "limited")
    assert pace.limit == 1


def test_failures_of_the_provider_stop_growth() -> None:
    pace = Pace(50, start=4)
    for _ in range(5):
        wave(pace, "failed")
    assert pace.limit == 4
