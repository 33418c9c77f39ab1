"""The money of a run, per task and entrant: by token class, by outcome, per sample, and for more samples."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from llm_tester.cost_manager import Rates, without_cache
from llm_tester.evals.run_records import EntrantRecord
from llm_tester.evals.samples import Outcome
from llm_tester.evals.spending import Spent
from llm_tester.evals.stats import t_quantile

PROJECTED = (1_000, 10_000, 100_000, 1_000_000)
TAIL = 0.975


@dataclass(frozen=True, slots=True)
class Amount:
    """USD: `known` is what could be priced (None: nothing); of `unknown_calls` calls some or all cost is unknown.

    `at_most` bounds known and unknown together; it is None where nothing bounds them.
    """

    known: Decimal | None
    unknown_calls: int = 0
    at_most: Decimal | None = None

    @property
    def exact(self) -> bool:
        """Whether `known` is all."""
        return self.known is not None and not self.unknown_calls

    def times(self, factor: Decimal) -> Amount:
        """The amount scaled."""
        known = None if self.known is None else self.known * factor
        return Amount(known, self.unknown_calls, None if self.at_most is None else self.at_most * factor)


@dataclass
class Tally:
    """A sum that remembers what of it is unknown."""

    calls: int = 0
    priced: int = 0
    known: Decimal = Decimal(0)
    unknown_calls: int = 0
    unbounded: bool = False
    open: Decimal = Decimal(0)

    def add(self, spent: Spent, known: Decimal | None, *, unknown: bool) -> None:
        """Count one call of which `known` USD are known."""
        self.calls += 1
        if known is not None:
            self.known += known
            self.priced += 1
        if unknown or known is None:
            self.unknown_calls += 1
            self.unbounded = self.unbounded or spent.at_most is None
            self.open += (spent.at_most or Decimal(0)) * max(1, spent.unknown_attempts)

    @property
    def amount(self) -> Amount:
        """The sum."""
        known = self.known if self.priced or not self.calls else None
        return Amount(known, self.unknown_calls, None if self.unbounded else self.known + self.open)


@dataclass
class ClassTally:
    """The tokens of one class and what they cost; `unpriced` of them have no rate."""

    tokens: int = 0
    usd: Decimal = Decimal(0)
    unpriced: int = 0
    priced: int = 0


@dataclass(frozen=True, slots=True)
class Retries:
    """How many attempts were repeats, what those without an answer cost, and of how many that is not known."""

    count: int
    unknown: int
    known: Decimal


@dataclass(frozen=True, slots=True)
class Projection:
    """What `samples` samples would cost, and its 95 % interval where that can be told."""

    samples: int
    amount: Amount
    interval: tuple[Decimal, Decimal] | None


@dataclass
class Money:
    """What one entrant cost on one task."""

    rates: Rates
    total: Tally = field(default_factory=Tally)
    undiscounted: Tally = field(default_factory=Tally)
    by_outcome: dict[Outcome, Tally] = field(default_factory=dict)
    by_class: dict[str, ClassTally] = field(default_factory=dict)
    repeats: int = 0
    unknown_repeats: int = 0
    retried: Decimal = Decimal(0)
    squares: float = 0.0
    of_links: Mapping[str, Rates] = field(default_factory=dict)
    """The rates of the models of a chain."""

    def add(self, spent: Spent) -> None:
        """Count one call."""
        known = spent.known
        self.total.add(spent, known, unknown=spent.unknown)
        self.by_outcome.setdefault(spent.outcome, Tally()).add(spent, known, unknown=spent.unknown)
        self._add_undiscounted(spent)
        self.repeats += max(0, spent.attempts - 1)
        self.unknown_repeats += min(spent.unknown_attempts, max(0, spent.attempts - 1))
        self.retried += spent.retried
        self.squares += float(known or 0) ** 2
        for line in spent.cost.lines if spent.cost else ():
            tally = self.by_class.setdefault(line.token_class, ClassTally())
            tally.tokens += line.tokens
            if line.usd is None:
                tally.unpriced += line.tokens
            else:
                tally.usd += line.usd
                tally.priced += 1

    def _add_undiscounted(self, spent: Spent) -> None:
        if spent.usage is None or not spent.usage.cached_input:
            self.undiscounted.add(spent, spent.known, unknown=spent.unknown)
            return
        cost = without_cache(spent.usage, self.of_links.get(spent.served_by, self.rates), spent.moment)
        known = cost.known if cost.lines and any(line.usd is not None for line in cost.lines) else None
        incomplete = spent.cost is not None and not spent.cost.complete
        others = spent.unknown_attempts > incomplete
        self.undiscounted.add(spent, known, unknown=others or not cost.complete)

    def per(self, count: int) -> Amount | None:
        """The cost of one of `count` samples; None for none."""
        return self.total.amount.times(Decimal(1) / count) if count else None

    @property
    def retries(self) -> Retries:
        """What repeated attempts cost, as far as the ledger tells."""
        return Retries(self.repeats, self.unknown_repeats, self.retried)

    def projections(self, asked: int) -> list[Projection]:
        """What more samples would cost, from `asked` that were; the interval is Student's on the cost of a sample."""
        each = self.per(asked)
        if each is None:
            return []
        return [self._projection(each, asked, samples) for samples in PROJECTED]

    def _projection(self, each: Amount, asked: int, samples: int) -> Projection:
        amount = each.times(Decimal(samples))
        if not each.exact or each.known is None or asked < 2:
            return Projection(samples, amount, None)
        mean = float(each.known)
        variance = max(0.0, self.squares / asked - mean * mean) * asked / (asked - 1)
        reach = t_quantile(TAIL, asked - 1) * math.sqrt(variance / asked) * samples
        low, high = max(0.0, mean * samples - reach), mean * samples + reach
        return Projection(samples, amount, (Decimal(repr(low)), Decimal(repr(high))))


def money_of(calls: Iterable[Spent], entrants: Iterable[EntrantRecord]) -> dict[tuple[str, str], Money]:
    """The money of each task and entrant, at the rates of the run."""
    by_name = {entry.entrant.name: entry for entry in entrants}
    found: dict[tuple[str, str], Money] = {}
    for spent in calls:
        key = (spent.task, spent.entrant)
        if key not in found:
            entry = by_name[spent.entrant]
            found[key] = Money(entry.rates, of_links={link.name: link.rates for link in entry.links})
        found[key].add(spent)
    return found
