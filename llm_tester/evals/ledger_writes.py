"""How the ledger's rows are written, inside the writer's transaction."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Sequence
from typing import Any

from llm_tester.cost_manager import Rates, picodollars, rates_to_json
from llm_tester.errors import LedgerError
from llm_tester.evals.planning import PlannedSample, TaskPlan, planned_samples
from llm_tester.evals.rollups import Line
from llm_tester.evals.run_records import EntrantRecord, PlannedEntrant
from llm_tester.evals.samples import Score
from llm_tester.records import Attempt, Cost, CostLine, Response, digest, short_id

NO_PRICE = 0
_JSON = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), default=str)


def to_json(value: Any) -> str:
    """Compact JSON text."""
    return storable(_JSON.encode(value))


def storable(text: str) -> str:
    """`text` as SQLite can hold it: models and servers send halves of surrogate pairs, which UTF-8 has no bytes for."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def new_key(cursor: sqlite3.Cursor) -> int:
    """The key of the row just written."""
    if cursor.lastrowid is None:
        raise LedgerError("SQLite gave no key for a new row")
    return cursor.lastrowid


def write_task(connection: sqlite3.Connection, run: int, position: int, plan: TaskPlan) -> None:
    """A task with its planned samples, each stored once per content."""
    task = plan.task
    cursor = connection.execute(
        "INSERT INTO tasks (run, position, name, folder, hash, spec, samples_hash, samples_total, samples_planned)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            run,
            position,
            task.name,
            str(task.folder),
            task.hash,
            to_json(task.spec()),
            plan.samples_hash,
            plan.total,
            plan.planned,
        ),
    )
    key = new_key(cursor)
    for planned in planned_samples(plan):
        row, sample_hash = _sample_content(planned), planned.hash
        content = short_id([sample_hash, *(text or "" for text in row)])
        connection.execute(
            "INSERT OR IGNORE INTO samples (content, hash, messages, target, source, files, metadata)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            (content, sample_hash, *row),
        )
        connection.execute(
            "INSERT INTO plan SELECT ?, ?, ?, ?, sample, ? FROM samples WHERE content = ?",
            (run, planned.position, planned.variant, key, planned.sample.id, content),
        )


def _sample_content(planned: PlannedSample) -> tuple[str | None, ...]:
    """Messages, target, source (NULL where the prompt is nothing else), files and metadata as text."""
    sample = planned.sample
    return (
        to_json([[message.role, message.content] for message in planned.messages]),
        to_json(sample.target),
        None if sample.input == planned.messages[-1].content else sample.input,
        to_json(sample.files) if sample.files else None,
        to_json(dict(sample.metadata)) if sample.metadata else None,
    )


def write_entrant(connection: sqlite3.Connection, run: int, position: int, planned: PlannedEntrant) -> None:
    """An entrant with its rates."""
    entrant = planned.entrant
    cursor = connection.execute(
        "INSERT INTO entrants (run, position, name, hash, provider, model, parameters, variant, simulated, host, price)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            run,
            position,
            entrant.name,
            entrant.hash,
            entrant.provider,
            entrant.model,
            to_json(dict(entrant.parameters)),
            entrant.prompt,
            planned.simulated,
            planned.host,
            price_key(connection, planned.rates),
        ),
    )
    key = new_key(cursor)
    for place, link in enumerate(planned.links):
        row = (key, place, link.provider, link.model, price_key(connection, link.rates))
        connection.execute("INSERT INTO links VALUES (?, ?, ?, ?, ?)", row)


def price_key(connection: sqlite3.Connection, rates: Rates) -> int:
    """The key of these rates, written once."""
    content = rates_to_json(rates)
    fingerprint = digest([content, rates.source, rates.priced_on])
    connection.execute(
        "INSERT OR IGNORE INTO prices (hash, source, priced_on, rates) VALUES (?, ?, ?, ?)",
        (fingerprint, rates.source, rates.priced_on, to_json(content)),
    )
    found = connection.execute("SELECT price FROM prices WHERE hash = ?", (fingerprint,)).fetchone()
    return int(found["price"])


