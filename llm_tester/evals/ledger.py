"""The durable record of runs: what was planned, claimed, answered and scored."""

from __future__ import annotations

import json
import secrets
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from llm_tester.cost_manager import from_picodollars, picodollars
from llm_tester.errors import LedgerError, ProviderError, suggestion
from llm_tester.evals.ledger_writes import (
    end_call,
    new_key,
    score_columns,
    to_json,
    write_answer,
    write_attempts,
    write_entrant,
    write_task,
)
from llm_tester.evals.ownership import LEASE_SECONDS, this_owner
from llm_tester.evals.planning import TaskPlan
from llm_tester.evals.rollups import Account, Sums, roll
from llm_tester.evals.run_records import (
    EntrantRecord,
    LinkRecord,
    Place,
    PlannedEntrant,
    RunRecord,
    TaskRecord,
    UnknownCall,
    entrant_record,
    link_record,
    places_of,
    run_record,
    unknown_call,
)
from llm_tester.evals.samples import Score
from llm_tester.evals.schema import MIGRATIONS
from llm_tester.records import Attempt, Message, Response
from llm_tester.store import Store

_CLAIM = (
    "INSERT INTO calls (call_id, run, entrant, position, epoch, purpose, attempt_group, state, claimed_at, at_most)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, 'claimed', ?, ?)"
)
_CLAIMED = (
    "SELECT e.name AS entrant, t.name AS task, p.sample_id, c.call_id, c.at_most FROM calls c"
    " JOIN entrants e USING (entrant) JOIN plan p ON p.run = c.run AND p.position = c.position"
    " AND p.variant = e.variant JOIN tasks t ON t.task = p.task WHERE c.run = ? AND c.state = 'claimed' ORDER BY c.call"
)
_PLANNED = """
SELECT p.position, p.task, p.sample_id, s.hash, s.messages, s.target, s.source, s.files, s.metadata
FROM entrants e JOIN plan p ON p.run = e.run AND p.variant = e.variant JOIN samples s USING (sample)
WHERE e.entrant = ? AND p.position > ? AND p.position <= ? ORDER BY p.position
"""
_MADE = """
SELECT position, epoch, call, state, attempt_group,
       EXISTS (SELECT 1 FROM scores WHERE scores.call = calls.call) AS scored
FROM calls WHERE run = ? AND entrant = ? AND position > ? AND position <= ? ORDER BY attempt_group
"""
_LOST = """
SELECT r.*, count(*) AS lost, coalesce(sum(c.at_most), 0) AS bound, sum(c.at_most IS NULL) AS unbounded
FROM calls c JOIN runs r USING (run) JOIN entrants e USING (entrant) WHERE c.state = 'claimed' AND NOT e.simulated
GROUP BY r.run ORDER BY r.run
"""
_CANARIES = "SELECT count(*) AS made FROM calls WHERE run = ? AND entrant = ? AND purpose = 'canary'"

_LINKS = (
    "SELECT l.*, p.source, p.priced_on, p.rates FROM links l JOIN prices p USING (price)"
    " JOIN entrants e USING (entrant) WHERE e.run = ? ORDER BY l.entrant, l.position"
)


