"""How much may be sent per time: what a provider allows, says is left, or lets through. Clocks are passed in."""

from __future__ import annotations

import math
from collections import deque

QUICK, SLOW = 0.9, 0.5
"""By what a learned rate is cut: while some calls still pass, and when none has passed for a while."""
GROWTH = 0.05
SLOWEST, REMEMBERED = 1 / 60, 1024
PATIENCE = 6


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


class LearnedRate:
    """Calls per second that a provider was seen to let through: unknown until it first refuses one, cut with each
    wave of refusals, and slowly raised while calls wait for it."""

    def __init__(self) -> None:
        self.rate = math.inf
        self._good: deque[float] = deque(maxlen=REMEMBERED)
        self._next = self._began = -math.inf
        self._grown = 0.0
        self._refused = 0

    def wait(self, now: float) -> float:
        """Seconds until the next call may be sent."""
        return max(0.0, self._next - now)

    def take(self, now: float, *, waited: bool) -> None:
        """A call is sent; one that had to wait shows that the rate is used in full."""
        if self.rate == math.inf:
            return
        if waited:
            self.rate *= 1 + GROWTH * min(1.0, now - self._grown)
        self._grown = now
        self._next = max(self._next, now - 1 / self.rate) + 1 / self.rate

    def good(self, now: float) -> None:
        """A call was let through."""
        self._good.append(now)
        self._refused = 0

    def refused(self, now: float) -> None:
        """The first call of a wave was refused."""
        self._refused += 1
        if self.rate == math.inf:
            self.rate = max(1.0, float(self._passed(now, 1.0)))
        else:
            self.rate *= QUICK if self._refused < PATIENCE else SLOW
            span = max(1.0, 10 / self.rate)
            if now - self._began >= span:
                self.rate = min(self.rate, max(1, self._passed(now, span)) / span)
        self.rate = max(SLOWEST, self.rate)
        self._grown = now
        self._next = max(self._next, now + 1 / self.rate)

    def resumed(self, now: float) -> None:
        """Calls are sent again after a pause, of which nothing can be learned."""
        self._began = now

    def _passed(self, now: float, seconds: float) -> int:
        return sum(moment > now - seconds for moment in self._good)
