"""Retries, breaker and pauses that calls to one model share: real managers, and attempts counted at a real server."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from llm_tester import ProviderManager, ProviderRegistry, Response
from llm_tester.config import Workspace
from llm_tester.errors import (
    CircuitOpenError,
    LLMTesterError,
    OverloadedError,
    ProviderError,
    QuotaExceededError,
    RateLimitError,
)
from llm_tester.llms.exchange import Deferred
from llm_tester.llms.flow import Session
from llm_tester.llms.wire import HTTPProvider
from llm_tester.testing import LoopbackServer, Play
from tests.llms.wire_calls import provider as wire_provider

Ask = Callable[..., Response]
DOWN = Play(status=503)


@dataclass
class Clock:
    """Time that passes only where somebody waits; satisfies guard.Patience, until it is `over`."""

    now: float = 1000.0
    waits: list[float] = field(default_factory=list)
    over: float = float("inf")

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.now += seconds

    def check(self) -> None:
        if self.now >= self.over:
            raise Deferred

    async def asleep(self, seconds: float) -> None:
        self.sleep(seconds)
        self.check()
        await asyncio.sleep(0)


@dataclass
class Bench:
    server: LoopbackServer
    clock: Clock
    provider: HTTPProvider
    root: Path

    def manager(self, environment: dict[str, str] | None = None, **options: Any) -> ProviderManager:
        registry = ProviderRegistry(Workspace.open(self.root, environment or {}))
        registry.add(self.provider)
        transport = self.provider.make_transport(64)
        session = Session(transport, sleep=self.clock.sleep, asleep=self.clock.asleep)
        return ProviderManager(registry=registry, session=session, clock=self.clock, **options)

    def request(self, model: str = "m") -> Any:
        return self.provider.request("hi", model)


@pytest.fixture
def bench(workspace: Path) -> Iterator[Bench]:
    """A provider with two models on the loopback server."""
    with LoopbackServer() as server:
        listed = [{"name": "m"}, {"name": "n"}]
        provider = wire_provider("openai", server.url, llm_models=listed, max_connections=64)
        yield Bench(server, Clock(), provider, workspace)


async def crowd(manager: ProviderManager, requests: list[Any]) -> list[Response | BaseException]:
    return await asyncio.gather(*(manager.arespond(request) for request in requests), return_exceptions=True)


def kinds(outcomes: list[Any]) -> set[str]:
    return {type(outcome).__name__ for outcome in outcomes}


def test_an_outage_does_not_multiply_the_load(bench: Bench) -> None:
    bench.server.play(DOWN)
    manager = bench.manager({"PROVIDER_CIRCUIT_BREAKER_ENABLED": "false"})
    outcomes = asyncio.run(crowd(manager, [bench.request() for _ in range(200)]))
    assert kinds(outcomes) == {"OverloadedError"}
    # 3 retries each would be 800: all together have 10 and two for each five calls.
    assert 200 < bench.server.count <= 200 * 1.4 + 10


def test_an_outage_opens_the_breaker_and_then_costs_one_request_per_minute(bench: Bench, ask: Ask) -> None:
    bench.server.play(DOWN)
    manager = bench.manager()
    outcomes = []
    for _ in range(20):
        with pytest.raises(ProviderError) as caught:
            ask(manager, bench.request())
        outcomes.append(caught.value)
    assert (bench.server.count, manager.guard(bench.provider, "m").is_open()) == (5, True)
    refusal = outcomes[-1]
    assert isinstance(refusal, CircuitOpenError)
    assert "p:m failed too often and is left alone for" in str(refusal)
    assert (refusal.attempts, refusal.provider, refusal.model) == ((), "p", "m")
    assert "circuit_breaker in config.json" in refusal.hint
    bench.clock.now += 60
    with pytest.raises(ProviderError):
        ask(manager, bench.request())
    with pytest.raises(CircuitOpenError):
        ask(manager, bench.request())
    assert bench.server.count == 6


def test_a_breaker_is_one_models_own(bench: Bench, ask: Ask) -> None:
    bench.server.play(lambda received: DOWN if received.model == "m" else Play())
    manager = bench.manager()
    for _ in range(2):
        with pytest.raises(ProviderError):
            ask(manager, bench.request())
    assert ask(manager, bench.request("n")).text == "ok"
    with pytest.raises(CircuitOpenError):
        ask(manager, bench.request())


def _open(bench: Bench, manager: ProviderManager) -> None:
    bench.server.play(DOWN)
    for _ in range(2):
        with pytest.raises(ProviderError):
            manager.respond(bench.request())
    bench.server.reset()
    bench.clock.now += 60


def test_of_many_tasks_one_is_the_probe(bench: Bench) -> None:
    manager = bench.manager()
    _open(bench, manager)
    bench.server.play(Play(latency=0.1))
    outcomes = asyncio.run(crowd(manager, [bench.request() for _ in range(40)]))
    assert (bench.server.count, kinds(outcomes)) == (1, {"Response", "CircuitOpenError"})
    asyncio.run(crowd(manager, [bench.request() for _ in range(3)]))
    assert bench.server.count == 4


def test_of_many_threads_one_is_the_probe(bench: Bench) -> None:
    manager = bench.manager()
    _open(bench, manager)
    bench.server.play(Play(latency=0.2))
    barrier, outcomes = threading.Barrier(12), []

    def work() -> None:
        barrier.wait()
        try:
            outcomes.append(manager.respond(bench.request()).text)
        except CircuitOpenError as error:
            outcomes.append(error.message)

    threads = [threading.Thread(target=work) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (bench.server.count, outcomes.count("ok")) == (1, 1)


def test_one_wave_of_many_calls_under_way_does_not_open_it(bench: Bench) -> None:
    bench.server.play([Play(status=503, latency=0.05)] * 10 + [Play()])
    outcomes = asyncio.run(crowd(bench.manager(), [bench.request() for _ in range(10)]))
    assert kinds(outcomes) == {"Response"}


def test_calls_of_a_run_wait_for_an_open_breaker(bench: Bench) -> None:
    bench.server.play([DOWN] * 30 + [Play()])
    outcomes = asyncio.run(crowd(bench.manager(patience=bench.clock), [bench.request() for _ in range(20)]))
    assert kinds(outcomes) == {"Response"}
    assert bench.server.by_status == {503: 30, 200: 20}


def test_calls_that_wait_are_left_for_later_when_a_run_is_to_stop(bench: Bench) -> None:
    bench.server.play(DOWN)
    bench.clock.over = bench.clock.now + 150
    outcomes = asyncio.run(crowd(bench.manager(patience=bench.clock), [bench.request() for _ in range(20)]))
    assert kinds(outcomes) == {"Deferred"}
    # The first try of each, about as many until it opens, and probes; with their retries alone it would be 80.
    assert bench.server.count < 60


def test_a_stream_passes_the_same_breaker(bench: Bench) -> None:
    manager = bench.manager()
    _open(bench, manager)
    bench.server.play([DOWN, Play("a b c")])
    for tries in (1, 0):
        with pytest.raises(CircuitOpenError) as caught, manager.stream(bench.request()) as stream:
            list(stream)
        assert len(caught.value.attempts) == tries
    assert bench.server.count == 1
    bench.clock.now += 60
    with manager.stream(bench.request()) as stream:
        assert "".join(stream) == "a b c"
    assert not manager.guard(bench.provider, "m").is_open()


@pytest.mark.parametrize("in_a_run", [False, True])
def test_no_credit_is_final(bench: Bench, in_a_run: bool) -> None:
    bench.server.play(Play(status=429, error={"message": "no credit", "code": "insufficient_quota"}))
    with pytest.raises(QuotaExceededError):
        asyncio.run(bench.manager(patience=bench.clock if in_a_run else None).arespond(bench.request()))
    assert bench.server.count == 1


@pytest.mark.parametrize(("status", "said", "tries"), [(503, "false", 1), (400, "true", 4), (400, "", 1), (503, "", 4)])
def test_the_server_says_whether_to_try_again(bench: Bench, ask: Ask, status: int, said: str, tries: int) -> None:
    bench.server.play(Play(status=status, headers={"x-should-retry": said} if said else {}))
    with pytest.raises(ProviderError):
        ask(bench.manager(), bench.request())
    assert bench.server.count == tries


def test_a_long_pause_is_an_error_at_once_for_every_call(bench: Bench, ask: Ask) -> None:
    bench.server.play([Play(status=429, headers={"retry-after": "121"}), Play()])
    manager = bench.manager()
    for left in (121, 101):
        with pytest.raises(RateLimitError) as caught:
            ask(manager, bench.request())
        assert caught.value.retry_after == left
        bench.clock.now += 20
    assert (bench.server.count, bench.clock.waits) == (1, [])
    bench.clock.now += 81
    assert ask(manager, bench.request()).text == "ok"


def test_calls_of_a_run_wait_for_as_long_as_they_are_asked_to(bench: Bench) -> None:
    bench.server.play([Play(status=429, headers={"retry-after": "121"}), Play()])
    began = bench.clock.now
    response = asyncio.run(bench.manager(patience=bench.clock).arespond(bench.request()))
    assert (bench.server.count, len(response.attempts)) == (2, 2)
    assert bench.clock.now - began >= 121


@pytest.mark.parametrize(
    "headers",
    [
        {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "20s"},
        {"x-ratelimit-remaining-tokens": "3", "x-ratelimit-reset-tokens": "20s"},
        {"anthropic-ratelimit-output-tokens-remaining": "0", "anthropic-ratelimit-output-tokens-reset": "20"},
    ],
)
def test_a_limit_that_an_answer_says_is_used_up_is_waited_for(bench: Bench, ask: Ask, headers: dict[str, str]) -> None:
    bench.server.play([Play(headers=headers), Play()])
    manager = bench.manager()
    ask(manager, bench.request())
    assert bench.clock.waits == []
    ask(manager, bench.request())
    assert sum(bench.clock.waits) == pytest.approx(20)


def test_a_call_that_is_broken_off_leaves_all_as_it_was(bench: Bench) -> None:
    bench.server.play(Play(latency=30))
    manager = bench.manager()

    async def leave() -> None:
        calls = [asyncio.create_task(manager.arespond(bench.request())) for _ in range(5)]
        await asyncio.to_thread(bench.server.wait_for, 5)
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)

    asyncio.run(leave())
    guard = manager.guard(bench.provider, "m")
    assert guard.breaker is not None
    assert (guard.limiter.pace.in_flight, guard.breaker.in_flight, guard.breaker.failures) == (0, 0, 0)


def test_calls_in_line_for_a_slot_are_left_for_later_and_hold_none(bench: Bench) -> None:
    bench.server.play(Play(latency=0.2))
    manager = bench.manager(patience=bench.clock, max_connections=2)

    async def stop() -> None:
        await asyncio.to_thread(bench.server.wait_for, 2)
        bench.clock.over = bench.clock.now

    async def both() -> list[Response | BaseException]:
        return (await asyncio.gather(crowd(manager, [bench.request() for _ in range(6)]), stop()))[0]

    outcomes = asyncio.run(both())
    assert [type(outcome).__name__ for outcome in outcomes] == ["Response"] * 2 + ["Deferred"] * 4
    assert manager.guard(bench.provider, "m").limiter.pace.in_flight == 0
    assert bench.server.count == 2


def test_errors_tell_every_attempt(bench: Bench, ask: Ask) -> None:
    bench.server.play([Play(status=500), Play(status=502), DOWN])
    with pytest.raises(OverloadedError) as caught:
        ask(bench.manager(), bench.request())
    assert [attempt.error for attempt in caught.value.attempts] == ["OverloadedError"] * 4
    assert isinstance(caught.value, LLMTesterError)
    assert caught.value.hint == "after 4 attempts"
