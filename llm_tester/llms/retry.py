"""Which failures are tried again, how often, and after which wait. Pure policy: no I/O, random source passed in."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from llm_tester.errors import OverloadedError, ProviderError, QuotaExceededError, RateLimitError


class RetryBudget:
    """Retries that all calls share: each first attempt earns `ratio` of one, so an outage does not multiply the load.

    Attempts stay within (1 + `ratio`) times the calls and `reserve` more, which single calls can live on; what is
    saved up never exceeds `most`. Safe to share between threads.
    """

    def __init__(self, ratio: float = 0.4, reserve: float = 10, most: float = 100) -> None:
        self.ratio = ratio
        self._most = most
        self._saved = float(min(reserve, most))
        self._lock = threading.Lock()

    def earn(self) -> None:
        """A call made its first attempt."""
        with self._lock:
            self._saved = min(self._most, self._saved + self.ratio)

    def spend(self) -> bool:
        """Take one retry, if one is left."""
        with self._lock:
            if self._saved < 1:
                return False
            self._saved -= 1
            return True


def is_retryable(error: ProviderError) -> bool:
    """Whether trying again may help: what the provider said wins, but no credit stays no credit."""
    if isinstance(error, QuotaExceededError):
        return False
    return error.retryable if error.should_retry is None else error.should_retry


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """`max_retries` tries after the first; delays in seconds grow by `exponential_base` up to `max_delay`.

    With `jitter` a delay is drawn evenly between 0 and its full length, so that clients do not come back together.
    With `requeue_limited` a 429 or 529 goes back behind the limiter and uses up no retry.
    """

    max_retries: int = 3
    initial_delay: float = 1.0
    exponential_base: float = 2.0
    max_delay: float = 60.0
    jitter: bool = True
    requeue_limited: bool = False
    random: Callable[[], float] = field(default=random.random, compare=False)

    def delay(self, attempt: int, error: ProviderError) -> float | None:
        """Seconds to wait after failed attempt `attempt` (counted from 1), or None when `error` is final.

        What the provider asked for in `retry_after` wins, unless it is no waiting time (negative, not a number); when
        it is longer than `max_delay` the error is final. So is one after which text was handed on already.
        """
        if error.text or not is_retryable(error) or attempt > self.max_retries:
            return None
        if error.retry_after is not None and error.retry_after >= 0:
            return error.retry_after if error.retry_after <= self.max_delay else None
        full = min(self.initial_delay * self.exponential_base ** (attempt - 1), self.max_delay)
        return full * self.random() if self.jitter else full

    def requeues(self, error: ProviderError) -> bool:
        """Whether the call goes back behind the limiter instead of using up a retry."""
        limited = isinstance(error, RateLimitError) or (isinstance(error, OverloadedError) and error.status == 529)
        return self.requeue_limited and limited and is_retryable(error) and not error.text

    def explain(self, attempt: int, error: ProviderError) -> str:
        """Why no further attempt is made, in a few words; empty for an error that is final by itself."""
        if error.text:
            return "a stream that was read in part is not asked for again"
        if not is_retryable(error):
            return ""
        if error.retry_after is not None and error.retry_after > self.max_delay:
            return f"asked to wait {error.retry_after:g} s, longer than {self.max_delay:g} s"
        return f"after {attempt} attempt{'s' * (attempt != 1)}"
