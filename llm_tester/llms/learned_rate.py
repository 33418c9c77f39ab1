"""How many calls per second a provider lets through, found out from what it refuses. The clock is passed in."""

from __future__ import annotations

import math
from collections import deque

CAUTION = 0.95
"""What part of the rate that was let through is asked for after a refusal: a rate in full would be refused at once."""
QUICK, FASTER, SLOW = 0.9, 0.7, 0.5
"""By what a rate is cut: while most of what was asked for passes, when few calls passed since the last cut, and when
fewer than FEW did. More than FASTER of a rate that passes is most of it."""
FEW, ENOUGH = 3, 10
"""Calls: fewer say that a rate was far too high, and so many tell how much may pass."""
LIKE = 1.25
"""By how much a rate may have grown while what passes is measured."""
RARER, PATIENCE = 2.0, 6
"""How much longer than before it waits after each wave of which nothing passed, and after how many such waves the wait
is all that is known of the rate."""
CALM, CALLS, PAUSES = 2.0, 20, 12
"""Seconds, calls, or pauses such as refusals cost: in the longest of them a rate comes about two thirds of the way back
to what was refused, of a deep cut half the way in less. Then it grows ever faster: the provider may allow more now."""
SEARCH, STEP = 4.0, 3.0
"""By what part of itself a rate grows per second that is only guessed, and no other one by more; and how many times per
call at most."""
SPAN = 1.0
"""Seconds of which what passed is the first guess."""
LONG = 30.0
"""Seconds of a pause after which what passed before it tells nothing any more."""
IDLE = 0.5
"""Seconds for which nobody asks after which a rate is no longer in use."""
SLOWEST = 1 / 60
_TO_HALF_WAY = math.log(1 / SLOW) / 2
_FROM_HALF_WAY = math.log(1 / QUICK) / 2
_MOST = math.log(STEP)


class LearnedRate:
    """Calls per second that a provider was seen to let through: unknown until it first refuses one.

    From one wave of refusals to another one a rate in use passes what the provider allows, so a wave cuts it toward
    that. Between waves it grows while calls wait for it, the more slowly the longer the pauses are that refusals cost.
    """

    def __init__(self) -> None:
        self.rate = math.inf
        self._guessed = False
        self._next = self._quiet_until = -math.inf
        self._good: deque[float] = deque(maxlen=1_000)
        self._waves = self._sent = self._since_cut = 0
        self._grown = self._cut = self._pause = self._half_way = 0.0
        self._began, self._passed, self._measured = 0.0, 0, math.inf

    def wait(self, now: float) -> float:
        """Seconds until the next call may be sent."""
        return max(0.0, self._next - now)

    def take(self, now: float, *, waited: bool) -> None:
        """A call is sent; one that had to wait shows that the rate is used in full."""
        if self.rate == math.inf:
            return
        self._sent += 1
        if now - max(self._next, self._quiet_until) > IDLE:
            self._measure_from(now)
        if waited and not self._waves:
            self.rate *= math.exp(min(_MOST, self._growth(now)))
            if self.rate > LIKE * self._measured:
                self._measure_from(now)
        self._grown = now
        # A late call is caught up with, but not what a pause has kept back.
        self._next = max(self._next, self._quiet_until, now - 1 / self.rate) + 1 / self.rate

    def _growth(self, now: float) -> float:
        """By how much the rate's logarithm grows."""
        seconds = max(0.0, now - max(self._grown, self._cut))
        if self._guessed:
            return math.log(1 + SEARCH * seconds)
        if self.rate < self._half_way:
            return _TO_HALF_WAY * seconds / max(CALM, FEW / self.rate)
        back = max(CALM, CALLS / self.rate, PAUSES * self._pause)
        faster = max(1.0, (now - self._cut) / back)
        return min(SEARCH, _FROM_HALF_WAY / back * faster**3) * seconds

    def good(self, now: float, *, since: bool) -> None:
        """A call was let through; `since` says whether it was sent since the last wave, and so at the present rate."""
        self._good.append(now)
        self._passed += 1
        self._since_cut += 1
        if since:
            self._waves = 0
        elif self._guessed:
            # It was sent together with those that were refused first, and passed.
            self.rate = max(self.rate, self._lately(now))
            self._next = min(self._next, now + 1 / self.rate)

    def _lately(self, now: float) -> float:
        return float(sum(moment > now - SPAN for moment in self._good))

    def refused(self, now: float) -> None:
        """The first call of a wave was refused."""
        # Refusals come at once and answers late: when there were several calls since the last wave, the first passed.
        self._waves = 1 if self._sent > 1 else self._waves + 1
        self._sent = 0
        if self.rate == math.inf:
            self._guessed = True
            self.rate = max(1.0, self._lately(now))
        elif self._waves == 1:
            self._reduce(now)
        elif self._waves > PATIENCE:
            # The waits before have grown as much; from here on the rate itself says how long they are.
            known = self.rate / RARER ** (PATIENCE - 1) if self._waves == PATIENCE + 1 else self.rate
            self._guessed = True
            self.rate = max(SLOWEST, known * SLOW)
        self._since_cut = 0
        self._grown = self._cut = now
        self._pause = 0.0
        # What is used up may be a minute's allowance, which says nothing of the rate.
        rarer = RARER ** (self._waves - 1) if self._waves <= PATIENCE else 1.0
        self._next = max(self._next, now + min(rarer / self.rate, 1 / SLOWEST))

    def _reduce(self, now: float) -> None:
        part = self._part(now)
        self._half_way = self.rate * min(QUICK, math.sqrt(part))
        self.rate = max(SLOWEST, self.rate * part)
        # Some calls passed at the last guess, so it was too low, and this one was too high.
        self._guessed = False
        self._measure_from(now)

    def _part(self, now: float) -> float:
        """What part of the rate the provider seems to let through."""
        if self._guessed:
            return SLOW
        if self._passed >= ENOUGH:
            part = CAUTION * self._passed / max(now - self._began, 1e-6) / self.rate
            return QUICK if part > FASTER else max(SLOW, part)
        if self._since_cut >= ENOUGH:
            return QUICK
        return FASTER if self._since_cut >= FEW else SLOW

    def paused(self, now: float, until: float) -> None:
        """Nothing is sent in between. In a short pause the limit refills; what a long one is for nobody knows."""
        self._pause = max(self._pause, until - now)
        self._cut = self._quiet_until = until
        if until - now > LONG:
            self._measure_from(until)

    def _measure_from(self, now: float) -> None:
        self._began, self._passed, self._measured = now, 0, self.rate
