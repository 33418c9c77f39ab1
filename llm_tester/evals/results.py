"""What came of a run: one row per sample, epoch and entrant, streamed from the ledger."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from llm_tester.cost_manager import from_picodollars, usd_text
from llm_tester.evals.ledger import Ledger
from llm_tester.evals.run_records import RunRecord
from llm_tester.evals.samples import Outcome
from llm_tester.records import is_other_model


@dataclass(frozen=True, slots=True)
class Result:
    """One sample for one entrant in one epoch. `cost_usd` is the known sum, None where nothing is known; `cost_known`
    says whether that is all of it. `unknown_calls` counts calls whose price or fate is unknown; `retried_usd` is what
    the tries that brought no answer are known to have cost; `served_model` names another model than was asked for.
    `served_by` is who answered of a chain, or failed last; `cached` says that the answer was bought by another call."""

    position: int
    sample_id: str
    entrant: str
    model: str
    task: str
    epoch: int
    outcome: Outcome
    score: float | None
    fields: Mapping[str, str] | None
    violations: tuple[str, ...]
    note: str
    answer: str | None
    expected: Any
    usage: Mapping[str, int]
    inconsistent: tuple[str, ...]
    cost_usd: Decimal | None
    cost_known: bool
    unknown_calls: int
    simulated: bool
    latency_ms: float | None
    attempts: int
    error: str
    not_applied: tuple[str, ...] = ()
    retried_usd: Decimal = Decimal(0)
    served_model: str | None = None
    served_by: str | None = None
    cached: bool = False
    call_id: str | None = None

    def to_json(self) -> dict[str, Any]:
        """The row as `report --format json` prints it."""
        row: dict[str, Any] = {
            "sample_id": self.sample_id,
            "entrant": self.entrant,
            "model": self.model,
            "task": self.task,
            "epoch": self.epoch,
            "outcome": self.outcome.value,
            "score": self.score,
            "fields": dict(self.fields) if self.fields is not None else None,
            "answer": self.answer,
            "expected": self.expected,
            "usage": dict(self.usage),
            "cost_usd": None if self.cost_usd is None else usd_text(self.cost_usd),
            "latency_ms": self.latency_ms,
            "attempts": self.attempts,
            "error": self.error or None,
            "note": self.note or None,
            "violations": list(self.violations) or None,
            "not_applied": list(self.not_applied) or None,
            "served_model": self.served_model,
            "served_by": self.served_by,
            "cached": self.cached or None,
        }
        optional = ("fields", "error", "note", "violations", "not_applied", "served_model", "served_by", "cached")
        return {key: value for key, value in row.items() if value is not None or key not in optional}


def results(ledger: Ledger, run: RunRecord, *, sample_id: str | None = None) -> Generator[Result, None, None]:
    """The rows of a run in its order, entrants side by side; those of one sample where `sample_id` is given."""
    alive = run.is_alive
    wanted = {"run": run.key, "epochs": run.epochs, "sample": sample_id}
    for row in ledger.store.read(_RESULTS, wanted):
        yield _result(row, alive=alive)


_RESULTS = """
WITH RECURSIVE epochs (epoch) AS (SELECT 1 UNION ALL SELECT epoch + 1 FROM epochs WHERE epoch < :epochs)
SELECT p.position, epochs.epoch, p.sample_id, t.name AS task, e.name AS entrant, e.provider || ':' || e.model AS model,
       e.simulated,
       s.target, c.call, c.call_id, c.state, a.text, a.usage, a.inconsistent, a.not_applied, a.served_model,
       a.cached_from,
       coalesce((SELECT model FROM attempts WHERE attempts.call = coalesce(a.cached_from, c.call)
           ORDER BY number DESC LIMIT 1), e.model) AS asked,
       (SELECT provider || ':' || model FROM attempts WHERE attempts.call = coalesce(a.cached_from, c.call)
           ORDER BY number DESC LIMIT 1) AS served_by,
       a.latency_ms, a.cost_complete,
       sc.outcome, sc.value, sc.fields, sc.violations, sc.note,
       (SELECT sum(picodollars) FROM costs WHERE costs.call = c.call) AS known,
       (SELECT count(*) FROM attempts WHERE attempts.call = c.call) AS attempts,
       (SELECT count(*) FROM attempts WHERE attempts.call = c.call AND cost_complete = 0) AS unpriced,
       (SELECT sum(k.picodollars) FROM calls x JOIN attempt_costs k ON k.call = x.call
            WHERE x.run = p.run AND x.entrant = e.entrant AND x.position = p.position AND x.epoch = epochs.epoch)
            AS retried,
       (SELECT max(latency_ms) FROM attempts WHERE attempts.call = c.call AND error = 'ProviderTimeoutError')
           AS limit_ms,
       (SELECT error || ': ' || message FROM attempts WHERE attempts.call = c.call ORDER BY number DESC LIMIT 1)
           AS error,
       (SELECT count(*) FROM calls x WHERE x.run = p.run AND x.entrant = e.entrant AND x.position = p.position
            AND x.epoch = epochs.epoch
            AND (x.state IN ('unknown', 'claimed') OR x.call <> c.call AND x.state <> 'answered' AND EXISTS
                (SELECT 1 FROM attempts WHERE attempts.call = x.call AND cost_complete = 0))) AS lost
