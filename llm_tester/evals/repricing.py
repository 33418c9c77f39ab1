"""Other prices for a run that is over: what its calls cost is written anew, and the bill with it."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from llm_tester.cost_manager import Rates, cost_of, from_picodollars, picodollars, rates_to_json
from llm_tester.errors import LedgerError
from llm_tester.evals.ledger import Ledger
from llm_tester.evals.ledger_writes import billed_lines, price_key, to_json
from llm_tester.evals.rollups import roll
from llm_tester.evals.run_records import EntrantRecord, RunRecord
from llm_tester.evals.spending import REPORTED, counted_usage
from llm_tester.llms.bounds import capped, request_bound
from llm_tester.records import Message, Request

_CALLS = """
SELECT c.call, c.claimed_at, c.at_most, a.usage, a.inconsistent, s.messages, t.spec,
       json_extract(r.settings, '$.max_tokens') AS cap,
       (SELECT picodollars FROM costs WHERE costs.call = c.call AND token_class = 'reported') AS reported
FROM calls c
JOIN entrants e ON e.entrant = c.entrant
JOIN runs r ON r.run = c.run
JOIN plan p ON p.run = c.run AND p.position = c.position AND p.variant = e.variant
JOIN samples s ON s.sample = p.sample
JOIN tasks t ON t.task = p.task
LEFT JOIN answers a ON a.call = c.call
WHERE c.entrant = ?
"""


def save_prices(ledger: Ledger, run: RunRecord, rates: Mapping[str, Rates]) -> list[str]:
    """Price the calls of a run at `rates`, by the entrant's name, in one transaction; the entrants that changed.

    What a provider itself said of a cost stays, unless config.json has prices of its own. Raises LedgerError while the
    run goes on.
    """
    if run.is_alive:
        raise LedgerError(f"the run {run.id} is still going on", hint="Wait for it, or stop it.")
    changed = [entry for entry in ledger.entrants(run) if _differs(entry, rates[entry.entrant.name])]

    def write(connection: sqlite3.Connection) -> None:
        for entry in changed:
            _reprice(connection, entry, rates[entry.entrant.name])
        _note(connection, run, changed, rates)

    ledger.store.write(write)
    return [entry.entrant.name for entry in changed]


def _differs(entry: EntrantRecord, rates: Rates) -> bool:
    same = (rates.source, rates.priced_on) == (entry.rates.source, entry.rates.priced_on)
    return rates.known and not (same and rates_to_json(rates) == rates_to_json(entry.rates))


def _reprice(connection: sqlite3.Connection, entry: EntrantRecord, rates: Rates) -> None:
    price = price_key(connection, rates)
    for row in connection.execute(_CALLS, (entry.key,)).fetchall():
        roll(connection, [row["call"]], sign=-1)
        _reprice_bound(connection, row, entry, rates)
        _reprice_answer(connection, row, rates, price)
        _reprice_attempts(connection, row, entry.rates, rates, price)
        roll(connection, [row["call"]])
    connection.execute("UPDATE entrants SET price = ? WHERE entrant = ?", (price, entry.key))


def _reprice_bound(connection: sqlite3.Connection, row: sqlite3.Row, entry: EntrantRecord, rates: Rates) -> None:
    entrant = entry.entrant
    messages = tuple(Message(role, content) for role, content in json.loads(row["messages"]))
    parameters = {**json.loads(row["spec"]).get("parameters", {}), **entrant.parameters}
    asked = Request(entrant.provider, entrant.model, messages, parameters)
    asked = asked if row["cap"] is None else capped(asked, row["cap"])
    bound = Decimal(0) if entry.simulated else request_bound(asked, rates)
    values = (None if bound is None else picodollars(bound), row["call"])
    connection.execute("UPDATE calls SET at_most = ? WHERE call = ?", values)


def _reprice_answer(connection: sqlite3.Connection, row: sqlite3.Row, rates: Rates, price: int) -> None:
    if row["usage"] is None:
        return
    reported = None if row["reported"] is None else from_picodollars(row["reported"])
    cost = cost_of(counted_usage(json.loads(row["usage"]), reported, row["inconsistent"]), rates, _moment(row))
    connection.execute("DELETE FROM costs WHERE call = ?", (row["call"],))
    lines = [(row["call"], *line) for line in billed_lines(cost, price)]
    connection.executemany("INSERT INTO costs VALUES (?, ?, ?, ?, ?)", lines)
    connection.execute("UPDATE answers SET cost_complete = ? WHERE call = ?", (cost.complete, row["call"]))


def _reprice_attempts(connection: sqlite3.Connection, row: sqlite3.Row, old: Rates, rates: Rates, price: int) -> None:
    found = connection.execute(
        "SELECT number, usage, cost_complete FROM attempts WHERE call = ? AND usage IS NOT NULL AND NOT EXISTS"
        " (SELECT 1 FROM attempt_costs k WHERE k.call = attempts.call AND k.number = attempts.number"
        " AND token_class = ?)",
        (row["call"], REPORTED),
    )
    for attempt in found.fetchall():
        key = (row["call"], attempt["number"])
        usage = counted_usage(json.loads(attempt["usage"]), None, None)
        cost = cost_of(usage, rates, _moment(row))
        connection.execute("DELETE FROM attempt_costs WHERE call = ? AND number = ?", key)
        lines = [(*key, *line) for line in billed_lines(cost, price)]
        connection.executemany("INSERT INTO attempt_costs VALUES (?, ?, ?, ?, ?, ?)", lines)
        # Incomplete although each token had a price: it broke off before all was counted, and that stays so.
        cut = not attempt["cost_complete"] and cost_of(usage, old, _moment(row)).complete
        complete = cost.complete and not cut
        connection.execute("UPDATE attempts SET cost_complete = ? WHERE call = ? AND number = ?", (complete, *key))


def _note(
    connection: sqlite3.Connection, run: RunRecord, changed: Sequence[EntrantRecord], rates: Mapping[str, Rates]
) -> None:
    """In the run's settings, for whoever wonders why an old run's costs are not what they were."""
    settings: dict[str, Any] = dict(run.settings)
    now = datetime.now(UTC).isoformat(timespec="seconds")
    notes = [
        {
            "at": now,
            "entrant": entry.entrant.name,
            "was": _priced(entry.rates),
            "is": _priced(rates[entry.entrant.name]),
        }
        for entry in changed
    ]
    settings["repriced"] = [*settings.get("repriced", ()), *notes]
    if notes:
        connection.execute("UPDATE runs SET settings = ? WHERE run = ?", (to_json(settings), run.key))


def _priced(rates: Rates) -> str:
    return f"{rates.source} {rates.priced_on or ''}".strip()


def _moment(row: sqlite3.Row) -> datetime:
    return datetime.fromtimestamp(row["claimed_at"], UTC)
