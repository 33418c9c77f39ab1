"""llm-tester show"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from llm_tester.cli.console import RunArgument, WorkspaceOption, ledger, out, single
from llm_tester.errors import TaskError, suggestion
from llm_tester.evals.ledger import Ledger
from llm_tester.evals.results import results
from llm_tester.evals.run_records import RunRecord
from llm_tester.evals.samples import Outcome
from llm_tester.reporting.field_grids import field_grid, hardest_grid
from llm_tester.reporting.grids import Grid
from llm_tester.reporting.phrases import unknown_text
from llm_tester.reporting.report import build_report
from llm_tester.reporting.tables import leaderboard, listing, safe, sample, wrong_answers

app = single()


@app.command()
def show(
    run: RunArgument,
    sample_id: Annotated[str | None, typer.Argument(metavar="SAMPLE", help="The id of one sample.")] = None,
    wrong: Annotated[bool, typer.Option("--wrong", help="List the samples that were not answered right.")] = False,
    named: WorkspaceOption = None,
) -> None:
    """Show a run's leaderboard, one of its samples, or what went wrong in it."""
    with ledger(named) as opened:
        record = opened.run(run)
        if sample_id is not None:
            _show_sample(opened, record, sample_id)
        elif wrong:
            rows = (row for row in results(opened, record) if row.outcome not in (Outcome.CORRECT, Outcome.NOT_RUN))
            out().print(wrong_answers(rows))
        else:
            _show_run(opened, record)


def _show_run(opened: Ledger, record: RunRecord) -> None:
    report = build_report(opened, record)
    screen = out()
    screen.print(safe(f"Run {record.name or record.id}, {record.state}"), style="bold")
    screen.print(leaderboard(report))
    for task in report.tasks:
        _show_details(task.record.name, [field_grid(report, task), hardest_grid(report, task)])
    for (entrant, error), count in report.errors.items():
        screen.print(safe(f"{count} x {entrant}: {error}"), style="red")
    for call in report.unknown:
        screen.print(safe(f"unknown fate: {unknown_text(call)}"), style="yellow")
    if record.state == "stopped":
        screen.print(safe(f"Next: llm-tester resume {record.id}"))


def _show_details(task: str, grids: Sequence[Grid]) -> None:
    screen = out()
    for grid in grids:
        if grid.rows:
            screen.print(safe(f"{grid.title}: {task}"), style="bold")
            screen.print(listing(grid.head, (row.cells for row in grid.rows)))
            screen.print(safe(f"{grid.note}\n"), style="dim")


def _show_sample(opened: Ledger, record: RunRecord, sample_id: str) -> None:
    rows = list(results(opened, record, sample_id=sample_id))
    if not rows:
        known = {row.sample_id for row in results(opened, record)}
        raise TaskError(f'the run {record.id} has no sample "{sample_id}"', hint=suggestion(sample_id, known))
    for task in dict.fromkeys(row.task for row in rows):
        of_task = [row for row in rows if row.task == task]
        asked = opened.prompts(record, of_task[0].position)
        texts = {variant: "\n\n".join(turn.content for turn in turns) for variant, turns in asked.items()}
        out().print(sample(of_task, texts))
