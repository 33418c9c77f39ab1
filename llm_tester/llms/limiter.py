"""One model's limiter: how many calls at once, how many and how many tokens per minute, and pauses that it asks for."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Generator
from typing import Any

from llm_tester.catalogue import RateLimits
from llm_tester.errors import OverloadedError, ProviderError, RateLimitError, is_providers_own
from llm_tester.llms.exchange import Settle
from llm_tester.llms.flow import Acquire, Effect, Wait
from llm_tester.llms.learned_rate import LearnedRate
from llm_tester.llms.limits import ConnectionSlots, PacedSlots
from llm_tester.llms.pace import Outcome, Pace
from llm_tester.llms.rates import Bucket, Quota
from llm_tester.records import Allowance, Request, Response

ANSWER_TOKENS = 256
"""What an answer is taken to have where no max_tokens bounds it, until its usage is known."""
BELIEVED = 60.0
"""For how many seconds at most a used-up limit in a header keeps calls back: only a refusal is sure."""
LOOK = 0.5
"""How often who waits looks again, in seconds: an answer gives back tokens, or tells that more may pass."""


class Limiter:
    """What all calls to one model share, in any thread or event loop: at most `size` in flight, slowed by refusals.

    A refusal (429, 529) cuts the pace once per wave, and teaches the rate that the provider lets through.
    """

    def __init__(
        self, size: int, limits: RateLimits | None = None, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._slots = PacedSlots(Pace(size))
        self._turn = ConnectionSlots(1)
        self._clock = clock
        self._lock = threading.Lock()
        said = limits or RateLimits()
        self._requests = Bucket(said.requests_per_minute) if said.requests_per_minute else None
        self._tokens = Bucket(said.tokens_per_minute) if said.tokens_per_minute else None
        self._learned = LearnedRate()
        self._requests_left, self._tokens_left = Quota(), Quota()
        self._wave_ends = 0
        self._paused_until = -math.inf
        self._free = self._requests is None and self._tokens is None

    @property
    def pace(self) -> Pace:
        """How many calls may be in flight now, and are."""
        return self._slots.pace

    @property
    def rate(self) -> float:
        """Calls per second that the provider was seen to let through; infinite as long as it refuses none."""
        return self._learned.rate

    def paused(self) -> float:
        """Seconds for which the provider wants to be left alone."""
        return max(0.0, self._paused_until - self._clock())

    def admit(self, request: Request, *, longest: float, gate: Callable[[], float]) -> Generator[Effect, Any, Settle]:
        """Wait for this call's turn, for as long as `gate` says so too; RateLimitError where a pause lasts longer than
        `longest` seconds."""
        tokens = _estimate(request)
        if self._free and not gate():
            number = self._slots.at_once()
            if number is None:
                number = yield Acquire(self._slots)
            if self._is_held_back(number, gate, self._clock()) or not self._still_free(number):
                number = yield from self._in_turn(tokens, longest, gate)
        else:
            number = yield from self._in_turn(tokens, longest, gate)
        return self._settle(number, tokens)

    def _in_turn(self, tokens: float, longest: float, gate: Callable[[], float]) -> Generator[Effect, Any, int]:
        """Only one call looks at the clock, all others stand behind it."""
        self._refuse_beyond(longest)
        yield Acquire(self._turn)
        now = self._clock()
        waited = False
        try:
            while True:
                while (seconds := max(self._wait(tokens, now), gate())) > 0:
                    self._refuse_beyond(longest)
                    # A rate is used in full where calls wait for it, and not for something else that is slower.
                    waited = self._learned.wait(now) >= seconds
                    seconds = min(LOOK, seconds)
                    yield Wait(seconds)
                    # Some sleeps end a little early; who waited need not wait for the rest.
                    now = max(self._clock(), now + seconds)
                number: int = yield Acquire(self._slots)
                began, now = now, max(now, self._clock())
                waited = waited and (now - began) * self._learned.rate <= 1
                if not self._is_held_back(number, gate, now):
                    break
            self._take(tokens, now, waited=waited)
            return number
        finally:
            self._turn.release()

    def _is_held_back(self, number: int, gate: Callable[[], float], now: float) -> bool:
        """Whether a pause began while a call waited for its slot, which it then gives back."""
        try:
            held_back = self._paused_until > now or gate() > 0
        except BaseException:
            self._slots.settle(number, "other")
            raise
        if held_back:
            self._slots.settle(number, "other")
        return held_back

    def _still_free(self, number: int) -> bool:
        """Whether nothing was refused while a call waited for its slot, which it then gives back."""
        if not self._free:
            self._slots.settle(number, "other")
        return self._free

    def _refuse_beyond(self, longest: float) -> None:
        left = self.paused()
        if left > longest:
            raise RateLimitError(
                f"the provider wants to be left alone for {left:.0f} s more, longer than {longest:g} s",
                status=429,
                retry_after=left,
            )

    def _wait(self, tokens: float, now: float) -> float:
        with self._lock:
            waits = [self._paused_until - now, self._learned.wait(now)]
            waits += [self._requests_left.wait(1, now), self._tokens_left.wait(tokens, now)]
            if self._requests:
                waits.append(self._requests.wait(1, now))
            if self._tokens:
                waits.append(self._tokens.wait(tokens, now))
        return max(waits)

    def _take(self, tokens: float, now: float, *, waited: bool) -> None:
        with self._lock:
            self._learned.take(now, waited=waited)
            self._requests_left.take(1)
            self._tokens_left.take(tokens)
            if self._requests:
                self._requests.take(1, now)
            if self._tokens:
                self._tokens.take(tokens, now)

    def _settle(self, number: int, tokens: float) -> Settle:
        def settle(outcome: Response | ProviderError | None) -> None:
            kind = _kind(outcome)
            with self._lock:
                self._learn(number, kind, outcome, tokens)
            self._slots.settle(number, kind)

        return settle

    def _learn(self, number: int, kind: Outcome, outcome: Response | ProviderError | None, tokens: float) -> None:
        now = self._clock()
        if kind == "good":
            self._learned.good(now, since=number > self._wave_ends)
        if isinstance(outcome, ProviderError) and kind == "limited":
            self._refused(number, outcome.retry_after, now)
        if outcome is not None and outcome.allowance is not None:
            self._heard(outcome.allowance, now)
        used = outcome.usage.total_tokens if outcome is not None and outcome.usage is not None else None
        if self._tokens and used is not None:
            self._tokens.take(used - tokens, now)

    def _refused(self, number: int, retry_after: float | None, now: float) -> None:
        self._free = False
        if number > self._wave_ends:
            self._learned.refused(now)
            self._wave_ends = self.pace.started
        if retry_after is not None and 0 < retry_after < math.inf:
            self._paused_until = max(self._paused_until, now + retry_after)
            self._learned.paused(now, self._paused_until)

    def _heard(self, told: Allowance, now: float) -> None:
        under_way = self.pace.in_flight - 1
        if told.requests_left is not None and told.requests_reset is not None:
            self._free = False
            self._requests_left.heard(told.requests_left - under_way, min(BELIEVED, told.requests_reset), now)
        if told.tokens_left is not None and told.tokens_reset is not None:
            self._free = False
            self._tokens_left.heard(told.tokens_left, min(BELIEVED, told.tokens_reset), now)


def _kind(outcome: Response | ProviderError | None) -> Outcome:
    if isinstance(outcome, Response):
        return "good"
    if isinstance(outcome, RateLimitError) or (isinstance(outcome, OverloadedError) and outcome.status == 529):
        return "limited"
    return "failed" if outcome is not None and is_providers_own(outcome) else "other"


def _estimate(request: Request) -> float:
    """Tokens of a call before its usage is known: four bytes of prompt are about one, and the longest answer."""
    longest = request.parameters.get("max_tokens", request.parameters.get("max_completion_tokens"))
    prompt = sum(len(message.content) for message in request.messages) / 4
    return prompt + (longest if isinstance(longest, int) else ANSWER_TOKENS)
