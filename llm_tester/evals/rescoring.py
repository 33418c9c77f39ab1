"""A run's stored answers scored again by the tasks' scorers of today, as a new version beside the old scores."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

from llm_tester.errors import LedgerError, TaskError, suggestion
from llm_tester.evals.ledger import Ledger
from llm_tester.evals.ledger_writes import score_columns, to_json
from llm_tester.evals.planning import TaskSurvey, survey
from llm_tester.evals.rollups import roll
from llm_tester.evals.run_records import RunRecord, TaskRecord
from llm_tester.evals.samples import Answer, Sample, Score
from llm_tester.evals.stats import Moments
from llm_tester.evals.tasks import Task

AT_ONCE = 32
ASKED_WITH = ("prompts", "system_prompt", "parameters", "json_schema")
"""What of a task's spec decides what models were asked."""

_ANSWERS = """
SELECT c.call, c.epoch, p.task, p.sample_id, e.name AS entrant, s.messages, s.target, s.source, s.files, s.metadata,
       a.text, a.finish_reason, sc.version, sc.outcome, sc.value, sc.fields, sc.violations, sc.note
FROM calls c
JOIN entrants e ON e.entrant = c.entrant
JOIN plan p ON p.run = c.run AND p.position = c.position AND p.variant = e.variant
JOIN samples s ON s.sample = p.sample
JOIN answers a ON a.call = c.call
LEFT JOIN scores sc ON sc.call = c.call AND sc.version = (SELECT max(version) FROM scores WHERE scores.call = c.call)
WHERE c.run = ? AND c.purpose = 'sample' AND c.state = 'answered'
ORDER BY p.position, e.position, c.epoch
"""


@dataclass(frozen=True, slots=True)
class Flip:
    """A sample whose outcome is another one now; `was` is None where it had no score."""

    sample_id: str
    epoch: int
    was: str | None
    now: str
    old: float | None
    new: float

    def to_json(self) -> dict[str, Any]:
        """The sample as `rescore --json` prints it."""
        return {
            "sample_id": self.sample_id,
            "epoch": self.epoch,
            "was": self.was,
            "now": self.now,
            "old_score": self.old,
            "new_score": self.new,
        }


@dataclass
class Change:
    """One entrant on one task: its mean before and now, how many scores differ, and whose outcome flipped."""

    task: str
    entrant: str
    old: Moments = field(default_factory=Moments)
    new: Moments = field(default_factory=Moments)
    changed: int = 0
    flipped: list[Flip] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """The row as `rescore --json` prints it."""
        return {
            "task": self.task,
            "entrant": self.entrant,
            "answers": self.new.n,
            "old_score": self.old.mean,
            "new_score": self.new.mean,
            "changed": self.changed,
            "flipped": [flip.to_json() for flip in self.flipped],
        }


@dataclass(frozen=True, slots=True)
class Rescoring:
    """What came of it: the version of the new scores, None where every score is as it was; `notes` are on the tasks."""

    version: int | None
    changes: Sequence[Change]
    notes: Sequence[str] = ()


def rescore(ledger: Ledger, run: RunRecord, only: str | None = None) -> Rescoring:
    """Score every stored answer of a run, or of its task `only`, again; no model is asked. All is kept, or nothing.

    Raises LedgerError while the run goes on, and when the samples of a task are not those that models were asked.
    """
    _refuse_alive(run)
    records = _records(ledger, run, only)
    surveyed = {record.key: _with_same_samples(record, run) for record in records}
    tasks = {key: task for key, (task, _) in surveyed.items()}
    counted = _Counted(tasks)
    answers = (row for row in ledger.store.read(_ANSWERS, (run.key,)) if row["task"] in tasks)
    asyncio.run(_score_all(tasks, answers, counted))
    version = counted.newest + 1 if counted.differs else None

    def write(connection: sqlite3.Connection) -> None:
        _refuse_alive(ledger.run(run.id))
        if version is not None:
            counted.write(connection, version)
        for record in records:
            _adopt(connection, record, tasks[record.key])
        if version is not None:
            _note(connection, run, version, [record.name for record in records])

    ledger.store.write(write)
    names = [entry.entrant.name for entry in ledger.entrants(run)]
    order = sorted(counted.changes, key=lambda key: (list(tasks).index(key[0]), names.index(key[1])))
    notes = [f"{task.name}: {note}" for task, found in surveyed.values() for note in found.notes]
    return Rescoring(version, [counted.changes[key] for key in order], notes)


