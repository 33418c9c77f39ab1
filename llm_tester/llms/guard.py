"""What all calls to one model share: its limiter, its circuit breaker and its retries."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from math import inf
from typing import Any, Protocol

from llm_tester.errors import CircuitOpenError, ProviderError, RateLimitError, is_providers_own
from llm_tester.llms.circuit_breaker import PROBE_SECONDS, CircuitBreaker
from llm_tester.llms.exchange import Admission, Settle
from llm_tester.llms.flow import Effect
from llm_tester.llms.limiter import Limiter
from llm_tester.llms.limits import ConnectionSlots
from llm_tester.llms.retry import RetryBudget, is_retryable
from llm_tester.records import Request


class Patience(Protocol):
    """How calls wait that are made for as long as it takes, until somebody stops them."""

    def check(self) -> None:
        """Raise Deferred when nothing more is to be sent."""

    async def asleep(self, seconds: float) -> None:
        """Wait; raise Deferred as soon as nothing more is to be sent."""


@dataclass(frozen=True, slots=True)
class Guard:
    """The shared state of one model; `breaker` is None where there shall be none, a call has at most `tries`."""

    limiter: Limiter
    slots: ConnectionSlots
    breaker: CircuitBreaker | None
    budget: RetryBudget
    tries: int = 1

    def admissions(self, *, longest: float, patience: Patience | None = None) -> tuple[Admission, ...]:
        """What an attempt passes. With `patience` it waits while the breaker is open and for as long as a pause lasts;
        without it is refused by an open breaker, and by a pause of more than `longest` seconds."""
        turn = _Turn(self.limiter, longest) if patience is None else _Turn(self.limiter, inf, self._gate(patience))
        return (turn, self.slots, self.breaker.admission()) if self.breaker else (turn, self.slots)

    def _gate(self, patience: Patience) -> Callable[[], float]:
        def wait() -> float:
            patience.check()
            return self.breaker.wait() if self.breaker else 0.0

        return wait

    def is_open(self) -> bool:
        """Whether the breaker lets no call pass, or only a probe, or sees so many failures that no one call had all."""
        return self.breaker is not None and (self.breaker.state != "closed" or self.breaker.unbroken > self.tries)

    def again(self, error: ProviderError) -> float | None:
        """In how many seconds it is worth coming back after this failure; None where waiting does not help."""
        if isinstance(error, CircuitOpenError) or (is_providers_own(error) and self.is_open()):
            return max(PROBE_SECONDS, self.breaker.wait() if self.breaker else 0.0)
        if isinstance(error, RateLimitError) and is_retryable(error):
            return max(PROBE_SECONDS, self.limiter.paused())
        return None

    def trouble(self) -> str:
        """Why calls wait: what the provider keeps failing with, or that it wants to be left alone; else empty."""
        if self.breaker is not None and self.is_open():
            return self.breaker.last_failure
        pause = self.limiter.paused()
        return f"the provider wants to be left alone for {pause:,.0f} s more" if pause > 0 else ""


def _at_once() -> float:
    return 0.0


@dataclass(frozen=True, slots=True)
class _Turn:
    """The limiter as exchange.Admission."""

    limiter: Limiter
    longest: float
    gate: Callable[[], float] = _at_once

    def admit(self, request: Request, number: int) -> Generator[Effect, Any, Settle]:
        return self.limiter.admit(request, longest=self.longest, gate=self.gate)
