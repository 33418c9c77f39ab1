"""A run taken out of the ledger; what it has cost stays on the bill."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from llm_tester.errors import LedgerError
from llm_tester.evals.ledger import Ledger
from llm_tester.evals.rollups import keep_on_bill, roll
from llm_tester.evals.run_records import RunRecord, run_record

_CALLS = "(SELECT call FROM calls WHERE run = :run)"
_ENTRANTS = "(SELECT entrant FROM entrants WHERE run = :run)"
_OF_CALLS = ("cache", "attempts", "attempt_costs", "scores", "costs", "answers")
_OF_ENTRANTS = ("links",)
_OF_RUN = ("reservations", "calls", "plan", "entrants", "tasks", "runs")
TABLES = (*_OF_CALLS, *_OF_ENTRANTS, *_OF_RUN)
"""The tables that hold a run's own rows, those that refer to others first."""
_ONLY_HERE = (
    "SELECT DISTINCT sample FROM plan WHERE run = :run"
    " AND NOT EXISTS (SELECT 1 FROM plan other WHERE other.sample = plan.sample AND other.run <> :run)"
)
_COPIES = (
    "SELECT r.id FROM answers a JOIN calls c USING (call) JOIN runs r USING (run)"
    " WHERE a.cached_from IN (SELECT call FROM calls WHERE run = :run) AND c.run <> :run LIMIT 1"
)


@dataclass(frozen=True, slots=True)
class Deleted:
    """How much went with a run."""

    calls: int
    samples: int


def delete_run(ledger: Ledger, run: RunRecord) -> Deleted:
    """Remove a run's rows in one transaction, and the samples that no other run uses; the bill keeps what was spent.

    Raises LedgerError while a process works on the run, or when another run's answers are copies of its own.
    """
    # Also without the writer's lock, which the other process may hold.
    refuse_deletion(ledger.run(run.id))

    def write(connection: sqlite3.Connection) -> Deleted:
        row = connection.execute("SELECT * FROM runs WHERE run = ?", (run.key,)).fetchone()
        if row is None:
            raise LedgerError(f'there is no run "{run.id}" any more', hint="Another process has deleted it.")
        refuse_deletion(run_record(row))
        _refuse_copies(connection, run)
        return _delete(connection, {"run": run.key})

    return ledger.store.write(write)


def refuse_deletion(run: RunRecord) -> None:
    """Raise LedgerError while a process works on the run."""
    if run.is_alive:
        raise LedgerError(
            f"the run {run.id} cannot be deleted: a process works on it ({run.owner})", hint="Wait for it, or stop it."
        )


def _refuse_copies(connection: sqlite3.Connection, run: RunRecord) -> None:
    copied = connection.execute(_COPIES, {"run": run.key}).fetchone()
    if copied is not None:
        raise LedgerError(
            f"the run {run.id} cannot be deleted: the run {copied['id']} took answers from it",
            hint=f"Delete {copied['id']} first.",
        )


def _delete(connection: sqlite3.Connection, key: dict[str, int]) -> Deleted:
    # What was deleted must not be left to read in the file's free pages.
    connection.execute("PRAGMA secure_delete = ON")
    lost = connection.execute("SELECT call FROM calls WHERE run = :run AND state = 'claimed'", key).fetchall()
    connection.execute("UPDATE calls SET state = 'unknown' WHERE run = :run AND state = 'claimed'", key)
    for row in lost:
        roll(connection, [row["call"]])
    keep_on_bill(connection, key["run"])
    samples = connection.execute(_ONLY_HERE, key).fetchall()
    calls = int(connection.execute("SELECT count(*) FROM calls WHERE run = :run", key).fetchone()[0])
    for table in _OF_CALLS:
        connection.execute(f"DELETE FROM {table} WHERE call IN {_CALLS}", key)  # noqa: S608 - made of the constants above
    for table in _OF_ENTRANTS:
        connection.execute(f"DELETE FROM {table} WHERE entrant IN {_ENTRANTS}", key)  # noqa: S608 - as above
    for table in _OF_RUN:
        connection.execute(f"DELETE FROM {table} WHERE run = :run", key)  # noqa: S608 - made of the constants above
    connection.executemany("DELETE FROM samples WHERE sample = ?", ((row["sample"],) for row in samples))
    return Deleted(calls, len(samples))
