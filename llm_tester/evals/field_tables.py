"""Which fields go wrong for whom, and which samples are the hardest."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from llm_tester.evals.results import Result
from llm_tester.evals.samples import Outcome
from llm_tester.evals.scorers import FieldsScorer

VERDICTS = ("correct", "wrong", "missing", "invented")
MOST_FIELDS = 200
HARDEST = 10


@dataclass(frozen=True, slots=True)
class FieldTally:
    """How often a field came out how for one entrant."""

    correct: int = 0
    wrong: int = 0
    missing: int = 0
    invented: int = 0

    @property
    def expected(self) -> int:
        """How many golds have the field."""
        return self.correct + self.wrong + self.missing

    @property
    def share(self) -> float | None:
        """The share of golds whose field is right; None where no gold has it."""
        return self.correct / self.expected if self.expected else None

    def to_json(self) -> dict[str, Any]:
        """The tally as `report --format json` prints it."""
        return {"share_correct": self.share} | {name: getattr(self, name) for name in VERDICTS}


@dataclass(frozen=True, slots=True)
class FieldTable:
    """The fields of a task by path, in the order of the golds, each with a tally per entrant."""

    fields: Mapping[str, Mapping[str, FieldTally]] = field(default_factory=dict)
    left_out: int = 0
    """Fields beyond the first 200."""

    def to_json(self) -> dict[str, Any]:
        """By path and entrant."""
        return {path: {name: tally.to_json() for name, tally in by.items()} for path, by in self.fields.items()}


@dataclass(frozen=True, slots=True)
class HardSample:
    """A sample and who did not get it right, of all whose answer counts; `score` is their mean."""

    sample_id: str
    failed: tuple[str, ...]
    answered: int
    score: float
    expected: Any

    def to_json(self) -> dict[str, Any]:
        """The sample as `report --format json` prints it."""
        return {
            "sample_id": self.sample_id,
            "not_correct": list(self.failed),
            "answered": self.answered,
            "score": self.score,
        }


@dataclass
class _Sample:
    """One sample over the entrants: how often each was asked and how often it was right."""

    sample_id: str
    expected: Any
    right: Counter[str] = field(default_factory=Counter)
    asked: Counter[str] = field(default_factory=Counter)
    total: float = 0.0

    def add(self, result: Result) -> None:
        self.asked[result.entrant] += 1
        self.right[result.entrant] += result.outcome is Outcome.CORRECT
        self.total += result.score or 0.0

    def finished(self) -> HardSample:
        failed = tuple(name for name, count in self.asked.items() if 2 * self.right[name] < count)
        return HardSample(self.sample_id, failed, len(self.asked), self.total / self.asked.total(), self.expected)


class Difficulties:
    """Takes the rows of one task as they come, and keeps counts of fields and the hardest samples only.

    `spec` is the task as the run froze it. Rows of one sample come one after the other.
    """

    def __init__(self, spec: Mapping[str, Any]) -> None:
        self._scorer = _fields_scorer(spec)
        self._counts: dict[str, dict[str, Counter[str]]] = {}
        self._left_out: set[str] = set()
        self._current: tuple[int, _Sample] | None = None
        self._hardest: list[tuple[tuple[float, float, int], HardSample]] = []

    def add(self, result: Result) -> None:
        """Count one row."""
        if not result.outcome.counts:
            return
        if self._current is None or self._current[0] != result.position:
            self._finish()
            self._current = (result.position, _Sample(result.sample_id, result.expected))
        self._current[1].add(result)
        for path, verdict in self._verdicts(result).items():
            self._count(path, result.entrant, verdict)

    def fields(self) -> FieldTable:
        """The tallies of all fields so far."""
        tallies = {
            path: {name: FieldTally(**counts) for name, counts in by.items()} for path, by in self._counts.items()
        }
        return FieldTable(tallies, len(self._left_out))

    def hardest(self) -> list[HardSample]:
        """The samples that most entrants did not get right, the hardest first."""
        self._finish()
        return [sample for _, sample in sorted(self._hardest, key=lambda entry: entry[0], reverse=True)]

    def _verdicts(self, result: Result) -> Mapping[str, str]:
        """By path; an answer in which nothing can be read misses every field of its gold."""
        if result.fields is not None or self._scorer is None:
            return result.fields or {}
        return dict.fromkeys(self._scorer.paths(result.expected), "missing")

    def _count(self, path: str, entrant: str, verdict: str) -> None:
        if path not in self._counts:
            if len(self._counts) >= MOST_FIELDS:
                self._left_out.add(path)
                return
            self._counts[path] = {}
        self._counts[path].setdefault(entrant, Counter())[verdict] += 1

    def _finish(self) -> None:
        if self._current is None:
            return
        (position, sample), self._current = self._current, None
        found = sample.finished()
        if 2 * len(found.failed) <= found.answered:
            return
        hardness = (len(found.failed) / found.answered, -found.score, -position)
        keep = heapq.heappush if len(self._hardest) < HARDEST else heapq.heappushpop
        keep(self._hardest, (hardness, found))


def _fields_scorer(spec: Mapping[str, Any]) -> FieldsScorer | None:
    described = spec.get("scorer")
    if not isinstance(described, Mapping) or described.get("type") != "fields":
        return None
    try:
        return FieldsScorer.model_validate(described)
    except ValidationError:  # of a ledger that another version wrote
        return None


def spread(table: FieldTable, entrants: Sequence[str]) -> list[tuple[str, list[FieldTally]]]:
    """Each field with the tallies of the entrants in their order."""
    return [(path, [by.get(name, FieldTally()) for name in entrants]) for path, by in table.fields.items()]
