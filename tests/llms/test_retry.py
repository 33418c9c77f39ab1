from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_tester.config import RetrySettings
from llm_tester.errors import (
    AuthenticationError,
    BadRequestError,
    BadResponseError,
    OverloadedError,
    ProviderError,
    ProviderTimeoutError,
    QuotaExceededError,
    RateLimitError,
)
from llm_tester.llms.retry import RetryPolicy

STEADY = RetryPolicy(jitter=False)


def delays(policy: RetryPolicy, error: ProviderError, attempts: int = 6) -> list[float | None]:
    return [policy.delay(attempt, error) for attempt in range(1, attempts + 1)]


def test_three_retries_wait_1_2_and_4_seconds() -> None:
    assert delays(STEADY, OverloadedError("no"), 4) == [1, 2, 4, None]


def test_delays_stop_growing_at_the_cap() -> None:
    assert delays(RetryPolicy(5, jitter=False, max_delay=5), OverloadedError("no")) == [1, 2, 4, 5, 5, None]


def test_jitter_draws_between_0_and_the_full_delay() -> None:
    assert delays(RetryPolicy(random=lambda: 0.25), OverloadedError("no"), 3) == [0.25, 0.5, 1]
    assert delays(RetryPolicy(random=lambda: 0), OverloadedError("no"), 3) == [0, 0, 0]


def test_no_retries_means_one_attempt() -> None:
    assert delays(RetryPolicy(0), OverloadedError("no"), 1) == [None]


@pytest.mark.parametrize(
    "kind", [ProviderError, AuthenticationError, QuotaExceededError, BadRequestError, BadResponseError]
)
def test_what_is_not_retried(kind: type[ProviderError]) -> None:
    assert STEADY.delay(1, kind("no", retry_after=1)) is None


def test_what_the_provider_asks_for_wins_up_to_the_cap() -> None:
    policy = RetryPolicy(jitter=False, max_delay=60)
    assert policy.delay(1, RateLimitError("no", retry_after=0)) == 0
    assert policy.delay(1, RateLimitError("no", retry_after=37.5)) == 37.5
    assert policy.delay(1, OverloadedError("no", retry_after=60)) == 60
    assert policy.delay(1, RateLimitError("no", retry_after=60.1)) is None
    assert policy.delay(4, RateLimitError("no", retry_after=1)) is None


@pytest.mark.parametrize("nonsense", [-1.0, math.nan, -math.inf])
def test_nonsense_in_place_of_a_waiting_time_is_ignored(nonsense: float) -> None:
    assert delays(STEADY, RateLimitError("no", retry_after=nonsense), 4) == [1, 2, 4, None]


def test_forever_is_longer_than_the_cap() -> None:
    assert STEADY.delay(1, RateLimitError("no", retry_after=math.inf)) is None


@given(st.builds(RetrySettings, max_retries=st.integers(0, 100), exponential_base=st.floats(1, 1000)), st.floats(0, 1))
def test_every_policy_that_config_json_may_declare_is_finite(settings: RetrySettings, drawn: float) -> None:
    policy = RetryPolicy(**settings.model_dump())
    assert RetryPolicy(**{**settings.model_dump(), "random": lambda: drawn}) == policy
    full = [
        RetryPolicy(**{**settings.model_dump(), "jitter": False}).delay(n, OverloadedError("")) for n in range(1, 102)
    ]
    waits = [wait for wait in full if wait is not None]
    assert len(waits) == settings.max_retries
    assert all(0 <= before <= after <= settings.max_delay for before, after in pairwise(waits))


def test_why_no_further_attempt_is_made() -> None:
    assert STEADY.explain(1, BadRequestError("no")) == ""
    assert STEADY.explain(4, ProviderTimeoutError("no")) == "after 4 attempts"
    assert STEADY.explain(1, ProviderTimeoutError("no")) == "after 1 attempt"
    assert STEADY.explain(1, OverloadedError("no", retry_after=90)) == "asked to wait 90 s, longer than 60 s"
    assert STEADY.explain(4, RateLimitError("no", retry_after=5)) == "after 4 attempts"