class Ledger:
    """The workspace's ledger; opens or makes the file."""

    def __init__(self, path: Path) -> None:
        self.sums = Sums()
        self.store = Store(path, MIGRATIONS, begin=self.sums.begin, before_commit=self.sums.write)

    @classmethod
    def existing(cls, path: Path) -> Ledger:
        """The ledger at `path`; raises LedgerError where there has been no run yet."""
        refuse_no_file(path)
        if not path.is_file():
            raise LedgerError("there are no runs in this workspace yet", hint="`llm-tester run` makes the first.")
        return cls(path)

    def close(self) -> None:
        """Write what was submitted and let go of the file."""
        self.store.close()

    def __enter__(self) -> Ledger:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- runs

    def create_run(
        self,
        *,
        name: str | None,
        project: str,
        seed: int,
        settings: Mapping[str, Any],
        tasks: Sequence[TaskPlan],
        entrants: Sequence[PlannedEntrant],
        epochs: int = 1,
    ) -> RunRecord:
        """Freeze a plan in one transaction: tasks, rendered samples in their order, entrants and prices."""
        moment = time.time()
        run_id = f"{datetime.fromtimestamp(moment, UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"

        def write(connection: sqlite3.Connection) -> int:
            if name and connection.execute("SELECT 1 FROM runs WHERE name = ?", (name,)).fetchone():
                raise LedgerError(f'there is a run named "{name}" already', hint="Choose another --name.")
            cursor = connection.execute(
                "INSERT INTO runs (id, name, project, status, seed, epochs, settings, created_at, owner, lease_until)"
                " VALUES (?, ?, ?, 'running', ?, ?, ?, ?, ?, ?)",
                (run_id, name, project, seed, epochs, to_json(settings), moment, this_owner(), moment + LEASE_SECONDS),
            )
            run = new_key(cursor)
            for position, plan in enumerate(tasks):
                write_task(connection, run, position, plan)
            for position, entrant in enumerate(entrants):
                write_entrant(connection, run, position, entrant)
            return run

        self.store.write(write)
        return self.run(run_id)

    def runs(self) -> list[RunRecord]:
        """All runs, the newest first."""
        return [run_record(row) for row in self.store.read("SELECT * FROM runs ORDER BY run DESC")]

    def run(self, reference: str) -> RunRecord:
        """The run of that id, unique prefix of one, or name; `last` is the newest. Raises LedgerError."""
        runs = self.runs()
        if not runs:
            raise LedgerError("there are no runs in this workspace yet", hint="`llm-tester run` makes the first.")
        if reference == "last":
            return runs[0]
        exact = [run for run in runs if reference in (run.id, run.name)]
        matching = exact or [run for run in runs if reference and run.id.startswith(reference)]
        if len(matching) == 1:
            return matching[0]
        if matching:
            raise LedgerError(f'"{reference}" fits {len(matching)} runs', hint="Give more of the id.")
        known = [run.id for run in runs] + [run.name for run in runs if run.name]
        raise LedgerError(f'there is no run "{reference}"', hint=suggestion(reference, known))

    def tasks(self, run: RunRecord) -> list[TaskRecord]:
        """The tasks of a run in its order."""
        rows = self.store.read("SELECT * FROM tasks WHERE run = ? ORDER BY position", (run.key,))
        return [
            TaskRecord(
                row["task"],
                row["name"],
                Path(row["folder"]),
                row["hash"],
                row["samples_hash"],
                row["samples_total"],
                row["samples_planned"],
                json.loads(row["spec"]),
            )
            for row in rows
        ]

    def entrants(self, run: RunRecord) -> list[EntrantRecord]:
        """The entrants of a run in its order."""
        rows = self.store.read(
            "SELECT e.*, p.source, p.priced_on, p.rates FROM entrants e JOIN prices p USING (price)"
            " WHERE e.run = ? ORDER BY e.position",
            (run.key,),
        )
        links = self.links(run)
        return [entrant_record(row, links.get(row["entrant"], ())) for row in rows]

    def links(self, run: RunRecord) -> dict[int, tuple[LinkRecord, ...]]:
        """The links of a run's chains by the entrant's key."""
        found: dict[int, tuple[LinkRecord, ...]] = {}
        for row in self.store.read(_LINKS, (run.key,)):
            found[row["entrant"]] = (*found.get(row["entrant"], ()), link_record(row))
        return found

    def take_over(self, run: RunRecord) -> list[UnknownCall]:
        """Make this process the run's owner and return the calls of unknown fate, which are marked as such.

        Raises LedgerError while another process works on the run.
        """

        # Also without the writer's lock, which the other process may hold.
        _refuse_other_owner(self.run(run.id))

        def write(connection: sqlite3.Connection) -> list[UnknownCall]:
            _refuse_other_owner(
                run_record(connection.execute("SELECT * FROM runs WHERE run = ?", (run.key,)).fetchone())
            )
            connection.execute(
                "UPDATE runs SET status = 'running', owner = ?, lease_until = ? WHERE run = ?",
                (this_owner(), time.time() + LEASE_SECONDS, run.key),
            )
            lost = [unknown_call(row) for row in connection.execute(_CLAIMED, (run.key,))]
            claimed = "SELECT call FROM calls WHERE run = ? AND state = 'claimed'"
            keys = [row["call"] for row in connection.execute(claimed, (run.key,))]
            connection.execute("UPDATE calls SET state = 'unknown' WHERE run = ? AND state = 'claimed'", (run.key,))
            roll(connection, keys)
            # Of calls that were never sent.
            connection.execute("DELETE FROM reservations WHERE run = ?", (run.key,))
            return lost

        return self.store.write(write)

    def unknown_calls(self, run: RunRecord) -> list[UnknownCall]:
        """The calls of a stopped run that were claimed and never settled."""
        if run.is_alive:
            return []
        return [unknown_call(row) for row in self.store.read(_CLAIMED, (run.key,))]

    def renew_lease(self, run: RunRecord) -> Future[Any]:
        """Say that this process still works on the run."""
        until = time.time() + LEASE_SECONDS
        return self.store.submit(
            lambda connection: connection.execute("UPDATE runs SET lease_until = ? WHERE run = ?", (until, run.key))
        )

    def end_run(self, run: RunRecord, status: str) -> None:
        """Close a run with its final status; raises LedgerError when the ledger is no longer there."""
        self.store.check_in_place()
        self.store.write(
            lambda connection: connection.execute(
                "UPDATE runs SET status = ?, ended_at = ?, owner = NULL, lease_until = NULL WHERE run = ?",
                (status, time.time(), run.key),
            )
        )

    # --- the plan, read while a run goes on

    def places(self, run: RunRecord, entrant: int, after: int, count: int) -> list[Place]:
        """An entrant's places at up to `count` positions after position `after`, with what is known of each."""
        window = (entrant, after, after + count)
        # In the order of their attempts, so that the last one stands.
        made = {(row["position"], row["epoch"]): row for row in self.store.read(_MADE, (run.key, *window))}
        planned = self.store.read(_PLANNED, window)
        return [place for row in planned for place in places_of(row, entrant, run.epochs, made)]

    def has_begun(self, run: RunRecord) -> bool:
        """Whether any call of a run was claimed."""
        return next(self.store.read("SELECT 1 FROM calls WHERE run = ? LIMIT 1", (run.key,)), None) is not None

    def canaries(self, run: RunRecord, entrant: int) -> int:
        """How many canary calls an entrant has made."""
        return int(next(self.store.read(_CANARIES, (run.key, entrant)))["made"])

    # --- calls

    def claim(
        self,
        run: RunRecord,
        at: Place,
        call_id: str,
        at_most: Decimal | None,
        purpose: str = "sample",
        claimed_at: float | None = None,
    ) -> Future[int]:
        """Record that the next call at a place is about to be sent, now where no moment is given; the future brings its
        key."""
        values = (
            call_id,
            run.key,
            at.entrant,
            at.position,
            at.epoch,
            purpose,
            at.attempt_group + 1,
            time.time() if claimed_at is None else claimed_at,
            None if at_most is None else picodollars(at_most),
        )
        return self.store.submit(lambda connection: new_key(connection.execute(_CLAIM, values)))

    def answered(
        self, call: int, response: Response, entrant: EntrantRecord, account: Account | None = None
    ) -> Future[Any]:
        """Record an answer with its usage, cost and attempts; with the call's `account` its sums need not be read."""

        def write(connection: sqlite3.Connection) -> None:
            lines = write_answer(connection, call, response, entrant)
            if entrant.simulated:
                self.sums.bought(call, None, ())
            elif account is None or self.sums.money_at_once or not _is_plain(response, entrant):
                self.sums.ended(connection, call)
            else:
                self.sums.bought(call, account, lines)

        return self.store.submit(write)

    def failed(self, call: int, error: ProviderError, entrant: EntrantRecord) -> Future[Any]:
        """Record that a call ended without an answer."""

        def write(connection: sqlite3.Connection) -> None:
            write_attempts(connection, call, error.attempts, entrant)
            end_call(connection, call, "failed")
            self.sums.ended(connection, call)

        return self.store.submit(write)

    def deferred(self, call: int, attempts: Sequence[Attempt], entrant: EntrantRecord) -> Future[Any]:
        """Record that a call was left for later after these attempts."""

        def write(connection: sqlite3.Connection) -> None:
            write_attempts(connection, call, attempts, entrant)
            end_call(connection, call, "deferred")
            self.sums.ended(connection, call)

        return self.store.submit(write)

    def scored(self, call: int, score: Score) -> Future[Any]:
        """Record the verdict on an answer."""
        values = (call, *score_columns(score))

        def write(connection: sqlite3.Connection) -> None:
            connection.execute("INSERT INTO scores VALUES (?, 1, ?, ?, ?, ?, ?)", values)
            self.sums.scored(call, score.outcome.value)

        return self.store.submit(write)

    def answer_text(self, call: int) -> tuple[str, str | None]:
        """Text and finish reason of a stored answer."""
        row = next(self.store.read("SELECT text, finish_reason FROM answers WHERE call = ?", (call,)))
        return row["text"], row["finish_reason"]

    def prompts(self, run: RunRecord, position: int) -> dict[str, tuple[Message, ...]]:
        """The turns that were asked at a position of the plan, by prompt variant."""
        rows = self.store.read(
            "SELECT variant, messages FROM plan JOIN samples USING (sample) WHERE run = ? AND position = ?",
            (run.key, position),
        )
        return {
            row["variant"]: tuple(Message(role, content) for role, content in json.loads(row["messages"]))
            for row in rows
        }


def lost_calls(ledger: Ledger) -> Iterator[tuple[RunRecord, int, Decimal, int]]:
    """The runs that were killed while real calls were under way: how many, what they can have cost in USD as far as
    that is bounded, and of how many nothing bounds it."""
    for row in ledger.store.read(_LOST):
        run = run_record(row)
        if not run.is_alive:
            yield run, row["lost"], from_picodollars(row["bound"]), row["unbounded"]


def refuse_no_file(path: Path) -> None:
    """Raise LedgerError where something else than a ledger's file stands in its place."""
    if (path.exists() and not path.is_file()) or (path.parent.exists() and not path.parent.is_dir()):
        raise LedgerError(f"{path} is not a file", hint="Something else stands in the ledger's place; move it away.")


def _is_plain(response: Response, entrant: EntrantRecord) -> bool:
    """Whether an answer's own cost is all that its call cost, and all of it is known."""
    return len(response.attempts) == 1 and response.cost.complete and not (entrant.links or response.cached)


def _refuse_other_owner(run: RunRecord) -> None:
    if run.is_alive and run.owner != this_owner():
        raise LedgerError(f"another process works on the run {run.id} ({run.owner})", hint="Wait for it, or stop it.")
