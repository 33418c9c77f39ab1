"""From a request to run to a frozen run: everything is checked before anything is written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from llm_tester.config import EntrantConfig, Workspace
from llm_tester.errors import ConfigurationError
from llm_tester.evals.entrants import Entrant, make_entrants
from llm_tester.evals.execution import Execution, make_execution
from llm_tester.evals.ledger import Ledger
from llm_tester.evals.ledger_budgets import limits_of
from llm_tester.evals.planning import PlannedSample, TaskPlan, plan_tasks, planned_samples
from llm_tester.evals.run_budgets import budget_settings, refuse_unbounded
from llm_tester.evals.run_records import PlannedEntrant
from llm_tester.evals.tasks import Task, load_task
from llm_tester.llms.bounds import capped, worst_case
from llm_tester.llms.exchange import refuse_changes
from llm_tester.llms.llm_registry import ProviderRegistry
from llm_tester.llms.provider_manager import ProviderManager
from llm_tester.records import Message, Request
from llm_tester.version import __version__

MOST_MODELS = 12


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
    epochs: int | None = None
    canary: bool | None = None
    max_outage: float | None = None


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
        """How many calls the run makes, without those that try entrants first."""
        return self.epochs * len(self.entrants) * sum(plan.planned for plan in self.plans)

    @property
    def epochs(self) -> int:
        """How often each sample is asked."""
        return self.options.epochs or self.workspace.settings.run.epochs

    @property
    def has_canary(self) -> bool:
        """Whether one call tries each entrant first."""
        given = self.options.canary
        return self.workspace.settings.run.canary if given is None else given

    def at_most(self) -> Decimal | None:
        """What the run can cost in USD without retries; None where a price or the length of answers is unbounded."""
        total = Decimal(0)
        for plan in self.plans:
            for planned in planned_samples(plan):
                for entry in self.entrants:
                    bound = self._bound(plan.task, planned, entry)
                    if bound is None:
                        return self.budget
                    # The canary asks what the first sample asks.
                    total += bound * (self.epochs + (self.has_canary and not planned.position))
        return total if self.budget is None else min(total, self.budget)

    def _bound(self, task: Task, planned: PlannedSample, entry: PlannedEntrant) -> Decimal | None:
        request = asked(task, entry.entrant, planned.messages)
        request = capped(request) if self._limited else request
        return worst_case(self.registry.get(entry.entrant.provider), request, entry.rates)

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
                requests = [asked(plan.task, entry.entrant) for plan in self.plans]
                refuse_unbounded(provider, requests, entry.rates)

    def start(self) -> Execution:
        """Freeze the plan in the ledger."""
        workspace, options = self.workspace, self.options
        settings = {
            "limit": options.limit,
            "max_connections": _connections(workspace, options.max_connections),
            "retry": workspace.settings.retry.model_dump(),
            "on_unsupported": workspace.settings.on_unsupported,
            "canary": self.has_canary,
            "max_outage": options.max_outage or workspace.settings.run.max_outage,
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
                epochs=self.epochs,
            )
            tasks = [plan.task for plan in self.plans]
            execution = make_execution(ledger, run, tasks, self.registry, workspace.settings.budgets)
            execution.notes = [f"{plan.task.name}: {note}" for plan in self.plans for note in plan.notes]
            return execution
        except BaseException:
            ledger.close()
            raise


def prepare(workspace: Workspace, registry: ProviderRegistry, options: RunOptions) -> PreparedRun:
    """Check all that a run needs: folders, tasks, every sample, entrants, models, keys. Nothing is written or sent."""
    check_writable(workspace)
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
    _refuse_bare_providers(models, registry)
    entrants = make_entrants(models, registry.discovered())
    planned = [_planned(entrant, registry) for entrant in entrants]
    seed = defaults.seed if options.seed is None else options.seed
    plans = plan_tasks(tasks, entrants, limit=options.limit, seed=seed)
    if workspace.settings.on_unsupported == "error":
        _refuse_changes(tasks, entrants, registry)
    prepared = PreparedRun(workspace, registry, plans, planned, options, seed)
    prepared.refuse_unbounded()
    return prepared


def asked(task: Task, entrant: Entrant, messages: tuple[Message, ...] = ()) -> Request:
    """What an entrant is asked, as far as it is known before its run."""
    parameters = {**task.config.parameters, **entrant.parameters}
    schema = task.output.json_schema if task.output else None
    return Request(entrant.provider, entrant.model, messages, parameters, output_schema=schema)


def _refuse_changes(tasks: Sequence[Task], entrants: Sequence[Entrant], registry: ProviderRegistry) -> None:
    for task in tasks:
        for entrant in entrants:
            refuse_changes(registry.get(entrant.provider), asked(task, entrant))


def _planned(entrant: Entrant, registry: ProviderRegistry) -> PlannedEntrant:
    provider = registry.get(entrant.provider)
    provider.prepare(entrant.model)
    rates = ProviderManager(registry=registry).rates(provider, entrant.model)
    return PlannedEntrant(entrant, provider.is_simulated, provider.host, rates)


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


def check_writable(workspace: Workspace) -> None:
    """A folder that cannot be written is found out before the first call is paid for."""
    for folder in (workspace.reports_path, workspace.ledger_path.parent):
        existing = next(path for path in (folder, *folder.parents) if path.exists())
        if not existing.is_dir():
            raise ConfigurationError(f"{existing} is a file, but a folder is needed there", hint="Move the file away.")


def _refuse_bare_providers(models: Sequence[str | EntrantConfig], registry: ProviderRegistry) -> None:
    for given in models:
        named = given if isinstance(given, str) else given.model
        if named in registry.discovered():
            listed = [f"{named}:{entry.name}" for entry in registry.get(named).config.llm_models]
            shown = ", ".join(listed[:MOST_MODELS]) + (
                f" and {len(listed) - MOST_MODELS} more" * (len(listed) > MOST_MODELS)
            )
            raise ConfigurationError(
                f'"{named}" is a provider and names no model: expected provider:model',
                hint=f"It has {shown}." if listed else f"Write {named}:MODEL.",
            )


def _refuse_twice(names: list[str]) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ConfigurationError(f'the task "{twice[0]}" is named twice', hint="Name each task once.")
