"""The circuit breaker: what opens it, who may try again, and what closes it."""

from __future__ import annotations

import asyncio
import threading

import pytest

from llm_tester.errors import (
    CircuitOpenError,
    ConfigurationError,
    OverloadedError,
    ProviderConnectionError,
    ProviderError,
    ProviderTimeoutError,
    error_for_status,
)
from llm_tester.llms.circuit_breaker import CircuitBreaker, Permit


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def fail(breaker: CircuitBreaker, error: Exception, times: int = 1) -> None:
    for _ in range(times):
        breaker.failure(breaker.admit(), error)


def opened(clock: Clock) -> CircuitBreaker:
    breaker = CircuitBreaker(3, 60, name="acme", clock=clock)
    fail(breaker, OverloadedError("down", status=503), 3)
    return breaker


@pytest.mark.parametrize(
    "error",
    [ProviderTimeoutError("t"), ProviderConnectionError("c"), *(error_for_status(s, "") for s in (408, 500, 503, 529))],
)
def test_failures_of_the_provider_open_it_at_the_threshold(error: ProviderError) -> None:
    breaker = CircuitBreaker(clock=Clock())
    fail(breaker, error, 4)
    assert (breaker.state, breaker.failures) == ("closed", 4)
    fail(breaker, error)
    assert breaker.state == "open"


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 409, 413, 422, 429])
def test_what_the_caller_caused_never_opens_it(status: int) -> None:
    breaker = CircuitBreaker(1, clock=Clock())
    fail(breaker, error_for_status(status, ""), 20)
    assert (breaker.state, breaker.failures, breaker.in_flight) == ("closed", 0, 0)


def test_an_open_one_refuses_and_says_for_how_long() -> None:
    clock = Clock()
    breaker = opened(clock)
    clock.now += 20
    with pytest.raises(CircuitOpenError, match=r"acme .* 40 s more") as caught:
        breaker.call(lambda: 1)
    assert caught.value.retry_after == breaker.seconds_left() == 40


def test_a_success_ends_the_row() -> None:
    breaker = CircuitBreaker(2, clock=Clock())
    fail(breaker, ProviderTimeoutError("t"))
    assert breaker.call(lambda number: number, number=7) == 7
    fail(breaker, ProviderTimeoutError("t"))
    assert (breaker.state, breaker.failures) == ("closed", 1)


def test_calls_under_way_when_the_row_began_count_as_one_failure() -> None:
    breaker = CircuitBreaker(3, clock=Clock())
    wave = [breaker.admit() for _ in range(10)]
    for permit in wave:
        breaker.failure(permit, OverloadedError("down", status=500))
    assert (breaker.state, breaker.failures) == ("closed", 1)
    fail(breaker, OverloadedError("down", status=500), 8)
    assert breaker.state == "closed"
    fail(breaker, OverloadedError("down", status=500))
    assert (breaker.state, breaker.failures) == ("open", 10)


def test_an_answer_to_a_call_from_before_the_row_does_not_end_it() -> None:
    breaker = CircuitBreaker(3, clock=Clock())
    early, slow = breaker.admit(), breaker.admit()
    fail(breaker, ProviderTimeoutError("t"), 2)
    breaker.success(early)
    assert (breaker.failures, breaker.unbroken) == (2, 2)
    later = breaker.admit()
    breaker.success(slow)
    breaker.success(later)
    assert (breaker.failures, breaker.unbroken) == (0, 0)


def test_a_row_knows_how_many_calls_are_under_way() -> None:
    breaker = CircuitBreaker(2, clock=Clock())
    wave = [breaker.admit() for _ in range(50)]
    for permit in wave:
        breaker.failure(permit, OverloadedError("down", status=500))
    assert (breaker.state, breaker.failures, breaker.unbroken) == ("closed", 1, 50)
    fail(breaker, OverloadedError("down", status=500), 48)
    assert (breaker.state, breaker.opened) == ("closed", 0)
    fail(breaker, OverloadedError("down", status=500))
    assert breaker.opened == 1


def test_in_one_of_five_failures_nothing_is_seen() -> None:
    breaker = CircuitBreaker(5, clock=Clock())
    under_way = [breaker.admit() for _ in range(20)]
    for number in range(2000):
        permit = under_way.pop(0)
        if number % 5:
            breaker.success(permit)
        else:
            breaker.failure(permit, OverloadedError("busy", status=503))
        under_way.append(breaker.admit())
    assert (breaker.state, breaker.opened) == ("closed", 0)


def test_one_of_many_threads_is_the_probe() -> None:
    clock = Clock()
    breaker = opened(clock)
    clock.now += 60
    assert breaker.state == "half-open"
    barrier, passed, refused = threading.Barrier(16), [], []

    def ask() -> None:
        barrier.wait()
        try:
            passed.append(breaker.admit())
        except CircuitOpenError as error:
            refused.append(error)

    threads = [threading.Thread(target=ask) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(passed), len(refused)) == (1, 15)
    assert "tried by another call" in str(refused[0])
    breaker.success(passed[0])
    assert (breaker.state, breaker.failures, breaker.in_flight) == ("closed", 0, 0)


def test_one_of_many_tasks_is_the_probe() -> None:
    clock = Clock()
    breaker = opened(clock)
    clock.now += 60

    async def ask(done: asyncio.Event) -> Permit:
        permit = breaker.admit()
        await done.wait()
        return permit

    async def race() -> list[Permit | BaseException]:
        done = asyncio.Event()
        tasks = [asyncio.create_task(ask(done)) for _ in range(10)]
        await asyncio.sleep(0)
        done.set()
        return await asyncio.gather(*tasks, return_exceptions=True)

    assert sum(isinstance(one, Permit) for one in asyncio.run(race())) == 1


def test_a_failed_probe_opens_it_for_the_whole_time_again() -> None:
    clock = Clock()
    breaker = opened(clock)
    clock.now += 60
    fail(breaker, ProviderTimeoutError("t"))
    assert (breaker.state, breaker.seconds_left()) == ("open", 60)


def test_a_probe_that_is_refused_for_its_content_shows_that_the_provider_is_back() -> None:
    clock = Clock()
    breaker = opened(clock)
    clock.now += 60
    fail(breaker, error_for_status(429, "slow"))
    assert breaker.state == "closed"


def test_a_cancelled_probe_leaves_its_place_to_the_next() -> None:
    clock = Clock()
    breaker = opened(clock)
    clock.now += 60
    breaker.cancel(breaker.admit())
    with pytest.raises(KeyboardInterrupt):
        breaker.call(lambda: (_ for _ in ()).throw(KeyboardInterrupt))
    assert breaker.state == "half-open"
    assert breaker.admit().probe


def test_late_answers_of_calls_from_before_it_opened_change_nothing() -> None:
    clock = Clock()
    breaker = CircuitBreaker(1, 60, clock=clock)
    slow, failing = breaker.admit(), breaker.admit()
    breaker.failure(failing, ProviderTimeoutError("t"))
    fail(breaker, ProviderTimeoutError("t"))
    assert breaker.state == "open"
    breaker.success(slow)
    assert breaker.state == "open"


def test_reset_closes_it() -> None:
    breaker = opened(Clock())
    breaker.reset()
    assert (breaker.state, breaker.seconds_left()) == ("closed", 0)


@pytest.mark.parametrize("arguments", [(0, 1), (1, -1), (1, float("nan"))])
def test_settings_that_make_no_sense_are_refused(arguments: tuple[int, float]) -> None:
    with pytest.raises(ConfigurationError, match="circuit breaker needs"):
        CircuitBreaker(*arguments)
