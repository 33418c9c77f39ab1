"""A provider that keeps failing is left alone for a while, then tried by one call. No I/O; the clock is passed in."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from llm_tester.errors import (
    CircuitOpenError,
    ConfigurationError,
    ProviderError,
    is_providers_own,
)
from llm_tester.llms.exchange import Admission, Settle
from llm_tester.llms.flow import Effect, Wait
from llm_tester.records import Request, Response

T = TypeVar("T")
State = Literal["closed", "open", "half-open"]
PROBE_SECONDS = 0.25
"""How often who waits for the outcome of a probe looks."""


@dataclass(frozen=True, slots=True)
class Permit:
    """Leave for one call; it goes back by `success`, `failure` or `cancel` of the breaker that gave it."""

    number: int
    generation: int
    probe: bool


class CircuitBreaker:
    """Opens after `failure_threshold` failures in a row; after `recovery_timeout` seconds one call may try again.

    Calls under way when a row of failures began count as one failure together and do not end it, and a row must be as
    long as they were many. Safe to share between threads and event loops: nothing here waits.
    """

    def __init__(
        self,
        failure_threshold: int = 5,
        recovery_timeout: float = 60.0,
        *,
        name: str = "the provider",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if failure_threshold < 1 or not recovery_timeout >= 0:
            raise ConfigurationError("a circuit breaker needs failure_threshold >= 1 and recovery_timeout >= 0")
        self.failure_threshold = failure_threshold
        self.recovery_timeout = recovery_timeout
        self.name = name
        self._clock = clock
        self._lock = threading.Lock()
        self._asked = self._in_flight = self._failures = self._unbroken = 0
        self._generation = self._row_began = self._needed = 0
        self.opened = 0
        self.last_failure = ""
        """What the provider failed with last."""
        self._opened_at: float | None = None
        self._probe: int | None = None

    def admission(self) -> Admission:
        """What attempts pass that this breaker guards."""
        return _Gate(self)

    @property
    def state(self) -> State:
        """`half-open` from the moment a probe may pass."""
        with self._lock:
            return self._state()

    @property
    def failures(self) -> int:
        """Failures in the present row."""
        with self._lock:
            return self._failures

    @property
    def unbroken(self) -> int:
        """Failures since the last success, each call under way counted by itself."""
        with self._lock:
            return self._unbroken

    @property
    def in_flight(self) -> int:
        """Calls that hold a permit."""
        with self._lock:
            return self._in_flight

    def wait(self) -> float:
        """Seconds after which it is worth asking again; 0 when a call would pass now."""
        with self._lock:
            return self._left() or (PROBE_SECONDS if self._probe is not None else 0.0)

    def seconds_left(self) -> float:
        """Seconds until a probe may pass; 0 when closed or half-open."""
        with self._lock:
            return self._left()

    def admit(self) -> Permit:
        """Leave for one call; CircuitOpenError while open, and while the one probe is under way."""
        with self._lock:
            state = self._state()
            if state == "open" or self._probe is not None:
                raise self._refusal()
            self._asked += 1
            self._in_flight += 1
            if state == "half-open":
                self._probe = self._asked
            return Permit(self._asked, self._generation, state == "half-open")

    def success(self, permit: Permit) -> None:
        """The call was answered: ends the row of failures if it was sent since; a probe closes the breaker."""
        with self._lock:
            # What was sent before a provider went down is often still answered while it refuses all else.
            if self._return(permit) and (permit.probe or not self._unbroken or permit.number > self._row_began):
                self._close()

    def failure(self, permit: Permit, error: BaseException) -> None:
        """The call ended in `error`, which counts only when the provider made it."""
        with self._lock:
            if not self._return(permit):
                return
            if is_providers_own(error):
                self.last_failure = f"{type(error).__name__}: {error}"
                self._record(permit)
            elif permit.probe and isinstance(error, ProviderError) and error.status is not None:
                self._close()

    def cancel(self, permit: Permit) -> None:
        """The call ended without saying anything about the provider."""
        with self._lock:
            self._return(permit)

    def call(self, function: Callable[..., T], *arguments: Any, **named: Any) -> T:
        """`function(...)` under a permit; raises CircuitOpenError instead of calling while open."""
        permit = self.admit()
        try:
            result = function(*arguments, **named)
        except BaseException as error:
            self.failure(permit, error)
            raise
        self.success(permit)
        return result

    def reset(self) -> None:
        """Close it, and forget what was counted."""
        with self._lock:
            self._close()

    def _state(self) -> State:
        if self._opened_at is None:
            return "closed"
        return "open" if self._left() > 0 else "half-open"

    def _left(self) -> float:
        if self._opened_at is None:
            return 0.0
        return max(0.0, self._opened_at + self.recovery_timeout - self._clock())

    def _refusal(self) -> CircuitOpenError:
        left = self._left()
        until = f"is left alone for {left:.0f} s more" if left else "is being tried by another call"
        return CircuitOpenError(
            f"{self.name} failed too often and {until}",
            retry_after=left,
            hint="Ask again later or another provider; circuit_breaker in config.json says when and for how long.",
        )

    def _return(self, permit: Permit) -> bool:
        self._in_flight -= 1
        if self._probe == permit.number:
            self._probe = None
        return permit.generation == self._generation

    def _record(self, permit: Permit) -> None:
        self._unbroken += 1
        if permit.probe:
            self._open()
            return
        if not self._failures:
            self._row_began = self._asked
            self._needed = max(self.failure_threshold, self._in_flight + 1)
            self._failures = 1
        elif permit.number > self._row_began:
            self._failures += 1
        if self._failures >= self._needed:
            self._open()

    def _open(self) -> None:
        self.opened += 1
        self._opened_at = self._clock()
        self._generation += 1

    def _close(self) -> None:
        if self._opened_at is not None:
            self._generation += 1
        self._opened_at = None
        self._probe = None
        self._failures = self._unbroken = 0


class _Gate:
    """The breaker as exchange.Admission."""

    def __init__(self, breaker: CircuitBreaker) -> None:
        self._breaker = breaker

    def admit(self, request: Request, number: int) -> Generator[Effect, Any, Settle]:
        breaker, permit = self._breaker, self._breaker.admit()

        def settle(outcome: Response | ProviderError | None) -> None:
            if isinstance(outcome, Response):
                breaker.success(permit)
            elif outcome is None:
                breaker.cancel(permit)
            else:
                breaker.failure(permit, outcome)

        return settle
        yield Wait(0)
