"""From a request to run, or to resume, to a finished run: everything is checked before anything is written."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

from llm_tester.config import BudgetLimit, EntrantConfig, Workspace
from llm_tester.errors import ConfigurationError, LedgerError, TaskError
from llm_tester.evals.entrants import Entrant, make_entrants
from llm_tester.evals.ledger import Ledger
from llm_tester.evals.ledger_budgets import limits_of
from llm_tester.evals.planning import PlannedSample, TaskPlan, plan_tasks, planned_samples, survey
from llm_tester.evals.results import results
from llm_tester.evals.run_budgets import budget_settings, note_end, refuse_unbounded, renew_budget, run_budget
from llm_tester.evals.run_records import EntrantRecord, PlannedEntrant, RunRecord, TaskRecord, UnknownCall
from llm_tester.evals.runner import Runner
from llm_tester.evals.samples import Outcome
from llm_tester.evals.tasks import Task, load_task
from llm_tester.llms.bounds import capped, worst_case
from llm_tester.llms.budgets import Budget
from llm_tester.llms.exchange import refuse_changes
from llm_tester.llms.llm_registry import ProviderRegistry
from llm_tester.llms.provider_manager import ProviderManager
from llm_tester.records import Message, Request
from llm_tester.version import __version__

SIGNALS = (signal.SIGINT, signal.SIGTERM)


@dataclass(frozen=True, slots=True)
class RunOptions:
    """What a run is to do; None means the workspace's default."""

    tasks: Sequence[str] = ()
    models: Sequence[str | EntrantConfig] = ()
    limit: int | None = None
    max_connections: int | None = None
    name: str | None = None
    project: str | None = None
    seed: int | None = None
    budget: Decimal | None = None


@dataclass
class Execution:
    """A run that is frozen in the ledger and ready to go on."""

    ledger: Ledger
    run: RunRecord
    runner: Runner
    tasks: Mapping[int, Task]
    entrants: Sequence[EntrantRecord]
    budget: Budget | None = None
    unknown: Sequence[UnknownCall] = ()
    interrupted_by: int | None = field(default=None)

    def go(self) -> str:
        """Run to the end, or to a signal; the run's final status. Beside a running event loop, on a thread."""
        try:
            asyncio.get_running_loop()
        except RuntimeError:
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
        if self.budget is not None:
            note_end(self.ledger, self.run, self.budget)
        self.ledger.end_run(self.run, status)
        self.run = self.ledger.run(self.run.id)
        return status

    def interrupt(self, number: int) -> None:
        """Stop because of a signal; the second one stops at once."""
        self.interrupted_by = number
        self.runner.stop()

    def _has_gaps(self) -> bool:
        return any(lane.errors for lane in self.runner.lanes.values())


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


@dataclass(frozen=True, slots=True)
class PreparedRun:
    """A run that was checked whole, and of which nothing is written yet."""

    workspace: Workspace
    registry: ProviderRegistry
    plans: Sequence[TaskPlan]
    entrants: Sequence[PlannedEntrant]
    options: RunOptions
    seed: int

    @property
    def budget(self) -> Decimal | None:
        """At most so many USD for the run."""
        given = self.options.budget
        return self.workspace.settings.run.budget if given is None else given

    @property
    def _limited(self) -> bool:
        return self.budget is not None or bool(self.workspace.settings.budgets)

    @property
    def calls(self) -> int:
        """How many calls the run makes."""
        return len(self.entrants) * sum(plan.planned for plan in self.plans)

    def at_most(self) -> Decimal | None:
        """What the run can cost in USD without retries; None where a price or the length of answers is unbounded."""
        total = Decimal(0)
        for plan in self.plans:
            for planned in planned_samples(plan):
                for entry in self.entrants:
                    bound = self._bound(plan.task, planned, entry)
                    if bound is None:
                        return self.budget
                    total += bound
        return total if self.budget is None else min(total, self.budget)

    def _bound(self, task: Task, planned: PlannedSample, entry: PlannedEntrant) -> Decimal | None:
        asked = _asked(task, entry.entrant, planned.messages)
        asked = capped(asked) if self._limited else asked
        return worst_case(self.registry.get(entry.entrant.provider), asked, entry.rates)

    def unbounded(self) -> str:
        """Why nothing bounds what the run can cost."""
        unpriced = [entry.entrant.name for entry in self.entrants if not entry.simulated and not entry.rates.known]
        return f"{', '.join(unpriced)} has no price" if unpriced else "no max_tokens is set or a price is missing"

    def refuse_unbounded(self) -> None:
        """Raise ConfigurationError for a model under a budget of whose calls nothing bounds the cost."""
        project = self.options.project or self.workspace.project
        for entry in self.entrants:
            provider = self.registry.get(entry.entrant.provider)
            if self.budget is not None or limits_of(self.workspace.settings.budgets, project, provider.name):
                asked = [_asked(plan.task, entry.entrant) for plan in self.plans]
                refuse_unbounded(provider, asked, entry.rates)

    def start(self) -> Execution:
        """Freeze the plan in the ledger."""
        workspace, options = self.workspace, self.options
        settings = {
            "limit": options.limit,
            "max_connections": _connections(workspace, options.max_connections),
            "retry": workspace.settings.retry.model_dump(),
            "on_unsupported": workspace.settings.on_unsupported,
            **budget_settings(self.budget, limited=self._limited),
            "version": __version__,
        }
        ledger = Ledger(workspace.ledger_path)
        try:
            run = ledger.create_run(
                name=options.name,
                project=options.project or workspace.project,
                seed=self.seed,
                settings=settings,
                tasks=self.plans,
                entrants=self.entrants,
            )
            tasks = [plan.task for plan in self.plans]
            return _execution(ledger, run, tasks, self.registry, workspace.settings.budgets)
        except BaseException:
            ledger.close()
            raise


