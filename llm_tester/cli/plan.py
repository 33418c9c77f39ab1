"""llm-tester plan"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from rich.text import Text

from llm_tester.cli.budget import BudgetOption, read_budget
from llm_tester.cli.console import JsonOption, WorkspaceOption, out, print_json, single, workspace
from llm_tester.cli.run import quiet
from llm_tester.cli.run_options import (
    CanaryOption,
    ConnectionsOption,
    EntrantOption,
    EpochsOption,
    LimitOption,
    ModelOption,
    ParamOption,
    ParamsOption,
    ProjectOption,
    PromptOption,
    TasksArgument,
    entrants,
)
from llm_tester.cost_manager import usd_text
from llm_tester.evals.estimates import Estimate, estimates
from llm_tester.evals.preparing import PreparedRun, RunOptions, prepare
from llm_tester.llms.llm_registry import ProviderRegistry
from llm_tester.reporting.tables import compact, listing
from llm_tester.reporting.text import counted, dollars, printable

app = single()
COLUMNS = ("Task", "Entrant", "Calls", "Tokens in/out", "Likely", "At most", "Time", "Tokens from")


@app.command()
def plan(
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
    project: ProjectOption = None,
    as_json: JsonOption = False,
    named: WorkspaceOption = None,
) -> None:
    """Show what a run would ask, cost and take, likely and at most. Nothing is sent, and no run is made.

    Checked as by `run`, keys too. Tokens are the mean of stored answers of the model to the task, else assumed. What is
    unknown is named so and counted, never 0. Retries are not in it.
    """
    here = workspace(named)
    here.require_root()
    options = RunOptions(
        tasks or (),
        entrants(model, prompt, (param, params), entrant),
        limit,
        max_connections,
        project=project,
        budget=read_budget(budget),
        epochs=epochs,
        canary=canary,
    )
    with quiet(as_json):
        prepared = prepare(here, ProviderRegistry(here), options)
        rows = estimates(prepared)
    if as_json:
        print_json({"rows": [row.to_json() for row in rows], "total": _total(prepared, rows)})
        return
    screen = out()
    screen.print(listing(COLUMNS, map(_cells, rows)))
    screen.print(Text(printable(_summary(prepared, rows))), soft_wrap=True)


def _cells(row: Estimate) -> tuple[str, ...]:
    return (
        row.task,
        f"{row.entrant} (simulated)" if row.simulated else row.entrant,
        f"{row.calls:,}",
        compact(row.input, row.output),
        _usd(row.likely),
        _usd(row.at_most),
        _time(row),
        row.basis,
    )


def _usd(usd: Decimal | None) -> str:
    return "unknown" if usd is None else dollars(usd)


def _time(row: Estimate) -> str:
    if row.minutes is None:
        return "unknown"
    shown = f"{row.minutes:.1f} min" if row.minutes >= 1 else f"{row.minutes * 60:.0f} s"
    return shown if row.timed else f"at least {shown}"


def _total(prepared: PreparedRun, rows: Sequence[Estimate]) -> dict[str, Any]:
    most = prepared.at_most()
    return {
        "calls": sum(row.calls for row in rows),
        "epochs": prepared.epochs,
        "tokens": {"input": sum(row.input for row in rows), "output": sum(row.output for row in rows)},
        "likely_usd": usd_text(_likely(rows)),
        "likely_unknown_calls": sum(row.calls for row in rows if row.likely is None),
        "at_most_usd": None if most is None else usd_text(most),
        "at_most_unknown_calls": sum(row.calls for row in rows if row.at_most is None),
        "budget_usd": None if prepared.budget is None else usd_text(prepared.budget),
    }


def _likely(rows: Sequence[Estimate]) -> Decimal:
    return sum((row.likely for row in rows if row.likely is not None), Decimal(0))


def _summary(prepared: PreparedRun, rows: Sequence[Estimate]) -> str:
    total = _total(prepared, rows)
    open_calls, unbounded = total["likely_unknown_calls"], total["at_most_unknown_calls"]
    likely = dollars(_likely(rows)) if open_calls < total["calls"] else "unknown"
    more = f" and {counted(open_calls, 'call')} of unknown cost" if open_calls and likely != "unknown" else ""
    most = prepared.at_most()
    bound = f"at most {dollars(most)}" if most is not None else "nothing bounds it"
    why = f" ({counted(unbounded, 'call')}: {prepared.unbounded()})" if unbounded else ""
    return f"{counted(total['calls'], 'call')}: likely {likely}{more}, {bound}{why}. Nothing was sent."
