"""How a ProviderManager goes about failures, in three figures."""

from __future__ import annotations

from dataclasses import dataclass

from llm_tester.errors import ConfigurationError
from llm_tester.llms.retry import RetryPolicy


@dataclass(frozen=True, slots=True)
class ManagerConfig:
    """Whether others stand in for a provider that fails, and how often, after `retry_delay_ms` milliseconds and then
    twice as many each time, a failed call is tried again."""

    enable_fallback: bool = True
    max_retries: int = 2
    retry_delay_ms: int = 1000

    def __post_init__(self) -> None:
        if self.max_retries < 0 or self.retry_delay_ms < 0:
            raise ConfigurationError("max_retries and retry_delay_ms: expected 0 or more", hint="Correct them.")

    @property
    def retry(self) -> RetryPolicy:
        """The same as a retry policy."""
        return RetryPolicy(self.max_retries, self.retry_delay_ms / 1000)
