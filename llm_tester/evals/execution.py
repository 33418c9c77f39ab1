"""A run that is frozen in the ledger, from its first call to its end, or to a signal."""

from __future__ import annotations

import asyncio
import gc
import math
import signal
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from llm_tester.config import BudgetLimit
from llm_tester.errors import LedgerError
from llm_tester.evals.halt import Halt
from llm_tester.evals.lanes import LaneProgress
from llm_tester.evals.ledger import Ledger
from llm_tester.evals.ledger_cache import LedgerCache
from llm_tester.evals.results import results
from llm_tester.evals.run_budgets import run_budget
from llm_tester.evals.run_notes import note_end
from llm_tester.evals.run_records import EntrantRecord, RunRecord, UnknownCall
from llm_tester.evals.runner import Course, Runner
from llm_tester.evals.samples import Outcome
from llm_tester.evals.tasks import Task
from llm_tester.llms.budgets import Budget
from llm_tester.llms.chained import hosts_of, links_of
from llm_tester.llms.llm_registry import ProviderRegistry
from llm_tester.llms.provider_manager import ProviderManager

SIGNALS = (signal.SIGINT, signal.SIGTERM)


@dataclass
class Execution:
    """A run that is frozen in the ledger and ready to go on."""

    ledger: Ledger
    run: RunRecord
    runner: Runner
    tasks: Mapping[int, Task]
    entrants: Sequence[EntrantRecord]
    budget: Budget | None = None
    hosts: Mapping[int, str] = field(default_factory=dict)
    """By entrant the host that its calls go to now."""
    unknown: Sequence[UnknownCall] = ()
    notes: Sequence[str] = ()
    interrupted_by: int | None = field(default=None)

    def go(self) -> str:
        """Run to the end, or to a signal; the run's final status. Beside a running event loop, on a thread."""
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            with _rare_collections():
                return asyncio.run(self._alone())
        # A notebook's cells run on a loop, in which no other can be started.
        with ThreadPoolExecutor(1) as thread:
            return thread.submit(lambda: asyncio.run(self._alone())).result()

    async def _alone(self) -> str:
        asyncio.get_running_loop().set_exception_handler(_note_unasked)
        return await self.ago()

    async def ago(self) -> str:
        """As `go`, on the running event loop."""
        with _Signals(self):
            try:
                finished = await self.runner.work()
            except BaseException:
                self.ledger.end_run(self.run, "stopped")
                raise
        status = "stopped" if not finished else "incomplete" if self._has_gaps() else "complete"
        note_end(self.ledger, self.run, self.runner.lanes, self.runner.outage, self.budget)
        self.ledger.end_run(self.run, status)
        self.run = self.ledger.run(self.run.id)
        return status

    def interrupt(self, number: int) -> None:
        """Stop because of a signal; the second one stops at once."""
        self.interrupted_by = number
        self.runner.stop()

    def _has_gaps(self) -> bool:
        return any(lane.errors or lane.dropped for lane in self.runner.lanes)


_collections = threading.Lock()
_thresholds: list[tuple[int, ...]] = []
"""What stood before each of the runs that go on in this process now; the last to end restores what the first met."""


@contextmanager
def _rare_collections() -> Iterator[None]:
    """While it is entered, Python looks for garbage in cycles after 5,000 new objects instead of 700.

    Of the many short-lived objects of a run next to none are in cycles, and the search took a tenth of its time.
    """
    with _collections:
        first, *others = before = gc.get_threshold()
        _thresholds.append(before)
        if first:
            gc.set_threshold(max(first, 5_000), *others)
    try:
        yield
    finally:
        with _collections:
            gc.set_threshold(*_thresholds.pop())


def _note_unasked(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Of many writes that a full disk refuses one is raised; those of the workers that it cancels are no news."""
    if not isinstance(context.get("exception"), LedgerError):
        loop.default_exception_handler(context)


class _Signals:
    """While it is entered, Ctrl-C and SIGTERM stop the run instead of killing the process."""

    def __init__(self, execution: Execution) -> None:
        self._execution = execution
        self._loop = asyncio.get_running_loop()
        self._active = threading.current_thread() is threading.main_thread()

    def __enter__(self) -> None:
        if self._active:
            for number in SIGNALS:
                self._loop.add_signal_handler(number, self._execution.interrupt, number)

    def __exit__(self, *_: object) -> None:
        if self._active:
            for number in SIGNALS:
                self._loop.remove_signal_handler(number)


def make_execution(
    ledger: Ledger,
    run: RunRecord,
    tasks: Sequence[Task],
    registry: ProviderRegistry,
    limits: Sequence[BudgetLimit],
    leave: frozenset[str] = frozenset({"failed"}),
) -> Execution:
    """The run, ready to go on; samples whose last call is in a state of `leave` count as done."""
    records = ledger.tasks(run)
    by_key = {record.key: task for record, task in zip(records, tasks, strict=True)}
    entrants = ledger.entrants(run)
    total = run.epochs * sum(record.planned for record in records)
    budget, halt = run_budget(ledger, run, limits), Halt()
    kept = run.settings.get("cache")
    manager = ProviderManager(
        registry=registry,
        max_connections=run.settings["max_connections"],
        patience=halt,
        budget=budget,
        cache=None if kept is None else LedgerCache(ledger, kept["ttl"]),
    )
    lanes = [LaneProgress(entrant, total) for entrant in entrants]
    if ledger.has_begun(run):
        _count_done(lanes, ledger, run, leave)
    course = Course(leave, run.settings.get("canary", False), run.settings.get("max_outage", math.inf))
    runner = Runner(ledger, run, manager, by_key, lanes, halt, course)
    links = {entry.key: links_of(registry.get(entry.entrant.provider), entry.entrant.model) for entry in entrants}
    hosts = {key: hosts_of(found) for key, found in links.items()}
    return Execution(ledger, run, runner, by_key, entrants, budget, hosts)


def _count_done(lanes: Sequence[LaneProgress], ledger: Ledger, run: RunRecord, leave: frozenset[str]) -> None:
    by_name = {lane.entrant.entrant.name: lane for lane in lanes}
    open_ones = {Outcome.NOT_RUN}
    if "failed" not in leave:
        open_ones.add(Outcome.ERROR)
    if "unknown" not in leave:
        open_ones.add(Outcome.UNKNOWN)
    for row in results(ledger, run):
        if row.outcome not in open_ones:
            cost = (row.cost_usd or Decimal(0)) if row.cost_known else None
            by_name[row.entrant].count(row.outcome, row.score or 0.0, cost)
