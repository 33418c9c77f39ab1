"""llm-tester run"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, redirect_stdout
from decimal import Decimal

import typer

from llm_tester.cli.budget import BudgetOption, read_budget, stop_text
from llm_tester.cli.console import JsonOption, WorkspaceOption, err, out, print_json, single, workspace
from llm_tester.cli.main import print_error
from llm_tester.cli.progress import closing, header, watching, write_report
from llm_tester.cli.run_options import (
    CacheOption,
    CanaryOption,
    ConnectionsOption,
    EntrantOption,
    EpochsOption,
    LimitOption,
    ModelOption,
    NameOption,
    OutageOption,
    ParamOption,
    ParamsOption,
    ProjectOption,
    PromptOption,
    TasksArgument,
    ThresholdOption,
    YesOption,
    entrants,
)
from llm_tester.config import Workspace
from llm_tester.errors import LLMTesterError
from llm_tester.evals.execution import Execution
from llm_tester.evals.preparing import PreparedRun, RunOptions, prepare
from llm_tester.llms.llm_registry import ProviderRegistry
from llm_tester.reporting.phrases import dropped_notes, outage_notes, score_text
from llm_tester.reporting.report import Report, build_report
from llm_tester.reporting.text import counted, dollars

app = single()

FAILED, INCOMPLETE, SIGNALLED = 1, 3, 128
ASK_ABOVE = Decimal(1)


@app.command()
def run(
    tasks: TasksArgument = None,
    model: ModelOption = None,
    prompt: PromptOption = None,
    param: ParamOption = None,
    params: ParamsOption = None,
    entrant: EntrantOption = None,
    limit: LimitOption = None,
    max_connections: ConnectionsOption = None,
    epochs: EpochsOption = None,
    budget: BudgetOption = None,
    canary: CanaryOption = None,
    max_outage: OutageOption = None,
    cache: CacheOption = None,
    fail_under: ThresholdOption = None,
    name: NameOption = None,
    project: ProjectOption = None,
    as_json: JsonOption = False,
    yes: YesOption = False,
    named: WorkspaceOption = None,
) -> None:
    """Run tasks on models and show which is best, at what cost, and how sure that is."""
    here = workspace(named)
    here.require_root()
    registry = ProviderRegistry(here)
    options = RunOptions(
        tasks or (),
        entrants(model, prompt, (param, params), entrant),
        limit,
        max_connections,
        name,
        project,
        budget=read_budget(budget),
        epochs=epochs,
        canary=canary,
        max_outage=max_outage,
        cache=cache,
    )
    with quiet(as_json):
        prepared = prepare(here, registry, options)
    if not yes and not as_json:
        _ask(prepared)
    execution = prepared.start()
    # It holds the samples of small tasks.
    del prepared
    raise typer.Exit(carry_out(execution, here, registry, as_json=as_json, fail_under=fail_under))


def _ask(prepared: PreparedRun) -> None:
    """Ask before real money above $1 can flow, on a terminal only."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        return
    most = prepared.at_most()
    if most is not None and most <= ASK_ABOVE:
        return
    bound = f"an amount that nothing bounds, as {prepared.unbounded()}" if most is None else f"up to {dollars(most)}"
    typer.confirm(f"{counted(prepared.calls, 'call')} can cost {bound}. Go on?", abort=True)


@contextmanager
def quiet(as_json: bool) -> Iterator[None]:
    """With JSON on standard output, what a provider's own code prints goes to standard error."""
    with redirect_stdout(sys.stderr) if as_json else nullcontext():
        yield


def carry_out(
    execution: Execution,
    here: Workspace,
    registry: ProviderRegistry,
    *,
    as_json: bool = False,
    fail_under: float | None = None,
) -> int:
    """Run to the end on the screen, write the report, and return the exit code."""
    screen = err() if as_json else out()
    broken = {name: found.problem.message for name, found in registry.discovered().items() if found.problem}
    with execution.ledger as ledger:
        try:
            header(screen, execution, broken)
            with quiet(as_json), watching(screen, execution):
                execution.go()
        except (LLMTesterError, OSError) as error:
            print_error(error if isinstance(error, LLMTesterError) else LLMTesterError(f"cannot go on: {error}"))
            sys.stderr.write(f"  The run can go on: llm-tester resume {execution.run.id}\n")
            return INCOMPLETE
        report = build_report(ledger, execution.run)
    path = write_report(report, here.reports_path)
    if as_json:
        print_json(report.to_json())
    else:
        closing(screen, report, path, here.require_root())
    if report.budget is not None and report.budget.stop is not None:
        sys.stderr.write(f"Stopped: {stop_text(report.run.id, report.budget.stop)}\n")
    # On the screen they stand below the leaderboard.
    for note in [*dropped_notes(report), *outage_notes(report)] if as_json else ():
        sys.stderr.write(f"{note}\n")
    return exit_code(execution, report, fail_under)


def exit_code(execution: Execution, report: Report, fail_under: float | None) -> int:
    """130 or 143 after a signal, 3 when stopped, 1 below the threshold, 3 with gaps, else 0."""
    if execution.interrupted_by is not None:
        return SIGNALLED + execution.interrupted_by
    if report.run.state == "stopped":
        return INCOMPLETE
    low = [s for s in report.standings if fail_under is not None and (s.score or 0.0) < fail_under]
    if low:
        named = ", ".join(f"{standing.entrant} on {standing.task} ({score_text(standing)})" for standing in low)
        sys.stderr.write(f"Below --fail-under {fail_under:g}: {named}\n")
        return FAILED
    return 0 if report.run.state == "complete" else INCOMPLETE
