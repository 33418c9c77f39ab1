"""A run that stopped, ready to go on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from llm_tester.config import BudgetLimit, Workspace
from llm_tester.errors import LedgerError, TaskError
from llm_tester.evals.execution import Execution, make_execution
from llm_tester.evals.ledger import Ledger
from llm_tester.evals.ledger_budgets import limits_of
from llm_tester.evals.planning import survey
from llm_tester.evals.preparing import asked, check_writable
from llm_tester.evals.run_budgets import cap_of, check_limits, is_limited, refuse_unbounded, renew_budget
from llm_tester.evals.run_notes import note_resumption
from llm_tester.evals.run_records import EntrantRecord, RunRecord, TaskRecord
from llm_tester.evals.tasks import Task
from llm_tester.llms.chained import Link, links_of, of_link
from llm_tester.llms.llm_registry import ProviderRegistry


@dataclass(frozen=True, slots=True)
class ResumeOptions:
    """`budget` takes the place of the one that the run has, and what was spent counts; calls without an answer are
    made again with `retry_errors`; with `keep_unknown` calls of unknown fate are not."""

    budget: Decimal | None = None
    retry_errors: bool = False
    keep_unknown: bool = False

    @property
    def leave(self) -> frozenset[str]:
        """The states of last calls whose samples stay as they are."""
        failed = () if self.retry_errors else ("failed",)
        return frozenset((*failed, "unknown") if self.keep_unknown else failed)


def resume(
    workspace: Workspace, registry: ProviderRegistry, reference: str, options: ResumeOptions = ResumeOptions()
) -> Execution:
    """The run of that name, ready to go on where it stopped; raises LedgerError when its task or samples changed."""
    check_writable(workspace)
    ledger = Ledger.existing(workspace.ledger_path)
    try:
        run = ledger.run(reference)
        variants = {entry.entrant.prompt for entry in ledger.entrants(run)}
        tasks = [_unchanged(record, variants, run) for record in ledger.tasks(run)]
        for entry in ledger.entrants(run):
            registry.get(entry.entrant.provider).prepare(entry.entrant.model)
            _refuse_other_chain(entry, registry)
        limits = workspace.settings.budgets
        check_limits(limits, registry.discovered())
        _refuse_unbounded(ledger, run, tasks, registry, limits, options.budget)
        unknown = ledger.take_over(run)
        links = [link for entry in ledger.entrants(run) for link in _links(entry, registry)]
        run = renew_budget(ledger, run, options.budget, limited=is_limited(limits, run.project, links))
        run = note_resumption(ledger, run, retry_errors=options.retry_errors, keep_unknown=options.keep_unknown)
        execution = make_execution(ledger, run, tasks, registry, limits, options.leave)
    except BaseException:
        ledger.close()
        raise
    execution.unknown = () if options.keep_unknown else unknown
    return execution


def _refuse_unbounded(
    ledger: Ledger,
    run: RunRecord,
    tasks: Sequence[Task],
    registry: ProviderRegistry,
    limits: Sequence[BudgetLimit],
    budget: Decimal | None,
) -> None:
    for entry in ledger.entrants(run):
        for link, rates in zip(_links(entry, registry), entry.link_rates, strict=True):
            if budget is not None or "budget" in run.settings or limits_of(limits, run.project, link.provider.name):
                requests = [of_link(asked(task, entry.entrant), link) for task in tasks]
                refuse_unbounded(link.provider, requests, rates, reprice=run.id, cap=cap_of(ledger, run))


def _links(entry: EntrantRecord, registry: ProviderRegistry) -> tuple[Link, ...]:
    return links_of(registry.get(entry.entrant.provider), entry.entrant.model)


def _refuse_other_chain(entry: EntrantRecord, registry: ProviderRegistry) -> None:
    if entry.links and tuple(link.name for link in _links(entry, registry)) != entry.entrant.chain:
        raise LedgerError(
            f'the chain "{entry.entrant.model}" changed since the run began: it was {", ".join(entry.entrant.chain)}',
            hint="Bring it back to what it was in config.json, or start a new run.",
        )


def _unchanged(record: TaskRecord, variants: set[str], run: RunRecord) -> Task:
    hint = "Start a new run, or bring the files back to what they were."
    if not Path(record.folder).is_dir():
        raise LedgerError(f'the task "{record.name}" is no longer at {record.folder}', hint=hint)
    try:
        task = Task.load(record.folder)
        content = survey(task, sorted(variants)).samples_hash
    except TaskError as error:
        raise LedgerError(f"the run {run.id} cannot go on: {error.message}", hint=error.hint) from None
    if task.hash != record.hash or content != record.samples_hash:
        what = "samples"
        if content == record.samples_hash:
            what, hint = "prompt, schema or scorer", f"{hint} After a scorer: first `llm-tester rescore {run.id}`."
        raise LedgerError(f'the {what} of the task "{record.name}" changed since the run {run.id} began', hint=hint)
    return task
