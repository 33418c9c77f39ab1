"""How much may be sent per time: what a provider allows, or says is left. Clocks are passed in."""

from __future__ import annotations

import math


class Bucket:
    """An amount that refills with time, up to `capacity`; what is taken may be more than there was, and is owed."""

    def __init__(self, per_minute: float) -> None:
        # A full bucket and its refill in one minute make up what may go out in any minute.
        self.capacity = max(1.0, per_minute / 60)
        self.rate = max(per_minute - self.capacity, 1.0) / 60
        self._level = self.capacity
        self._at: float | None = None

    def wait(self, amount: float, now: float) -> float:
        """Seconds until `amount` may be taken: all of it, or as much as ever fits."""
        self._fill(now)
        missing = min(amount, self.capacity) - self._level
        return missing / self.rate if missing > 1e-9 else 0.0

    def take(self, amount: float, now: float) -> None:
        """Take it; a negative amount gives back."""
        self._fill(now)
        self._level = min(self.capacity, self._level - amount)

    def _fill(self, now: float) -> None:
        if self._at is not None:
            self._level = min(self.capacity, self._level + max(0.0, now - self._at) * self.rate)
        self._at = now


class Quota:
    """What a provider last said is left, and in how many seconds all of it is back; it is believed until then."""

    def __init__(self) -> None:
        self._left = math.inf
        self._until = -math.inf

    def heard(self, left: float, reset: float, now: float) -> None:
        """The provider says so, not counting what is under way."""
        self._left, self._until = left, now + reset

    def wait(self, amount: float, now: float) -> float:
        """Seconds until `amount` may be sent."""
        return self._until - now if self._left < amount and now < self._until else 0.0

    def take(self, amount: float) -> None:
        """`amount` is sent."""
        self._left -= amount
