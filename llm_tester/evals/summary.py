"""The numbers of a run: per task and entrant the score with its interval, outcomes, tokens, cost, latency, coverage."""

from __future__ import annotations

import math
from array import array
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from llm_tester.cost_manager import usd_text
from llm_tester.evals.results import Result
from llm_tester.evals.samples import Outcome
from llm_tester.evals.stats import Moments, paired_difference, percentile

P95_FROM = 60
MISSING = math.nan


@dataclass
class Standing:
    """One entrant on one task. `values` holds the mean score of each sample over its epochs in the run's order, NaN
    where there is none; `planned` and `scored` count answers, of which a sample has one per epoch."""

    entrant: str
    model: str
    task: str
    simulated: bool
    planned: int = 0
    scored: int = 0
    outcomes: Counter[Outcome] = field(default_factory=Counter)
    usage: Counter[str] = field(default_factory=Counter)
    violations: int = 0
    inconsistent: int = 0
    not_applied: set[str] = field(default_factory=set)
    others: Counter[str] = field(default_factory=Counter)
    served: Counter[str] = field(default_factory=Counter)
    """How many answers each model of a chain gave."""
    cached: int = 0
    """How many answers came from the cache."""
    cached_usd: Decimal = Decimal(0)
    retries: int = 0
    cost_known: Decimal = Decimal(0)
    cost_priced: int = 0
    unknown_calls: int = 0
    retried_usd: Decimal = Decimal(0)
    latencies: array[float] = field(default_factory=lambda: array("d"))
    values: array[float] = field(default_factory=lambda: array("d"))
    _open: tuple[int, float, int] = (-1, 0.0, 0)
    _moments: Moments | None = None

    def add(self, result: Result) -> None:
        """Count one row; the epochs of a sample come one after the other."""
        counts = result.outcome.counts and result.score is not None
        self.planned += 1
        self.outcomes[result.outcome] += 1
        self.usage.update(result.usage)
        self.violations += bool(result.violations)
        self.inconsistent += bool(result.inconsistent)
        self.not_applied.update(result.not_applied)
        if result.served_model is not None:
            self.others[result.served_model] += 1
        if result.served_by is not None and result.answer is not None:
            self.served[result.served_by] += 1
        if result.cached:
            self.cached += 1
            self.cached_usd += result.cost_usd or 0
        self.retries += max(0, result.attempts - 1)
        self.unknown_calls += result.unknown_calls
        self.retried_usd += result.retried_usd
        self._value(result.position, result.score if counts else None)
        if result.cost_usd is not None:
            self.cost_known += result.cost_usd
            self.cost_priced += 1
        if result.latency_ms is not None:
            self.latencies.append(result.latency_ms)

    def _value(self, position: int, score: float | None) -> None:
        before, total, count = self._open
        if position != before:
            self.values.append(MISSING)
            total, count = 0.0, 0
        if score is not None:
            total, count = total + score, count + 1
            self.values[-1] = min(total / count, 1.0)
            self.scored += 1
        self._open, self._moments = (position, total, count), None

    @property
    def moments(self) -> Moments:
        """Of the samples' mean scores: epochs of one sample are not independent, so each sample counts once."""
        if self._moments is None:
            self._moments = Moments()
            for value in self.values:
                if not math.isnan(value):
                    self._moments.add(value)
        return self._moments

    @property
    def score(self) -> float | None:
        """The mean score over samples."""
        return self.moments.mean

    @property
    def interval(self) -> tuple[float, float] | None:
        """The 95 % interval of the mean score."""
        return self.moments.interval()

    @property
    def coverage(self) -> float:
        """The share of planned answers that count."""
        return self.scored / self.planned if self.planned else 0.0

    @property
    def cost_usd(self) -> Decimal | None:
        """What the answers cost at their rates, as far as known; None when nothing is."""
        return self.cost_known if self.cost_priced else None

    @property
    def spent_usd(self) -> Decimal:
        """New dollars, those of tries that brought no answer among them."""
        return Decimal(0) if self.simulated else self.cost_known - self.cached_usd + self.retried_usd

    @property
    def p50(self) -> float | None:
        """The median latency in milliseconds."""
        return percentile(self.latencies, 50)

    @property
    def p95(self) -> float | None:
        """The 95th percentile of the latency in milliseconds; None below 60 samples, of which it says too little."""
        return percentile(self.latencies, 95) if len(self.latencies) >= P95_FROM else None

    def to_json(self) -> dict[str, Any]:
        """The row as `run --json` prints it."""
        latency = None if self.p50 is None else {"p50": self.p50, "p95": self.p95}
        answers = {"answers": self.scored} if self.planned > len(self.values) else {}
        served = {"served_by": dict(self.served)} if self.served else {}
        cached = {"cached": self.cached} if self.cached else {}
        changed = {"not_applied": sorted(self.not_applied)} if self.not_applied else {}
        return {
            "entrant": self.entrant,
            "model": self.model,
            "task": self.task,
            "samples": self.moments.n,
            "planned": len(self.values),
            **answers,
            "score": self.score,
            "ci95": list(self.interval) if self.interval else None,
            "outcomes": {outcome.value: self.outcomes[outcome] for outcome in Outcome if self.outcomes[outcome]},
            "schema_violations": self.violations,
            "usage": dict(self.usage),
            "cost_usd": None if self.cost_usd is None else usd_text(self.cost_usd),
            "cost_unknown_calls": self.unknown_calls,
            "spent_usd": usd_text(self.spent_usd),
            "simulated": self.simulated,
            "latency_ms": latency,
            **changed,
            **served,
            **cached,
        }


