"""What a provider allows, as it is configured, told or found out: real calls of a run, by a clock that skips waits."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from llm_tester.llms.learned_rate import SLOWEST, LearnedRate
from llm_tester.llms.rates import Bucket, Quota
from tests.llms.virtual_time import Acme, Patient, in_virtual_time, in_whole_seconds, never

Phase = tuple[float, float]
Says = Callable[[float], float | None]


async def ride(provider: Acme, phases: Sequence[Phase]) -> list[tuple[float, float]]:
    """For each (requests per second, seconds): the part that was used, and attempts per answer."""
    manager = provider.manager(patience=Patient())
    over = asyncio.Event()

    async def work() -> None:
        while not over.is_set():
            await manager.arespond(provider.request("hi", "m"))

    workers = [asyncio.create_task(work()) for _ in range(provider.config.max_connections)]
    for per_second, seconds in phases:
        provider.allow(per_second)
        await asyncio.sleep(seconds)
    over.set()
    for worker in workers:
        worker.cancel()
    ended = await asyncio.gather(*workers, return_exceptions=True)
    assert all(one is None or isinstance(one, asyncio.CancelledError) for one in ended)
    return _figures(provider, phases)


def _figures(provider: Acme, phases: Sequence[Phase]) -> list[tuple[float, float]]:
    figures, begin = [], 0.0
    for per_second, seconds in phases:
        sent = [passed for at, passed in provider.sent if begin <= at < begin + seconds]
        figures.append((sum(sent) / (per_second * seconds), len(sent) / max(1, sum(sent))))
        begin += seconds
    return figures


def storm(phases: Sequence[Phase], **provider: Any) -> list[tuple[float, float]]:
    async def main(clock: Callable[[], float]) -> list[tuple[float, float]]:
        return await ride(Acme(clock, **provider), phases)

    return in_virtual_time(main)


@pytest.mark.parametrize("says_when", [float, never])
@pytest.mark.parametrize("latency", [0.05, 1.0])
def test_a_storm_of_refusals_is_ridden_at_nearly_the_rate_that_is_allowed(latency: float, says_when: Says) -> None:
    before, after = storm([(50, 12), (10, 20)], latency=latency, says_when=says_when)
    assert before[0] >= 0.85
    assert after[0] >= 0.85
    # Refused attempts are the price of finding out.
    assert before[1] < 1.15
    assert after[1] < 1.2


@pytest.mark.parametrize("says_when", [float, never, in_whole_seconds, lambda wait: 2.0])
@pytest.mark.parametrize("burst", [0, 5, 1])
def test_a_limit_is_found_where_refusals_cost_pauses_or_little_passes_at_once(burst: int, says_when: Says) -> None:
    *_, after = storm([(50, 10), (10, 40), (10, 60)], burst=burst, says_when=says_when)
    assert after[0] >= (0.85 if says_when in (float, never, in_whole_seconds) else 0.75)
    assert after[1] < 1.1


@pytest.mark.parametrize("says_when", [float, never])
def test_a_slow_provider_is_not_asked_in_vain(says_when: Says) -> None:
    ((used, attempts),) = storm([(1, 120)], says_when=says_when)
    assert used >= 0.75
    assert attempts < 1.5


def test_a_limit_that_is_raised_is_found() -> None:
    _, _, later = storm([(10, 10), (50, 15), (50, 10)])
    assert later[0] >= 0.85


def test_nothing_is_held_back_as_long_as_nothing_is_refused() -> None:
    rate = LearnedRate()
    for _ in range(100):
        rate.take(0.0, waited=True)
        rate.good(0.0, since=True)
    assert (rate.rate, rate.wait(0.0)) == (math.inf, 0.0)


def test_it_grows_only_while_calls_wait_for_it_and_pass() -> None:
    rate = LearnedRate()
    rate.refused(10.0)
    first = rate.rate
    for second in range(11, 20):
        rate.take(float(second), waited=True)
    assert rate.rate == first
    rate.good(20.0, since=True)
    rate.take(20.2, waited=False)
    assert rate.rate == first
    rate.take(21.0, waited=True)
    assert rate.rate > first


def test_a_provider_that_lets_nothing_pass_is_asked_once_a_minute() -> None:
    rate, now = LearnedRate(), 0.0
    for _ in range(50):
        now += rate.wait(now)
        rate.take(now, waited=True)
        rate.refused(now)
    assert rate.rate == SLOWEST
    assert rate.wait(now) == pytest.approx(60)
    times = []
    for _ in range(12):
        now += rate.wait(now)
        times.append(now)
        rate.take(now, waited=True)
        rate.good(now, since=True)
    # Once it answers again it is soon asked more often.
    assert rate.rate > 1


def test_what_passed_of_the_first_wave_is_the_first_guess() -> None:
    rate = LearnedRate()
    rate.refused(0.0)
    assert rate.rate == 1
    for _ in range(7):
        rate.good(0.1, since=False)
    assert rate.rate == 7
    assert rate.wait(0.1) == pytest.approx(1 / 7)


def test_what_was_sent_before_a_later_refusal_does_not_raise_the_rate() -> None:
    rate = LearnedRate()
    rate.refused(0.0)
    rate.take(1.0, waited=True)
    rate.good(1.1, since=True)
    rate.take(2.0, waited=True)
    rate.refused(2.0)
    known = rate.rate
    for _ in range(50):
        rate.good(2.1, since=False)
    rate.take(3.0, waited=True)
    assert rate.rate == known


def test_a_long_pause_is_not_measured_and_a_short_one_is() -> None:
    def after(pause: float) -> float:
        rate = LearnedRate()
        for _ in range(20):
            rate.good(0.0, since=True)
        rate.refused(0.0)
        assert rate.rate == 20
        # The first guess is over.
        rate.take(0.1, waited=True)
        rate.good(0.2, since=True)
        rate.refused(0.3)
        guess = rate.rate
        rate.paused(0.3, 0.3 + pause)
        for moment in range(10):
            rate.good(0.3 + pause + moment / guess, since=True)
        rate.refused(0.3 + pause + 10 / guess)
        return rate.rate / guess

    # Ten calls in the whole time would be the slowest rate of all.
    assert after(300.0) == pytest.approx(0.9)
    assert after(2.0) == pytest.approx(0.5)


class Ride:
    """A learned rate of calls that are sent as soon as they may, and its clock."""

    def __init__(self, first: int) -> None:
        """Of the first wave `first` calls passed; the rate is known after the next one, half as high."""
        self.rate, self.now = LearnedRate(), 0.0
        for _ in range(first):
            self.rate.good(0.0, since=True)
        self.rate.refused(0.0)
        self.send()
        self.rate.good(self.now, since=True)
        self.rate.refused(self.now)

    def send(self) -> None:
        self.now += self.rate.wait(self.now)
        self.rate.take(self.now, waited=True)

    def pass_(self, until: Callable[[], bool]) -> None:
        while not until():
            self.send()
            self.rate.good(self.now, since=True)

    def refused(self) -> float:
        """What part of the rate is left."""
        before = self.rate.rate
        self.rate.refused(self.now)
        return self.rate.rate / before


def test_what_passed_at_lower_rates_is_not_measured() -> None:
    ride = Ride(10)
    ride.pass_(lambda: ride.rate.rate >= 13)
    # It began at five per second.
    assert ride.refused() == pytest.approx(0.9)


def test_what_passed_before_nobody_asked_is_not_measured() -> None:
    ride = Ride(100)
    ride.pass_(lambda: ride.now > 1)
    ride.now += 100
    ride.rate.take(ride.now, waited=False)
    begun = ride.now
    ride.pass_(lambda: ride.now > begun + 1)
    assert ride.refused() == pytest.approx(0.9)


def test_a_rate_is_cut_the_deeper_the_fewer_calls_passed_since_the_last_cut() -> None:
    def cut_after(calls: int) -> float:
        ride = Ride(100)
        for _ in range(calls):
            ride.send()
            ride.rate.good(ride.now, since=True)
        ride.send()
        return ride.refused()

    assert [cut_after(calls) for calls in (1, 2, 3, 9, 10)] == pytest.approx([0.5, 0.5, 0.7, 0.7, 0.9])


def test_while_nothing_passes_the_waits_grow_and_the_rate_stays_until_it_is_forgotten() -> None:
    ride = Ride(20)
    known, waits = ride.rate.rate, []
    for _ in range(12):
        waits.append(ride.rate.wait(ride.now))
        ride.send()
        ride.rate.refused(ride.now)
    assert waits == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 51.2, 60, 60])
    assert known == 10
    again = Ride(20)
    for _ in range(3):
        again.send()
        again.rate.refused(again.now)
    # Only a little was used up: once calls pass they do so as before.
    assert again.rate.rate == 10


def test_a_refusal_after_others_were_sent_says_that_those_passed() -> None:
    ride = Ride(20)
    ride.send()
    ride.send()
    # No answer has come yet, but a refusal of the first would have come before this one.
    assert ride.refused() == pytest.approx(0.5)


def test_a_long_wait_for_something_else_is_no_reason_to_grow() -> None:
    ride = Ride(20)
    ride.rate.good(ride.now, since=True)
    ride.rate.take(ride.now + 10_000, waited=True)
    assert ride.rate.rate == pytest.approx(30)


@pytest.mark.parametrize("config", [{"rate_limits": {"requests_per_minute": 600}}, {"max_connections": 1}])
def test_a_rate_that_something_else_keeps_from_being_used_does_not_grow(config: dict[str, Any]) -> None:
    async def main(clock: Callable[[], float]) -> float:
        provider = Acme(clock, latency=0.1, **config)
        manager = provider.manager(patience=Patient())
        provider.allow(2)
        calls = [asyncio.create_task(manager.arespond(provider.request("hi", "m"))) for _ in range(30)]
        await asyncio.gather(*calls)
        provider.allow(1_000)
        over = asyncio.Event()

        async def work() -> None:
            while not over.is_set():
                await manager.arespond(provider.request("hi", "m"))

        workers = [asyncio.create_task(work()) for _ in range(20)]
        await asyncio.sleep(300)
        over.set()
        await asyncio.gather(*workers)
        return manager.guard(provider, "m").limiter.rate

    # Ten calls a second go out; when there were five minutes to grow without end it had 98 digits.
    assert in_virtual_time(main) < 100


def test_nothing_is_caught_up_with_after_a_pause() -> None:
    rate = LearnedRate()
    for _ in range(10):
        rate.good(0.0, since=True)
    rate.refused(0.0)
    rate.paused(0.0, 5.0)
    rate.take(5.0, waited=True)
    assert rate.wait(5.0) == pytest.approx(0.1)


def test_a_minute_never_has_more_than_a_minute_allows() -> None:
    bucket, now, times = Bucket(60), 0.0, []
    while now < 180:
        wait = bucket.wait(1, now)
        if wait:
            now += wait
        bucket.take(1, now)
        times.append(now)
    for moment in times:
        assert sum(moment <= other < moment + 60 for other in times) <= 60


def test_more_than_ever_fits_goes_out_of_a_full_bucket_and_is_owed() -> None:
    bucket = Bucket(600)
    assert bucket.wait(1000, 0.0) == 0
    bucket.take(1000, 0.0)
    assert bucket.wait(10, 0.0) == pytest.approx(1000 / bucket.rate)
    bucket.take(-1000, 0.0)
    assert bucket.wait(10, 0.0) == 0


def test_what_a_provider_says_is_left_is_believed_until_it_is_back() -> None:
    quota = Quota()
    assert quota.wait(1e9, 0.0) == 0
    quota.heard(2, 30.0, 100.0)
    quota.take(1)
    assert quota.wait(1, 101.0) == 0
    quota.take(1)
    assert quota.wait(1, 101.0) == 29
    assert quota.wait(1, 130.0) == 0