FROM plan p
CROSS JOIN epochs
JOIN tasks t ON t.task = p.task
JOIN entrants e ON e.run = p.run AND e.variant = p.variant
JOIN samples s USING (sample)
LEFT JOIN calls c ON c.call = (
    SELECT call FROM calls
    WHERE run = p.run AND entrant = e.entrant AND position = p.position AND epoch = epochs.epoch
    ORDER BY attempt_group DESC LIMIT 1)
LEFT JOIN answers a ON a.call = c.call
LEFT JOIN scores sc ON sc.call = c.call AND sc.version = (SELECT max(version) FROM scores WHERE scores.call = c.call)
WHERE p.run = :run AND (:sample IS NULL OR p.sample_id = :sample)
ORDER BY p.position, epochs.epoch, e.position
"""


def _result(row: sqlite3.Row, *, alive: bool) -> Result:
    outcome = _outcome(row, alive=alive)
    failed = row["state"] == "failed"
    priced = bool(row["cost_complete"]) or row["known"] is not None
    lost = 0 if alive else row["lost"]
    unpriced = row["state"] == "answered" and not row["cost_complete"]
    return Result(
        position=row["position"],
        sample_id=row["sample_id"],
        entrant=row["entrant"],
        model=row["model"],
        task=row["task"],
        epoch=row["epoch"],
        outcome=outcome,
        score=row["value"],
        fields=json.loads(row["fields"]) if row["fields"] else None,
        violations=tuple(json.loads(row["violations"])) if row["violations"] else (),
        note=row["note"] or "",
        answer=row["text"],
        expected=json.loads(row["target"]),
        usage=json.loads(row["usage"]) if row["usage"] else {},
        inconsistent=tuple(json.loads(row["inconsistent"])) if row["inconsistent"] else (),
        cost_usd=from_picodollars(row["known"] or 0) if priced else None,
        cost_known=not unpriced and not row["unpriced"] and not lost,
        unknown_calls=lost + bool(unpriced or row["unpriced"]),
        simulated=bool(row["simulated"]),
        retried_usd=from_picodollars(row["retried"] or 0),
        served_model=_other(row),
        served_by=row["served_by"],
        cached=row["cached_from"] is not None,
        call_id=row["call_id"],
        not_applied=tuple(json.loads(row["not_applied"])) if row["not_applied"] else (),
        latency_ms=row["limit_ms"] if failed else row["latency_ms"],
        attempts=row["attempts"],
        error=(row["error"] or "") if failed else "",
    )


def _other(row: sqlite3.Row) -> str | None:
    served: str | None = row["served_model"]
    return served if served and is_other_model(row["asked"], served) else None


def _outcome(row: sqlite3.Row, *, alive: bool) -> Outcome:
    state = row["state"]
    if state == "answered" and row["outcome"] is not None:
        return Outcome(row["outcome"])
    if state == "failed":
        return Outcome.ERROR
    if state == "unknown" or (state == "claimed" and not alive):
        return Outcome.UNKNOWN
    return Outcome.NOT_RUN