@dataclass(frozen=True, slots=True)
class Verdict:
    """Who is best on a task. `sure_over` and `unsure_over` split the others by whether the paired 95 % interval of
    the difference stays above 0; `shared` is how many samples all were compared on."""

    task: str
    best: str
    sure_over: tuple[str, ...]
    unsure_over: tuple[str, ...]
    shared: int


def standings(rows: Iterable[Result]) -> list[Standing]:
    """The standing of every entrant on every task, in the order of first appearance."""
    found: dict[tuple[str, str], Standing] = {}
    for row in rows:
        key = (row.task, row.entrant)
        if key not in found:
            found[key] = Standing(row.entrant, row.model, row.task, row.simulated)
        found[key].add(row)
    return list(found.values())


def ranked(task: Sequence[Standing]) -> list[Standing]:
    """The standings of one task, best first, on the samples that all who scored have; the cheaper wins a tie."""
    shared = _shared(task)

    def rank(standing: Standing) -> tuple[bool, float, float]:
        scores = [standing.values[index] for index in shared] if standing.scored else []
        mean = sum(scores) / len(scores) if scores else (standing.score or 0.0)
        cost = standing.cost_usd
        return (not standing.scored, -mean, math.inf if cost is None else float(cost))

    return sorted(task, key=rank)


def verdict(task: Sequence[Standing]) -> Verdict | None:
    """Who is best of one task's standings, and over whom that is sure; None when nothing was scored."""
    order = [standing for standing in ranked(task) if standing.scored]
    if not order:
        return None
    best, *others = order
    shared = _shared(order)
    sure: list[str] = []
    unsure: list[str] = []
    for other in others:
        pairs = [(best.values[index], other.values[index]) for index in shared]
        low = paired_difference(*zip(*pairs, strict=True))[1] if pairs else 0.0
        (sure if low > 0 else unsure).append(other.entrant)
    return Verdict(best.task, best.entrant, tuple(sure), tuple(unsure), len(shared))


def by_task(found: Iterable[Standing]) -> dict[str, list[Standing]]:
    """The standings grouped by task."""
    grouped: dict[str, list[Standing]] = {}
    for standing in found:
        grouped.setdefault(standing.task, []).append(standing)
    return grouped


def _shared(task: Sequence[Standing]) -> list[int]:
    """The samples that every entrant with any score has; an entrant that never ran takes none from the others."""
    scored = [standing for standing in task if standing.scored]
    if not scored:
        return []
    count = min(len(standing.values) for standing in scored)
    return [index for index in range(count) if all(not math.isnan(s.values[index]) for s in scored)]
