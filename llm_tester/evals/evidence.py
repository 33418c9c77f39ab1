"""Everything that is kept of each answer of a run, so that its figures can be computed again elsewhere."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Generator, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from llm_tester.cost_manager import REPORTED, from_picodollars, rates_to_json
from llm_tester.evals.ledger import Ledger
from llm_tester.evals.results import Result, results
from llm_tester.evals.run_records import EntrantRecord, RunRecord, TaskRecord
from llm_tester.records import Message

REPORTED_CLASS = "reported"
_CALL = """
SELECT c.claimed_at, a.finish_reason, a.served_provider, a.served_model,
       (SELECT json_group_array(json_array(token_class, tokens, picodollars)) FROM costs WHERE costs.call = c.call)
           AS lines,
       (SELECT sum(picodollars) FROM costs JOIN calls x USING (call) WHERE {place}) AS answered,
       (SELECT sum(picodollars) FROM attempt_costs JOIN calls x USING (call) WHERE {place}) AS failed
FROM calls c LEFT JOIN answers a USING (call) WHERE c.call_id = ?
""".format(  # noqa: S608 - made of the constant
    place="x.run = c.run AND x.entrant = c.entrant AND x.position = c.position AND x.epoch = c.epoch"
    " AND x.call < c.call"
)
_SAMPLE = """
SELECT s.hash, s.messages FROM plan p JOIN samples s USING (sample)
WHERE p.run = ? AND p.position = ? AND p.variant = ?
"""


@dataclass(frozen=True, slots=True)
class Billed:
    """Tokens of one class, counted once, and what they cost in USD (None: no rate)."""

    token_class: str
    tokens: int
    usd: Decimal | None


@dataclass(frozen=True, slots=True)
class Evidence:
    """One sample for one entrant with what was asked, what came, and what it was billed by; `earlier` is what calls
    for it before the last one are known to have cost in USD."""

    run: RunRecord
    task: TaskRecord
    entrant: EntrantRecord
    result: Result
    sample_hash: str
    messages: tuple[Message, ...]
    sent_at: datetime | None
    finish_reason: str | None
    served: str | None
    billed: tuple[Billed, ...]
    earlier: Decimal

    def to_json(self) -> dict[str, Any]:
        """The row as `runs export` writes it: every key in every row, money as numbers of USD."""
        result, entrant = self.result, self.entrant.entrant
        return {
            "run": self.run.id,
            "project": self.run.project,
            "task": self.task.name,
            "task_hash": self.task.hash,
            "sample_id": result.sample_id,
            "sample_hash": self.sample_hash,
            "epoch": result.epoch,
            "entrant": entrant.name,
            "provider": entrant.provider,
            "model": entrant.model,
            "served_model": self.served,
            "simulated": result.simulated,
            "prompt": entrant.prompt or None,
            "parameters": {**self.task.spec.get("parameters", {}), **entrant.parameters},
            "messages": [{"role": message.role, "content": message.content} for message in self.messages],
            "target": result.expected,
            "answer": result.answer,
            "finish_reason": self.finish_reason,
            "outcome": result.outcome.value,
            "score": result.score,
            "fields": None if result.fields is None else dict(result.fields),
            "violations": list(result.violations),
            "note": result.note or None,
            "usage": dict(result.usage),
            **self._money(),
            "latency_ms": result.latency_ms,
            "attempts": result.attempts,
            "error": result.error or None,
            "not_applied": list(result.not_applied),
            "sent_at": None if self.sent_at is None else self.sent_at.isoformat(timespec="milliseconds"),
            "call_id": result.call_id,
        }

    def _money(self) -> dict[str, Any]:
        rates, result = self.entrant.rates, self.result
        reported = any(line.token_class == REPORTED_CLASS for line in self.billed)
        return {
            "billed": [
                {"class": line.token_class, "tokens": line.tokens, "usd": _number(line.usd)} for line in self.billed
            ],
            "cost_usd": _number(result.cost_usd),
            "cost_known": result.cost_known,
            "retried_usd": _number(result.retried_usd),
            "earlier_usd": _number(self.earlier),
            "unknown_calls": result.unknown_calls,
            "price_source": REPORTED if reported else rates.source,
            "priced_on": None if reported else rates.priced_on,
            "rates": _rates(rates_to_json(rates)) if rates.known else None,
        }


def evidence(ledger: Ledger, run: RunRecord) -> Generator[Evidence, None, None]:
    """The rows of a run in the order of `results`, streamed, all from one state of the ledger."""
    tasks = {task.name: task for task in ledger.tasks(run)}
    entrants = {entry.entrant.name: entry for entry in ledger.entrants(run)}
    # While this query is open, what is read beside it on the same connection is of the same moment.
    with closing(results(ledger, run)) as rows:
        for result in rows:
            entrant = entrants[result.entrant]
            place = (run.key, result.position, entrant.entrant.prompt)
            sample = _one(ledger, _SAMPLE, *place)
            call = None if result.call_id is None else _one(ledger, _CALL, result.call_id)
            yield Evidence(
                run,
                tasks[result.task],
                entrant,
                result,
                sample["hash"],
                tuple(Message(role, content) for role, content in json.loads(sample["messages"])),
                **_of_call(call, entrant, answered=result.answer is not None),
            )


def _of_call(call: sqlite3.Row | None, entrant: EntrantRecord, *, answered: bool) -> Mapping[str, Any]:
    if call is None:
        return {"sent_at": None, "finish_reason": None, "served": None, "billed": (), "earlier": Decimal(0)}
    billed = tuple(
        Billed(name, tokens, None if amount is None else from_picodollars(amount))
        for name, tokens, amount in json.loads(call["lines"])
    )
    return {
        "sent_at": datetime.fromtimestamp(call["claimed_at"], UTC),
        "finish_reason": call["finish_reason"],
        "served": (call["served_model"] or entrant.entrant.model) if answered else None,
        "billed": billed,
        "earlier": from_picodollars((call["answered"] or 0) + (call["failed"] or 0)),
    }


def _one(ledger: Ledger, sql: str, *values: Any) -> sqlite3.Row:
    return next(ledger.store.read(sql, values))


def _rates(value: Any) -> Any:
    """Rates as the ledger keeps them, with numbers for their texts; the times of a daily span stay texts."""
    if isinstance(value, dict):
        return {key: _rates(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_rates(inner) for inner in value]
    return float(value) if isinstance(value, str) and ":" not in value else value


def _number(usd: Decimal | None) -> float | None:
    """USD as JSON has numbers; to 15 figures, which a call's cost never exceeds, nothing is lost."""
    return None if usd is None else float(usd)