def write_answer(connection: sqlite3.Connection, call: int, response: Response, entrant: EntrantRecord) -> list[Line]:
    """An answer with usage, cost and attempts, priced by who gave it; the lines of a cost that is new."""
    price = entrant.price_of(response.attempts[-1]) if response.attempts else entrant.price
    source = _bought_by(connection, response) if response.cached else None
    usage = response.usage
    served = response.served_model if response.served_model != response.model else None
    connection.execute(
        "INSERT INTO answers VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            call,
            storable(response.text),
            response.finish_reason,
            response.latency_ms,
            to_json(usage.counts()),
            None if usage.raw is None else to_json(usage.raw),
            to_json(usage.inconsistent) if usage.inconsistent else None,
            response.cost.complete,
            response.served_provider if response.served_provider != response.provider else None,
            served,
            to_json(response.not_applied) if response.not_applied else None,
            source,
        ),
    )
    if source is not None:
        # At the rates of the day on which it was bought.
        copied = "INSERT INTO costs SELECT ?, price, token_class, tokens, picodollars FROM costs WHERE call = ?"
        connection.execute(copied, (call, source))
        end_call(connection, call, "answered")
        return []
    lines = billed_lines(response.cost, price)
    connection.executemany("INSERT INTO costs VALUES (?, ?, ?, ?, ?)", [(call, *line) for line in lines])
    write_attempts(connection, call, response.attempts, entrant)
    end_call(connection, call, "answered")
    return lines


def _bought_by(connection: sqlite3.Connection, response: Response) -> int:
    row = connection.execute("SELECT call FROM calls WHERE call_id = ?", (response.cached_from,)).fetchone()
    if row is None:
        raise LedgerError("a kept answer is no longer in the ledger", hint="Resume the run; it is bought again.")
    return int(row["call"])


def write_attempts(
    connection: sqlite3.Connection, call: int, attempts: Sequence[Attempt], entrant: EntrantRecord
) -> None:
    """The attempts of a call, with what those cost that brought no answer; a chain's name who made them."""
    chained = bool(entrant.links)
    connection.executemany(
        "INSERT INTO attempts VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [
            (
                call,
                attempt.number,
                attempt.provider if chained else None,
                attempt.model if chained else None,
                attempt.started_at,
                attempt.waited_ms,
                attempt.latency_ms,
                attempt.status,
                attempt.error or None,
                storable(attempt.message) or None,
                to_json(attempt.usage.counts()) if attempt.usage is not None and not attempt.ok else None,
                attempt.cost.complete if attempt.cost is not None and not attempt.ok else None,
            )
            for attempt in attempts
        ],
    )
    lost = [
        (call, attempt.number, *line)
        for attempt in attempts
        if attempt.cost is not None and not attempt.ok
        for line in billed_lines(attempt.cost, entrant.price_of(attempt))
    ]
    if lost:
        connection.executemany("INSERT INTO attempt_costs VALUES (?, ?, ?, ?, ?, ?)", lost)


def billed_lines(cost: Cost, price: int) -> list[Line]:
    """The lines of a cost that say something, as the ledger keeps them: price, class, tokens, picodollars."""
    return [_cost_line(line, price) for line in cost.lines if line.tokens or line.usd]


def _cost_line(line: CostLine, price: int) -> Line:
    return (
        NO_PRICE if line.token_class == "reported" else price,  # noqa: S105 - a token class is no secret
        line.token_class,
        line.tokens,
        None if line.usd is None else picodollars(line.usd),
    )


def score_columns(score: Score) -> tuple[str, float, str | None, str | None, str | None]:
    """Outcome, value, fields, violations and note of a score, as its row holds them."""
    return (
        score.outcome.value,
        score.value,
        to_json(score.fields) if score.fields else None,
        to_json(score.violations) if score.violations else None,
        storable(score.note) or None,
    )


def end_call(connection: sqlite3.Connection, call: int, state: str) -> None:
    """The final state of a call."""
    connection.execute("UPDATE calls SET state = ?, ended_at = ? WHERE call = ?", (state, time.time(), call))
