"""How many calls a lane may have under way: grows while all is well, cut once per wave of 429s. Never waits."""

from __future__ import annotations

import threading
from typing import Literal

Outcome = Literal["good", "limited", "failed", "other"]


class Pace:
    """The adaptive concurrency of one lane: doubled while nothing was refused yet, then raised by one per round.

    Safe to share between threads. `size` is the most that may ever be under way.
    """

    def __init__(self, size: int, *, start: int = 32, cut: float = 0.7) -> None:
        self.size = size
        self._limit = float(min(start, size))
        self._cut = cut
        self._lock = threading.Lock()
        self._slow_start = True
        self._in_flight = self._number = self._episode_ends = 0
        self._saturated = False

    @property
    def limit(self) -> int:
        """Calls that may be under way now."""
        with self._lock:
            return int(self._limit)

    @property
    def in_flight(self) -> int:
        """Calls that are under way."""
        with self._lock:
            return self._in_flight

    @property
    def started(self) -> int:
        """The number of the call that started last."""
        with self._lock:
            return self._number

    def start(self) -> int | None:
        """The number of a call that may start now, or None."""
        with self._lock:
            if self._in_flight >= int(self._limit):
                return None
            self._in_flight += 1
            self._number += 1
            self._saturated = self._saturated or self._in_flight >= int(self._limit)
            return self._number

    def settle(self, number: int, outcome: Outcome) -> None:
        """Call `number` ended; a `limited` one that started before the last cut cuts nothing again."""
        with self._lock:
            self._in_flight -= 1
            if outcome == "limited" and number > self._episode_ends:
                self._limit = max(1.0, self._limit * self._cut)
                self._episode_ends = self._number
                self._slow_start = self._saturated = False
            elif outcome == "failed":
                self._saturated = False
            elif outcome == "good" and self._saturated and number > self._episode_ends:
                step = 1.0 if self._slow_start else 1 / self._limit
                self._limit = min(float(self.size), self._limit + step)
                self._saturated = self._in_flight + 1 >= int(self._limit)