def prepare(workspace: Workspace, registry: ProviderRegistry, options: RunOptions) -> PreparedRun:
    """Check all that a run needs: folders, tasks, every sample, entrants, models, keys. Nothing is written or sent."""
    _check_writable(workspace)
    defaults = workspace.settings.run
    names = list(options.tasks or defaults.tasks)
    models = list(options.models or defaults.entrants)
    if not names:
        raise ConfigurationError("no task is named", hint="`llm-tester tasks list` shows them; name one or more.")
    if not models:
        raise ConfigurationError("no model is named", hint="Add -m provider:model, once per model.")
    _check_name(workspace, options.name)
    tasks = [load_task(name, workspace) for name in names]
    _refuse_twice([task.name for task in tasks])
    entrants = make_entrants(models, registry.discovered())
    planned = [_planned(entrant, registry) for entrant in entrants]
    seed = defaults.seed if options.seed is None else options.seed
    plans = plan_tasks(tasks, entrants, limit=options.limit, seed=seed)
    if workspace.settings.on_unsupported == "error":
        _refuse_changes(tasks, entrants, registry)
    prepared = PreparedRun(workspace, registry, plans, planned, options, seed)
    prepared.refuse_unbounded()
    return prepared


def _asked(task: Task, entrant: Entrant, messages: tuple[Message, ...] = ()) -> Request:
    parameters = {**task.config.parameters, **entrant.parameters}
    schema = task.output.json_schema if task.output else None
    return Request(entrant.provider, entrant.model, messages, parameters, output_schema=schema)


def _refuse_changes(tasks: Sequence[Task], entrants: Sequence[Entrant], registry: ProviderRegistry) -> None:
    for task in tasks:
        for entrant in entrants:
            refuse_changes(registry.get(entrant.provider), _asked(task, entrant))


def resume(
    workspace: Workspace, registry: ProviderRegistry, reference: str, *, budget: Decimal | None = None
) -> Execution:
    """The run of that name, ready to go on where it stopped; raises LedgerError when its task or samples changed.

    `budget` takes the place of the one that the run has; what was spent counts.
    """
    _check_writable(workspace)
    ledger = Ledger.existing(workspace.ledger_path)
    try:
        run = ledger.run(reference)
        variants = {entry.entrant.prompt for entry in ledger.entrants(run)}
        tasks = [_unchanged(record, variants, run) for record in ledger.tasks(run)]
        for entry in ledger.entrants(run):
            registry.get(entry.entrant.provider).prepare(entry.entrant.model)
        limits = workspace.settings.budgets
        _refuse_unbounded_resume(ledger, run, tasks, registry, limits, budget)
        unknown = ledger.take_over(run)
        run = renew_budget(ledger, run, budget, limited=bool(limits))
        execution = _execution(ledger, run, tasks, registry, limits)
    except BaseException:
        ledger.close()
        raise
    execution.unknown = unknown
    return execution


