"""Budgets: each attempt reserves what it can cost at most before it is sent, and gives back what it did not cost."""

from __future__ import annotations

import threading
from collections.abc import Collection, Generator
from concurrent.futures import Future
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal
from typing import Any, Protocol

from llm_tester.cost_manager import PICODOLLARS, Rates, from_picodollars, usd_text
from llm_tester.errors import BudgetExceededError, ProviderError
from llm_tester.llms.base import BaseLLM
from llm_tester.llms.bounds import OUTPUT_CAP, capped, worst_case
from llm_tester.llms.exchange import Settle
from llm_tester.llms.flow import Do, Effect, Wait
from llm_tester.records import Cost, Request, Response

POLL_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Shortage:
    """Why a call did not fit into a budget; all in USD. `reserved` is for calls in flight or of unknown cost.

    `in_flight` says whether any call is under way whose end can make room.
    """

    budget: str
    usd: Decimal
    spent: Decimal
    reserved: Decimal
    needed: Decimal
    in_flight: bool = False

    def __str__(self) -> str:
        return (
            f"{self.budget} of ${usd_text(self.usd)} does not cover the next call, which can cost up to"
            f" ${usd_text(self.needed)}: ${usd_text(self.spent)} is spent, and ${usd_text(self.reserved)} is reserved"
            " for calls in flight or of unknown cost"
        )


class SharedBudgets(Protocol):
    """Reservations that other processes see; amounts are picodollars."""

    limited: bool
    """Whether a reservation can be refused here."""

    def reserve(self, request: Request, number: int, amount: int) -> Future[Shortage | None]:
        """Reserve for one attempt, durably, or say what it does not fit into."""

    def settle(self, request: Request, number: int, amount: int) -> None:
        """The attempt ended without an answer and keeps so much of its reservation."""


class Budget:
    """At most `usd` (None: no limit of its own) beyond what is `spent` or `reserved` already; threads may share it.

    Give it to a ProviderManager: an attempt that does not fit waits for those in flight, and raises
    BudgetExceededError when none is. Calls to simulated providers pass, and those to others than `only` where that is
    given. A call that names no max_tokens gets `cap`. `shared` holds the reservations of others.
    """

    def __init__(
        self,
        usd: Decimal | None,
        *,
        spent: Decimal = Decimal(0),
        reserved: Decimal = Decimal(0),
        shared: SharedBudgets | None = None,
        name: str = "the budget",
        only: Collection[str] | None = None,
        cap: int | None = OUTPUT_CAP,
    ) -> None:
        self.usd, self.name, self.shared = usd, name, shared
        self._only, self._cap = only, cap
        self.refusal: Shortage | None = None
        self._limit = None if usd is None else int(usd * PICODOLLARS)
        self._spent, self._kept = ceiled(spent), ceiled(reserved)
        self._held = self._in_flight = 0
        self._waiting: list[Future[None]] = []
        self._lock = threading.Lock()

    @property
    def spent(self) -> Decimal:
        """What is known to be spent."""
        with self._lock:
            return from_picodollars(self._spent)

    @property
    def reserved(self) -> Decimal:
        """What calls in flight, and those of unknown cost, can have cost."""
        with self._lock:
            return from_picodollars(self._kept + self._held)

    def covers(self, provider: BaseLLM) -> bool:
        """Whether it is for calls to `provider`."""
        return not provider.is_simulated and (self._only is None or provider.name in self._only)

    def bounded(self, request: Request) -> Request:
        """`request` with an end to its answer."""
        return request if self._cap is None else capped(request, self._cap)

    def admission(self, provider: BaseLLM, rates: Rates) -> Charge:
        """What the attempts of a call to `provider` pass, at these rates."""
        return Charge(self, provider, rates)

    def take(self, amount: int) -> tuple[Shortage | None, Future[None]]:
        """Hold so many picodollars, or say why not; the future is done when it is worth asking again."""
        ended: Future[None] = Future()
        with self._lock:
            if self._limit is None or self._spent + self._kept + self._held + amount <= self._limit:
                self._held += amount
                self._in_flight += 1
                return None, ended
            self._waiting.append(ended)
            return self._shortage(amount), ended

    def give_back(self, amount: int) -> None:
        """Hold it no longer: nothing was sent. Nobody is woken, as the same shortage meets all."""
        with self._lock:
            self._held -= amount
            self._in_flight -= 1

    def settle(self, amount: int, spent: int, kept: int) -> None:
        """The attempt that held `amount` is over: what it is known to have cost, and what it can have cost besides."""
        with self._lock:
            self._held -= amount
            self._in_flight -= 1
            self._spent += spent
            self._kept += kept
        self._wake()

    def refuse(self, shortage: Shortage) -> BudgetExceededError:
        """The error of a call that does not fit while none is in flight."""
        self.refusal = shortage
        self._wake()
        return BudgetExceededError(f"{shortage}", hint="Raise the budget, or ask for shorter answers (max_tokens).")

    def _wake(self) -> None:
        with self._lock:
            woken, self._waiting = self._waiting, []
        for future in woken:
            if future.set_running_or_notify_cancel():
                future.set_result(None)

    def _shortage(self, amount: int) -> Shortage:
        spent, reserved = from_picodollars(self._spent), from_picodollars(self._kept + self._held)
        usd = self.usd or Decimal(0)
        return Shortage(self.name, usd, spent, reserved, from_picodollars(amount), in_flight=self._in_flight > 0)


