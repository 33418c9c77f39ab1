"""The decorator that tries a function again: how often, after which waits, and for which errors."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from llm_tester import AuthenticationError, ProviderError, RateLimitError, retry_with_exponential_backoff

Run = Callable[..., tuple[Any, list[float], int]]


@pytest.fixture(params=["sync", "async"])
def run(request: pytest.FixtureRequest) -> Run:
    """Runs a function that fails with `errors` before it succeeds; gives the last error or result, waits and calls."""

    def call(errors: list[Exception], **settings: Any) -> tuple[Any, list[float], int]:
        waits: list[float] = []
        left = list(errors)
        calls = 0

        async def asleep(seconds: float) -> None:
            waits.append(seconds)

        def work(word: str, *, end: str) -> str:
            nonlocal calls
            calls += 1
            if left:
                raise left.pop(0)
            return word + end

        async def awork(word: str, *, end: str) -> str:
            return work(word, end=end)

        retry = retry_with_exponential_backoff(**settings, sleep=waits.append, asleep=asleep)
        done: Any = None
        try:
            done = retry(work)("o", end="k") if request.param == "sync" else asyncio.run(retry(awork)("o", end="k"))
        except (ValueError, TypeError, ProviderError) as error:
            done = error
        return done, waits, calls

    return call


def test_the_waits_are_1_2_and_4_seconds_and_then_it_is_over(run: Run) -> None:
    last = ValueError("4")
    done, waits, calls = run([ValueError("1"), ValueError("2"), ValueError("3"), last], jitter=False)
    assert (done, waits, calls) == (last, [1.0, 2.0, 4.0], 4)


def test_it_ends_with_the_first_success(run: Run) -> None:
    assert run([ValueError()], jitter=False) == ("ok", [1.0], 2)
    assert run([]) == ("ok", [], 1)


def test_every_setting_holds(run: Run) -> None:
    settings = {"max_retries": 4, "initial_delay": 0.5, "exponential_base": 3, "max_delay": 5, "jitter": False}
    assert run([ValueError()] * 4, **settings)[1] == [0.5, 1.5, 4.5, 5]


def test_a_wait_is_drawn_up_to_its_full_length(run: Run) -> None:
    assert run([ValueError()] * 3, random=lambda: 0.25)[1] == [0.25, 0.5, 1.0]


def test_other_errors_are_not_tried_again(run: Run) -> None:
    done, waits, calls = run([TypeError("no")], retryable_exceptions=(ValueError, OSError))
    assert (type(done), waits, calls) == (TypeError, [], 1)


def test_of_a_provider_s_errors_only_those_that_waiting_mends(run: Run) -> None:
    assert run([RateLimitError("slow down", retry_after=7)], jitter=False) == ("ok", [7], 2)
    done, _, calls = run([AuthenticationError("no")])
    assert (type(done), calls) == (AuthenticationError, 1)
    done, _, calls = run([RateLimitError("tomorrow", retry_after=9999)])
    assert (type(done), calls) == (RateLimitError, 1)


def test_the_function_keeps_its_name() -> None:
    @retry_with_exponential_backoff()
    def work() -> None:
        """What it does."""

    assert (work.__name__, work.__doc__) == ("work", "What it does.")
