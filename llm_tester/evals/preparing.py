"""From a request to run to a frozen run: everything is checked before anything is written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from llm_tester.config import EntrantConfig, Workspace
from llm_tester.cost_manager import UNPRICED
from llm_tester.errors import ConfigurationError
from llm_tester.evals.entrants import Entrant, make_entrants
from llm_tester.evals.execution import Execution, make_execution
from llm_tester.evals.ledger import Ledger, refuse_no_file
from llm_tester.evals.ledger_budgets import limits_of
from llm_tester.evals.planning import PlannedSample, TaskPlan, plan_tasks, planned_samples
from llm_tester.evals.run_budgets import budget_settings, check_limits, is_limited, refuse_unbounded
from llm_tester.evals.run_records import LinkRecord, PlannedEntrant
from llm_tester.evals.tasks import Task, load_task
from llm_tester.llms.bounds import capped
from llm_tester.llms.chained import Chained, are_simulated, bound_of, hosts_of, links_of, of_link
from llm_tester.llms.exchange import refuse_changes
from llm_tester.llms.llm_registry import ProviderRegistry
from llm_tester.llms.policy_settings import retry_settings
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
    cache: bool | None = None


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
    def _project(self) -> str:
        return self.options.project or self.workspace.project

    def _is_limited(self, entry: PlannedEntrant) -> bool:
        """Whether its calls are under a budget."""
        links = links_of(self.registry.get(entry.entrant.provider), entry.entrant.model)
        return self.budget is not None or is_limited(self.workspace.settings.budgets, self._project, links)

    @property
    def calls(self) -> int:
        """How many calls the run makes, without those that try entrants first."""
        return self.epochs * len(self.entrants) * sum(plan.planned for plan in self.plans)

    @property
    def epochs(self) -> int:
        """How often each sample is asked."""
        return self.options.epochs or self.workspace.settings.run.epochs

    @property
    def _has_cache(self) -> bool:
        given = self.options.cache
        return self.workspace.settings.cache.enabled if given is None else given

    @property
    def has_canary(self) -> bool:
        """Whether one call tries each entrant first."""
        given = self.options.canary
        return self.workspace.settings.run.canary if given is None else given

    def at_most(self) -> Decimal | None:
        """What the run can cost in USD without retries; None where a price or the length of answers is unbounded."""
        total = Decimal(0)
        for entry in self.entrants:
            bound = self.at_most_of(entry)
            if bound is None:
                return self.budget
            total += bound
        return total if self.budget is None else min(total, self.budget)

    def at_most_of(self, entry: PlannedEntrant, only: TaskPlan | None = None) -> Decimal | None:
        """As `at_most`, for one entrant, on one task where it is named, and without the budget."""
        total = Decimal(0)
        for plan in self.plans if only is None else (only,):
            for planned in planned_samples(plan):
                if planned.variant != entry.entrant.prompt:
                    continue
                bound = self._bound(plan.task, planned, entry)
                if bound is None:
                    return None
                total += bound * self.times(planned, entry)
        return total

    def times(self, planned: PlannedSample, entry: PlannedEntrant) -> int:
        """How often an entrant is asked a sample: in each epoch, and the first one by the canary too."""
        return self.epochs + (self.has_canary and not entry.simulated and not planned.position)

    def request(self, task: Task, planned: PlannedSample, entry: PlannedEntrant) -> Request:
        """What the entrant is asked, with an end to its answer where a budget needs one."""
        request = asked(task, entry.entrant, planned.messages)
        return capped(request) if self._is_limited(entry) else request

    def _bound(self, task: Task, planned: PlannedSample, entry: PlannedEntrant) -> Decimal | None:
        request = self.request(task, planned, entry)
        return bound_of(links_of(self.registry.get(request.provider), request.model), request, entry.link_rates)

    def unbounded(self) -> str:
        """Why nothing bounds what the run can cost."""
        unpriced = [
            entry.entrant.name
            for entry in self.entrants
            if not entry.simulated and not all(rates.known for rates in entry.link_rates)
        ]
        return f"{', '.join(unpriced)} has no price" if unpriced else "no max_tokens is set or a price is missing"

    def refuse_unbounded(self) -> None:
        """Raise ConfigurationError for a model under a budget of whose calls nothing bounds the cost."""
        for entry in self.entrants:
            links = links_of(self.registry.get(entry.entrant.provider), entry.entrant.model)
            for link, rates in zip(links, entry.link_rates, strict=True):
                if self.budget is not None or limits_of(
                    self.workspace.settings.budgets, self._project, link.provider.name
                ):
                    requests = [asked(plan.task, entry.entrant) for plan in self.plans]
                    refuse_unbounded(link.provider, [of_link(request, link) for request in requests], rates)

    def start(self) -> Execution:
        """Freeze the plan in the ledger."""
        workspace, options = self.workspace, self.options
        settings = {
            "limit": options.limit,
            "max_connections": _connections(workspace, options.max_connections),
            "retry": retry_settings(workspace).model_dump(),
            "on_unsupported": workspace.settings.on_unsupported,
            "canary": self.has_canary,
            "max_outage": options.max_outage or workspace.settings.run.max_outage,
            **budget_settings(self.budget, limited=any(map(self._is_limited, self.entrants))),
            **({"cache": {"ttl": workspace.settings.cache.ttl}} if self._has_cache else {}),
            "version": __version__,
        }
        ledger = Ledger(workspace.ledger_path)
        try:
            run = ledger.create_run(
                name=options.name,
                project=self._project,
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
    check_limits(workspace.settings.budgets, registry.discovered())
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
    links, manager = links_of(provider, entrant.model), ProviderManager(registry=registry)
    priced = [LinkRecord(link.provider.name, link.model, manager.rates(link.provider, link.model)) for link in links]
    if not isinstance(provider, Chained):
        return PlannedEntrant(entrant, provider.is_simulated, provider.host, priced[0].rates)
    chained = replace(entrant, chain=tuple(link.name for link in links))
    return PlannedEntrant(chained, are_simulated(links), hosts_of(links), UNPRICED, tuple(priced))


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
    refuse_no_file(workspace.ledger_path)


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
