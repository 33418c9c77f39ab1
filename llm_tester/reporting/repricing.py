"""What the calls of a run would cost at other rates."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from llm_tester.cost_manager import REPORTED, Rates, cost_of, usd_text
from llm_tester.evals.run_records import EntrantRecord
from llm_tester.evals.spending import REPORTED as REPORTED_CLASS
from llm_tester.evals.spending import Spent
from llm_tester.reporting.money import Amount, Tally


@dataclass(frozen=True, slots=True)
class Repriced:
    """One entrant: its cost as the ledger has it, and at other rates, each with where its prices come from."""

    entrant: EntrantRecord
    rates: Rates
    old: Amount
    new: Amount
    old_source: str
    new_source: str

    @property
    def change(self) -> Decimal | None:
        """New over old, less one; None where either is not known whole."""
        if not (self.old.exact and self.new.exact) or not self.old.known or self.new.known is None:
            return None
        return self.new.known / self.old.known - 1

    def to_json(self) -> dict[str, Any]:
        """The row as `reprice --json` prints it."""
        return {
            "entrant": self.entrant.entrant.name,
            "model": f"{self.entrant.entrant.provider}:{self.entrant.entrant.model}",
            "cost_usd": _usd(self.old),
            "unknown_calls": self.old.unknown_calls,
            "source": self.old_source,
            "priced_on": None if self.old_source == REPORTED else self.entrant.rates.priced_on,
            "new_cost_usd": _usd(self.new),
            "new_unknown_calls": self.new.unknown_calls,
            "new_source": self.new_source,
            "new_priced_on": None if self.new_source == REPORTED else self.rates.priced_on,
        }


def reprice(calls: Iterable[Spent], entrants: Iterable[EntrantRecord], rates: Mapping[str, Rates]) -> list[Repriced]:
    """Every entrant's cost at `rates`, by its name; what a provider itself said of a cost stays as it is."""
    old: dict[str, Tally] = {}
    new: dict[str, Tally] = {}
    then: dict[str, Counter[bool]] = {}
    now: dict[str, Counter[bool]] = {}
    for spent in calls:
        old.setdefault(spent.entrant, Tally()).add(spent, spent.known, unknown=spent.unknown)
        other = at_rates(spent, rates[spent.entrant])
        new.setdefault(spent.entrant, Tally()).add(other, other.known, unknown=other.unknown)
        for counted, call in ((then, spent), (now, other)):
            counted.setdefault(spent.entrant, Counter()).update(_reported(call))
    return [
        Repriced(
            entry,
            rates[name],
            old.get(name, Tally()).amount,
            new.get(name, Tally()).amount,
            _source(entry.rates, then.get(name, Counter())),
            _source(rates[name], now.get(name, Counter())),
        )
        for entry in entrants
        for name in (entry.entrant.name,)
    ]


def _reported(spent: Spent) -> list[bool]:
    """Whether the provider itself said what an answer costs; nothing of a call without an answer."""
    return [any(line.token_class == REPORTED_CLASS for line in spent.cost.lines)] if spent.cost else []


def _source(rates: Rates, reported: Counter[bool]) -> str:
    if not reported[True]:
        return rates.source
    return f"{REPORTED} and {rates.source}" if reported[False] else REPORTED


def at_rates(spent: Spent, rates: Rates) -> Spent:
    """The same call at other rates, at its own time of the day; the bound of an unknown cost no longer holds."""
    if spent.usage is None or spent.cost is None:
        return replace(spent, at_most=None)
    cost = cost_of(spent.usage, rates, spent.moment)
    others = spent.unknown_attempts - (not spent.cost.complete)
    return replace(spent, cost=cost, unknown_attempts=others + (not cost.complete), at_most=None)


def _usd(amount: Amount) -> str | None:
    return None if amount.known is None else usd_text(amount.known)