def _refuse_unbounded_resume(
    ledger: Ledger,
    run: RunRecord,
    tasks: Sequence[Task],
    registry: ProviderRegistry,
    limits: Sequence[BudgetLimit],
    budget: Decimal | None,
) -> None:
    for entry in ledger.entrants(run):
        provider = registry.get(entry.entrant.provider)
        if budget is not None or "budget" in run.settings or limits_of(limits, run.project, provider.name):
            asked = [_asked(task, entry.entrant) for task in tasks]
            refuse_unbounded(provider, asked, entry.rates, reprice=run.id)


def _execution(
    ledger: Ledger,
    run: RunRecord,
    tasks: Sequence[Task],
    registry: ProviderRegistry,
    limits: Sequence[BudgetLimit],
) -> Execution:
    records = ledger.tasks(run)
    by_key = {record.key: task for record, task in zip(records, tasks, strict=True)}
    entrants = ledger.entrants(run)
    total = sum(record.planned for record in records)
    budget = run_budget(ledger, run, limits)
    manager = ProviderManager(registry=registry, max_connections=run.settings["max_connections"], budget=budget)
    runner = Runner(ledger, run, manager, by_key, entrants, {entrant.key: total for entrant in entrants})
    by_name = {lane.entrant.entrant.name: lane for lane in runner.lanes.values()}
    for row in results(ledger, run):
        if row.outcome not in (Outcome.NOT_RUN, Outcome.UNKNOWN):
            cost = (row.cost_usd or Decimal(0)) if row.cost_known else None
            by_name[row.entrant].count(row.outcome, row.score or 0.0, cost)
    return Execution(ledger, run, runner, by_key, entrants, budget)


def _planned(entrant: Entrant, registry: ProviderRegistry) -> PlannedEntrant:
    provider = registry.get(entrant.provider)
    provider.prepare(entrant.model)
    rates = ProviderManager(registry=registry).rates(provider, entrant.model)
    return PlannedEntrant(entrant, provider.is_simulated, provider.host, rates)


def _unchanged(record: TaskRecord, variants: set[str], run: RunRecord) -> Task:
    hint = "Start a new run, or bring the files back to what they were."
    if not Path(record.folder).is_dir():
        raise LedgerError(f'the task "{record.name}" is no longer at {record.folder}', hint=hint)
    try:
        task = Task.load(record.folder)
        content = survey(task, sorted(variants))[1]
    except TaskError as error:
        raise LedgerError(f"the run {run.id} cannot go on: {error.message}", hint=error.hint) from None
    if task.hash != record.hash or content != record.samples_hash:
        what = "samples"
        if content == record.samples_hash:
            what, hint = "prompt, schema or scorer", f"{hint} After a scorer: first `llm-tester rescore {run.id}`."
        raise LedgerError(f'the {what} of the task "{record.name}" changed since the run {run.id} began', hint=hint)
    return task


def _connections(workspace: Workspace, given: int | None) -> int | None:
    return workspace.settings.run.max_connections if given is None else given


def _check_name(workspace: Workspace, name: str | None) -> None:
    if name in ("", "last"):
        raise ConfigurationError(f'a run cannot be named "{name}"', hint="`last` means the newest run. Choose another.")
    if name is not None and not (name.isprintable() and len(name) <= 100):
        raise ConfigurationError("--name: at most 100 printable characters", hint="Choose a shorter, plain name.")
    if name is None or not workspace.ledger_path.is_file():
        return
    with Ledger(workspace.ledger_path) as ledger:
        if any(name in (run.name, run.id) for run in ledger.runs()):
            raise ConfigurationError(f'there is a run named "{name}" already', hint="Choose another --name.")


def _check_writable(workspace: Workspace) -> None:
    """A folder that cannot be written is found out before the first call is paid for."""
    for folder in (workspace.reports_path, workspace.ledger_path.parent):
        existing = next(path for path in (folder, *folder.parents) if path.exists())
        if not existing.is_dir():
            raise ConfigurationError(f"{existing} is a file, but a folder is needed there", hint="Move the file away.")


def _refuse_twice(names: list[str]) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ConfigurationError(f'the task "{twice[0]}" is named twice', hint="Name each task once.")