class _Counted:
    """The new scores beside the old ones."""

    def __init__(self, tasks: Mapping[int, Task]) -> None:
        self._tasks = tasks
        self._scores: list[tuple[int, bool, tuple[Any, ...]]] = []
        self.changes: dict[tuple[int, str], Change] = {}
        self.newest = 0
        self.differs = False

    def add(self, row: sqlite3.Row, score: Score) -> None:
        columns = score_columns(score)
        name = row["entrant"]
        change = self.changes.setdefault((row["task"], name), Change(self._tasks[row["task"]].name, name))
        differs = columns != tuple(row[key] for key in ("outcome", "value", "fields", "violations", "note"))
        change.changed += differs
        change.new.add(score.value)
        if row["value"] is not None:
            change.old.add(row["value"])
        flips = row["outcome"] != score.outcome
        if flips:
            change.flipped.append(
                Flip(row["sample_id"], row["epoch"], row["outcome"], score.outcome, row["value"], score.value)
            )
        self._scores.append((row["call"], flips, columns))
        self.newest = max(self.newest, row["version"] or 0)
        self.differs = self.differs or differs

    def write(self, connection: sqlite3.Connection, version: int) -> None:
        """The bill names outcomes too, so it changes with those that do."""
        for call, flips, columns in self._scores:
            if flips:
                roll(connection, [call], sign=-1)
            connection.execute("INSERT INTO scores VALUES (?, ?, ?, ?, ?, ?, ?)", (call, version, *columns))
            if flips:
                roll(connection, [call])


def _refuse_alive(run: RunRecord) -> None:
    if run.is_alive:
        raise LedgerError(f"the run {run.id} is still going on", hint="Wait for it, or stop it.")


def _records(ledger: Ledger, run: RunRecord, only: str | None) -> list[TaskRecord]:
    records = ledger.tasks(run)
    if only is None:
        return records
    found = [record for record in records if record.name == only]
    if not found:
        names = [record.name for record in records]
        raise LedgerError(f'the run {run.id} has no task "{only}"', hint=suggestion(only, names))
    return found


def _with_same_samples(record: TaskRecord, run: RunRecord) -> tuple[Task, TaskSurvey]:
    hint = "Start a new run, or bring the files back to what they were."
    if not Path(record.folder).is_dir():
        raise LedgerError(f'the task "{record.name}" is no longer at {record.folder}', hint=hint)
    try:
        task = Task.load(record.folder)
        found = survey(task, ())
    except TaskError as error:
        raise LedgerError(f"the run {run.id} cannot be scored again: {error.message}", hint=error.hint) from None
    if found.samples_hash != record.samples_hash:
        raise LedgerError(f'the samples of the task "{record.name}" changed since the run {run.id} began', hint=hint)
    return task, found


def _chunks(rows: Iterator[sqlite3.Row]) -> Iterator[list[sqlite3.Row]]:
    while chunk := list(islice(rows, 100 * AT_ONCE)):
        yield chunk


async def _score_all(tasks: Mapping[int, Task], answers: Iterator[sqlite3.Row], counted: _Counted) -> None:
    for rows in _chunks(answers):
        for row, score in zip(rows, await _scores(tasks, rows), strict=True):
            counted.add(row, score)


async def _scores(tasks: Mapping[int, Task], rows: Iterable[sqlite3.Row]) -> list[Score]:
    """In the rows' order; scorers that wait do so side by side."""
    free = asyncio.Semaphore(AT_ONCE)

    async def one(row: sqlite3.Row) -> Score:
        async with free:
            return await tasks[row["task"]].score(_sample(row), Answer(row["text"], row["finish_reason"]))

    return await asyncio.gather(*(one(row) for row in rows))


def _sample(row: sqlite3.Row) -> Sample:
    source = json.loads(row["messages"])[-1][1] if row["source"] is None else row["source"]
    return Sample(
        row["sample_id"],
        source,
        json.loads(row["target"]),
        files=tuple(json.loads(row["files"])) if row["files"] else (),
        metadata=json.loads(row["metadata"]) if row["metadata"] else {},
    )


def _adopt(connection: sqlite3.Connection, record: TaskRecord, task: Task) -> None:
    """The run's task has the scorer of today; where nothing else of it changed, the run can also be resumed."""
    spec = task.spec()
    same = all(to_json(record.spec.get(key)) == to_json(spec.get(key)) for key in ASKED_WITH)
    kept = {**record.spec, "scorer": spec["scorer"]}
    values = (to_json(kept), task.hash if same else record.hash, record.key)
    connection.execute("UPDATE tasks SET spec = ?, hash = ? WHERE task = ?", values)


def _note(connection: sqlite3.Connection, run: RunRecord, version: int, tasks: Sequence[str]) -> None:
    """In the run's settings, for whoever wonders why an old run's scores are not what they were."""
    settings: dict[str, Any] = dict(run.settings)
    now = datetime.now(UTC).isoformat(timespec="seconds")
    settings["rescored"] = [*settings.get("rescored", ()), {"at": now, "version": version, "tasks": list(tasks)}]
    connection.execute("UPDATE runs SET settings = ? WHERE run = ?", (to_json(settings), run.key))
