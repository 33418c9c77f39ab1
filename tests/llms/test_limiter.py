"""How many calls to one model go out at once and per minute: real managers, by a clock that skips waits."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from llm_tester import ProviderManager
from llm_tester.errors import OverloadedError, ProviderError
from tests.llms.virtual_time import Acme, Patient, in_virtual_time, never

Clock = Callable[[], float]


async def calls(manager: ProviderManager, provider: Acme, count: int, **details: Any) -> None:
    await asyncio.gather(*(manager.arespond(provider.request("hi", "m", **details)) for _ in range(count)))


def run(count: int, *, per_second: float = 0, **config: Any) -> Acme:
    async def main(clock: Clock) -> Acme:
        provider = Acme(clock, **config)
        if per_second:
            provider.allow(per_second)
        await calls(provider.manager(patience=Patient()), provider, count)
        return provider

    return in_virtual_time(main)


@pytest.mark.parametrize(
    "config",
    [
        {"rate_limits": {"requests_per_minute": 60}},
        {"llm_models": [{"name": "m", "rate_limits": {"requests_per_minute": 60}}]},
        {
            "rate_limits": {"requests_per_minute": 6000},
            "llm_models": [{"name": "m", "rate_limits": {"requests_per_minute": 60}}],
        },
    ],
)
def test_a_catalogue_says_how_many_calls_go_out_per_minute(config: dict[str, Any]) -> None:
    sent = [at for at, _ in run(150, **config).sent]
    for moment in sent:
        assert sum(moment <= at < moment + 60 for at in sent) <= 60
    # 60 in the first minute, one of them at once, and never fewer than 59.
    assert sent[-1] == pytest.approx(149 * 60 / 59, abs=1)


def test_a_catalogue_says_how_many_tokens_go_out_per_minute() -> None:
    async def main(clock: Clock) -> list[float]:
        provider = Acme(clock, rate_limits={"tokens_per_minute": 6000})
        await calls(provider.manager(), provider, 20, parameters={"max_tokens": 1000})
        return [at for at, _ in provider.sent]

    sent = in_virtual_time(main)
    # A call is taken for 1,000 tokens until its usage says 15: waits last for what is under way, not for 20,000.
    assert 5 < sent[-1] < 60
    assert sent == sorted(sent)


def test_it_starts_slowly_and_grows_while_all_is_well() -> None:
    async def main(clock: Clock) -> tuple[int, int]:
        provider = Acme(clock)
        manager = provider.manager()
        first = asyncio.create_task(calls(manager, provider, 1000))
        await asyncio.sleep(0.04)
        began = provider.peak
        await first
        return began, provider.peak

    assert in_virtual_time(main) == (32, 100)


def test_it_grows_only_while_as_many_calls_are_made_as_may_be() -> None:
    async def main(clock: Clock) -> tuple[int, int]:
        provider = Acme(clock)
        manager = provider.manager()
        for _ in range(100):
            await calls(manager, provider, 8)
        return manager.guard(provider, "m").limiter.pace.limit, provider.peak

    assert in_virtual_time(main) == (32, 8)


def test_failures_of_the_provider_stop_its_growth() -> None:
    async def main(clock: Clock) -> int:
        provider = Acme(clock)
        provider.failure = OverloadedError("down", status=503)
        manager = provider.manager()
        asked = (manager.arespond(provider.request("hi", "m")) for _ in range(100))
        ended = await asyncio.gather(*asked, return_exceptions=True)
        assert all(isinstance(one, ProviderError) for one in ended)
        assert provider.peak == 32
        return manager.guard(provider, "m").limiter.pace.limit

    assert in_virtual_time(main) == 32


@pytest.mark.parametrize("says_when", [float, never])
def test_a_wave_of_refusals_is_one_cut(says_when: Callable[[float], float | None]) -> None:
    async def main(clock: Clock) -> tuple[int, float, int]:
        provider = Acme(clock, says_when=says_when)
        provider.allow(2)
        manager = provider.manager(patience=Patient())
        limiter = manager.guard(provider, "m").limiter
        under_way = asyncio.create_task(calls(manager, provider, 100))
        await asyncio.sleep(0.2)
        after = limiter.pace.limit, limiter.rate, len(provider.sent)
        under_way.cancel()
        return after

    # 32 went out, 30 were refused, so two per second are the first guess; the other 68 stay where they are.
    assert in_virtual_time(main) == (22, 2, 32)


def test_nothing_is_sent_while_the_provider_wants_to_be_left_alone() -> None:
    sent = run(60, per_second=0.2).sent
    refused = [at for at, passed in sent if not passed]
    # Each refusal comes 10 ms after its call and asks for what is left of 5 s.
    for moment in refused:
        until = 5 * (moment // 5 + 1)
        assert not [at for at, _ in sent if moment + 0.011 < at < until - 0.011]
    assert sum(passed for _, passed in sent) == 60


def test_calls_that_are_cancelled_leave_their_place_in_the_queue() -> None:
    async def main(clock: Clock) -> tuple[int, int, float]:
        provider = Acme(clock, rate_limits={"requests_per_minute": 60})
        manager = provider.manager()
        leaving = [asyncio.create_task(manager.arespond(provider.request("hi", "m"))) for _ in range(30)]
        staying = asyncio.create_task(calls(manager, provider, 5))
        await asyncio.sleep(0.5)
        for call in leaving:
            call.cancel()
        await staying
        return len(provider.sent), manager.guard(provider, "m").limiter.pace.in_flight, provider.sent[-1][0]

    sent, in_flight, last = in_virtual_time(main)
    assert (sent, in_flight) == (6, 0)
    assert last == pytest.approx(5 * 60 / 59, abs=0.6)


def test_event_loops_and_threads_share_one_limiter() -> None:
    async def main(clock: Clock) -> tuple[bool, int]:
        provider = Acme(clock)
        manager = provider.manager(max_connections=3)
        first = manager.guard(provider, "m")
        await calls(manager, provider, 9)
        return manager.guard(provider, "m") is first, provider.peak

    assert in_virtual_time(main) == (True, 3)
