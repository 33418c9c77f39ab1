"""How much may be sent per time: what a provider allows, says is left, or lets through. Clocks are passed in."""

from __future__ import annotations

import math
from collections import deque

CAUTION = 0.95
"""What part of the rate that was let through is asked for after a refusal: a rate in full would be refused at once."""
QUICK, SLOW = 0.9, 0.5
"""By what a rate is cut as long as little is known of it: while some calls still pass, and when none does any more."""
PATIENCE = 6
"""Waves of refusals without one good answer between them after which none passes any more."""
GROWTH, PER_CALL = 0.05, 0.01
"""By what part of itself a rate in use grows, at most: per second, and per call, so that slow ones are not refused
every other time."""
CALM, CALLS = 2.0, 20
"""Seconds, and calls, without a refusal after which it grows ever faster: the provider may allow far more now."""
SEARCH = 2.0
"""By what part of itself it grows per second, and per call at most, as long as nothing but a first guess is known."""
SPAN, ENOUGH = 1.0, 10
"""For how many seconds, and for how many calls, a rate must be in use before what passed tells how much may pass."""
IDLE = 0.5
"""Seconds for which nobody asks after which a rate is no longer in use."""
SLOWEST = 1 / 60


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
    """Calls per second that a provider was seen to let through: unknown until it first refuses one.

    From one wave of refusals to another one a rate in use passes exactly what the provider allows, so a wave cuts it to
    that; between waves it grows while calls wait for it.
    """

    def __init__(self) -> None:
        self.rate = math.inf
        self._good: deque[float] = deque(maxlen=ENOUGH**3)
        self._next = -math.inf
        self._grown = self._cut = 0.0
        self._began = self._passed = 0.0
        self._waves = 0
        self._guessed = False

    def wait(self, now: float) -> float:
        """Seconds until the next call may be sent."""
        return max(0.0, self._next - now)

    def take(self, now: float, *, waited: bool) -> None:
        """A call is sent; one that had to wait shows that the rate is used in full."""
        if self.rate == math.inf:
            return
        if now - self._next > IDLE:
            self._measure_from(now)
        if waited and not self._waves:
            self.rate *= 1 + self._growth(now)
        self._grown = now
        self._next = max(self._next, now - 1 / self.rate) + 1 / self.rate

    def _growth(self, now: float) -> float:
        seconds = now - self._grown
        if self._guessed:
            return SEARCH * min(1.0, seconds)
        calm = max(CALM, CALLS / self.rate)
        step = min(GROWTH * seconds, PER_CALL) * max(1.0, (now - self._cut) / calm)
        return min(SEARCH * min(1.0, seconds), step)

    def good(self, now: float, *, since: bool) -> None:
        """A call was let through; `since` says whether it was sent since the last wave, and so at the present rate."""
        self._good.append(now)
        self._passed += 1
        if since:
            self._waves = 0

    def refused(self, now: float) -> None:
        """The first call of a wave was refused."""
        if not self._waves:
            # Some calls passed at the last guess, so it was too low, and this one is too high.
            self._guessed = False
        self._waves += 1
        if self.rate == math.inf:
            self._guessed = True
            self.rate = max(1.0, float(sum(moment > now - SPAN for moment in self._good)))
            self._measure_from(now)
        else:
            self.rate *= self._cut_by(now)
        self.rate = max(SLOWEST, self.rate)
        self._grown = self._cut = now
        self._next = max(self._next, now + 1 / self.rate)

    def _cut_by(self, now: float) -> float:
        seconds = now - self._began
        if self._passed and seconds >= max(SPAN, ENOUGH / self.rate):
            measured = CAUTION * self._passed / seconds
            self._measure_from(now)
            return max(SLOW, min(QUICK, measured / self.rate))
        if self._waves < PATIENCE:
            return QUICK
        self._guessed = True
        return SLOW

    def paused(self, seconds: float, until: float) -> None:
        """Nothing is sent for so long: the limit goes on to refill, but what a long pause is for nobody knows."""
        if seconds > max(SPAN, ENOUGH / self.rate):
            self._measure_from(until)

    def _measure_from(self, now: float) -> None:
        self._began, self._passed = now, 0.0
