"""What the loopback server counts, and the rate that it allows."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from llm_tester.errors import ConfigurationError
from llm_tester.testing.answers import Answer
from llm_tester.testing.plays import Received


@dataclass(frozen=True, slots=True)
class Rate:
    """How many requests are let through per second, and at once after a quiet time (0: those of one second)."""

    per_second: float
    burst: int = 0

    def __post_init__(self) -> None:
        if not self.per_second > 0:
            raise ConfigurationError(f"a rate of {self.per_second} per second lets nothing through")


class TokenBucket:
    """The rate as a bucket of tokens that fills with time."""

    def __init__(self, rate: Rate, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate = rate
        self._clock = clock
        self._size = float(rate.burst or max(1, int(rate.per_second)))
        self._tokens = self._size
        self._filled_at = clock()

    def take(self) -> float:
        """Takes a token; 0, or the seconds until there is one."""
        now = self._clock()
        self._tokens = min(self._size, self._tokens + (now - self._filled_at) * self._rate.per_second)
        self._filled_at = now
        if self._tokens >= 1:
            self._tokens -= 1
            return 0.0
        return (1 - self._tokens) / self._rate.per_second


class Tally:
    """The counts of a server; written on its thread, read on any under `changed`."""

    def __init__(self, *, keep: bool) -> None:
        self.changed = threading.Condition()
        self.in_flight = 0
        self._keep = keep
        self.reset()

    def reset(self) -> None:
        """Starts anew; requests that are being answered stay in flight."""
        with self.changed:
            self.received: list[Received] = []
            self.count = 0
            self.connections = 0
            self.in_flight_peak = self.in_flight
            self.by_call: Counter[str] = Counter()
            self.by_model: Counter[str] = Counter()
            self.by_status: Counter[int] = Counter()
            self.sent: dict[str, Counter[str]] = {}

    def connected(self) -> None:
        """A client has connected."""
        with self.changed:
            self.connections += 1

    def arrived(self, received: Received) -> None:
        """A request has come in whole."""
        with self.changed:
            self.count += 1
            self.in_flight += 1
            self.in_flight_peak = max(self.in_flight_peak, self.in_flight)
            self.by_call[received.call_id] += 1
            self.by_model[received.model] += 1
            if self._keep:
                self.received.append(received)
            self.changed.notify_all()

    def answered(self, answer: Answer) -> None:
        """An answer is about to be complete."""
        with self.changed:
            self.in_flight -= 1
            if answer.status:
                self.by_status[answer.status] += 1
            if answer.usage:
                self.sent.setdefault(answer.model, Counter()).update(answer.usage)

    def abandoned(self) -> None:
        """A client has left before its answer was complete."""
        with self.changed:
            self.in_flight -= 1
