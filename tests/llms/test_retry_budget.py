"""The retries that calls share, and what a provider says about trying again."""

from __future__ import annotations

import threading

import pytest

from llm_tester.errors import BadRequestError, OverloadedError, ProviderError, QuotaExceededError, RateLimitError
from llm_tester.llms.retry import RetryBudget, RetryPolicy, is_retryable


def test_an_outage_does_not_multiply_the_load() -> None:
    budget, attempts = RetryBudget(ratio=0.5, reserve=0), 0
    for _ in range(100):
        budget.earn()
        attempts += 1
        for _ in range(3):
            attempts += budget.spend()
    assert attempts == 150


def test_a_single_call_can_be_retried_and_quiet_times_do_not_pile_up() -> None:
    budget = RetryBudget()
    assert [budget.spend() for _ in range(11)] == [True] * 10 + [False]
    for _ in range(10_000):
        budget.earn()
    assert sum(budget.spend() for _ in range(200)) == 100


def test_threads_share_one_budget() -> None:
    budget = RetryBudget(ratio=0.5, reserve=0)
    for _ in range(20):
        budget.earn()
    barrier = threading.Barrier(8)
    taken: list[bool] = []

    def take() -> None:
        barrier.wait()
        taken.extend(budget.spend() for _ in range(10))

    threads = [threading.Thread(target=take) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(taken) == 10


@pytest.mark.parametrize(
    ("error", "said", "again"),
    [
        (OverloadedError("o"), None, True),
        (OverloadedError("o"), False, False),
        (BadRequestError("b"), None, False),
        (BadRequestError("b"), True, True),
        (QuotaExceededError("q"), True, False),
    ],
)
def test_the_word_of_the_provider_wins_but_for_credit(error: ProviderError, said: bool | None, again: bool) -> None:
    error.should_retry = said
    assert is_retryable(error) is again
    assert (RetryPolicy(jitter=False).delay(1, error) is not None) is again


def test_limited_calls_go_back_behind_the_limiter_only_where_asked() -> None:
    limited = [RateLimitError("r", status=429), OverloadedError("o", status=529)]
    waiting = RetryPolicy(requeue_limited=True)
    assert [waiting.requeues(error) for error in limited] == [True, True]
    assert [RetryPolicy().requeues(error) for error in limited] == [False, False]
    assert not waiting.requeues(OverloadedError("o", status=503))
    assert not waiting.requeues(QuotaExceededError("q", status=429))