class Charge:
    """A budget as one call's exchange.Admission; the last one, as nothing is to be reserved for what is not sent."""

    def __init__(self, budget: Budget, provider: BaseLLM, rates: Rates) -> None:
        self._budget, self._provider, self._rates = budget, provider, rates

    def admit(self, request: Request, number: int) -> Generator[Effect, Any, Settle]:
        """Reserve the worst case of one attempt; raises BudgetExceededError, also for what nothing bounds."""
        worst = worst_case(self._provider, request, self._rates)
        if worst is None:
            raise BudgetExceededError(
                f"nothing bounds what a call to {request.provider}:{request.model} can cost, and a budget is set",
                hint=f"Give it prices and max_output_tokens under providers.{request.provider} in config.json.",
            )
        amount = ceiled(worst)
        while (shortage := (yield from self._reserve(request, number, amount))) is not None:
            if not shortage.in_flight:
                raise self._budget.refuse(shortage)
        return lambda outcome: self._settle(request, number, amount, outcome)

    def _reserve(self, request: Request, number: int, amount: int) -> Generator[Effect, Any, Shortage | None]:
        """Reserve, or wait until it is worth asking again where it is."""
        shortage, ended = self._budget.take(amount)
        if shortage is not None:
            if shortage.in_flight:
                yield Do(lambda: ended)
            return shortage
        try:
            shortage = yield from self._share(request, number, amount)
        except BaseException:
            self._budget.settle(amount, 0, 0)
            raise
        if shortage is not None:
            self._budget.give_back(amount)
            if shortage.in_flight:
                yield Wait(POLL_SECONDS)
        return shortage

    def _share(self, request: Request, number: int, amount: int) -> Generator[Effect, Any, Shortage | None]:
        shared = self._budget.shared
        if shared is None or not amount:
            return None
        if number == 1 and not shared.limited:
            # The claim that follows is written after it, and waited for.
            shared.reserve(request, number, amount)
            return None
        shortage: Shortage | None = yield Do(lambda: shared.reserve(request, number, amount))
        return shortage

    def _settle(self, request: Request, number: int, amount: int, outcome: Response | ProviderError | None) -> None:
        cost = _cost_of_end(outcome, number)
        spent = 0 if cost is None else ceiled(cost.known)
        kept = amount if outcome is None or (cost is not None and not cost.complete) else 0
        self._budget.settle(amount, spent, kept)
        if self._budget.shared is not None and isinstance(outcome, ProviderError):
            self._budget.shared.settle(request, number, spent + kept)


def _cost_of_end(outcome: Response | ProviderError | None, number: int) -> Cost | None:
    """What the attempt cost; None where nothing can have been billed, or nothing is known of its end."""
    if isinstance(outcome, Response):
        return outcome.cost
    attempts = outcome.attempts if outcome is not None else ()
    return next((attempt.cost for attempt in attempts if attempt.number == number), None)


def ceiled(usd: Decimal) -> int:
    """USD as picodollars, rounded up."""
    return int((usd * PICODOLLARS).to_integral_value(ROUND_CEILING))
