"""Which failures are tried again, how often, and after which wait. Pure policy: no I/O, random source passed in."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field

from llm_tester.errors import ProviderError


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """`max_retries` tries after the first; delays in seconds grow by `exponential_base` up to `max_delay`.

    With `jitter` a delay is drawn evenly between 0 and its full length, so that clients do not come back together.
    """

    max_retries: int = 3
    initial_delay: float = 1.0
    exponential_base: float = 2.0
    max_delay: float = 60.0
    jitter: bool = True
    random: Callable[[], float] = field(default=random.random, compare=False)

    def delay(self, attempt: int, error: ProviderError) -> float | None:
        """Seconds to wait after failed attempt `attempt` (counted from 1), or None when `error` is final.

        What the provider asked for in `retry_after` wins, unless it is no waiting time (negative, not a number); when
        it is longer than `max_delay` the error is final. So is one after which text was handed on already.
        """
        if not error.retryable or error.text or attempt > self.max_retries:
            return None
        if error.retry_after is not None and error.retry_after >= 0:
            return error.retry_after if error.retry_after <= self.max_delay else None
        full = min(self.initial_delay * self.exponential_base ** (attempt - 1), self.max_delay)
        return full * self.random() if self.jitter else full

    def explain(self, attempt: int, error: ProviderError) -> str:
        """Why no further attempt is made, in a few words; empty for an error that is final by itself."""
        if error.text:
            return "a stream that was read in part is not asked for again"
        if not error.retryable:
            return ""
        if error.retry_after is not None and error.retry_after > self.max_delay:
            return f"asked to wait {error.retry_after:g} s, longer than {self.max_delay:g} s"
        return f"after {attempt} attempts"
