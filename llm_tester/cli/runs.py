"""llm-tester runs"""

from __future__ import annotations

import sys
from contextlib import closing
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, TextIO

import typer

from llm_tester.cli.console import JsonOption, RunArgument, WorkspaceOption, ledger, out, print_json, single, workspace
from llm_tester.cli.output import written
from llm_tester.errors import ConfigurationError
from llm_tester.evals.deletion import delete_run, refuse_deletion
from llm_tester.evals.evidence import evidence
from llm_tester.evals.ledger import Ledger
from llm_tester.evals.run_records import RunRecord
from llm_tester.reporting.exports import write_evidence_csv, write_evidence_jsonl
from llm_tester.reporting.tables import listing
from llm_tester.reporting.text import counted

app = single(no_args_is_help=True)


@app.callback()
def runs() -> None:
    """List, export and delete runs."""


class Format(StrEnum):
    """How a run is exported."""

    JSONL = "jsonl"
    CSV = "csv"


@app.command("list")
def list_runs(as_json: JsonOption = False, named: WorkspaceOption = None) -> None:
    """The runs of the workspace, the newest first."""
    with ledger(named) as opened:
        rows = [_row(opened, run) for run in opened.runs()]
    if as_json:
        print_json(rows)
        return
    columns = ("Run", "Name", "Status", "Begun", "Tasks", "Entrants")
    shown = [
        (
            row["run"],
            row["name"] or "",
            row["status"],
            row["created_at"][:16].replace("T", " "),
            ", ".join(row["tasks"]),
            ", ".join(row["entrants"]),
        )
        for row in rows
    ]
    out().print(listing(columns, shown))


def _row(opened: Ledger, run: RunRecord) -> dict[str, Any]:
    return {
        "run": run.id,
        "name": run.name,
        "status": run.state,
        "created_at": datetime.fromtimestamp(run.created_at, UTC).isoformat(timespec="seconds"),
        "project": run.project,
        "tasks": [task.name for task in opened.tasks(run)],
        "entrants": [entrant.entrant.name for entrant in opened.entrants(run)],
    }


@app.command("export")
def export(
    run: RunArgument,
    chosen: Annotated[
        Format, typer.Option("--format", help="An object per line, or a table without the prompts.")
    ] = Format.JSONL,
    output: Annotated[
        Path | None, typer.Option("--output", metavar="FILE", help="Write here; - is standard output.")
    ] = None,
    named: WorkspaceOption = None,
) -> None:
    """Every answer of a run with all that its figures can be computed from again.

    A row per sample, entrant and epoch: hashes, parameters, prompt, target, answer, score, tokens and cost by class,
    rates, latency, errors. Money is in USD; rates are per 1M tokens.
    """
    with ledger(named) as opened:
        record = opened.run(run)
        if output is None or output == Path("-"):
            _export(opened, record, chosen, sys.stdout)
            return
        with written(output) as file:
            _export(opened, record, chosen, file)
    sys.stdout.write(f"{output.absolute()}\n")


def _export(opened: Ledger, record: RunRecord, chosen: Format, file: TextIO) -> None:
    write = write_evidence_csv if chosen is Format.CSV else write_evidence_jsonl
    # Closed before the ledger is, also when nobody reads on.
    with closing(evidence(opened, record)) as rows:
        write(rows, file)


@app.command("delete")
def delete(
    run: RunArgument,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    named: WorkspaceOption = None,
) -> None:
    """Delete a run: its plan, calls, answers and scores, and the samples that no other run has.

    What it has cost stays: `costs` shows the same bill as before, and --verify and --rebuild still hold, as the deleted
    calls' costs are kept by day, project, model, task and outcome. Its report stays in reports/. A run that a process
    works on is not deleted.
    """
    here = workspace(named)
    with Ledger.existing(here.ledger_path) as opened:
        record = opened.run(run)
        refuse_deletion(record)
        if not yes:
            _ask(record)
        gone = delete_run(opened, record)
    sys.stdout.write(
        f"Deleted the run {record.id}: {counted(gone.calls, 'call')}, {counted(gone.samples, 'sample')}"
        " that no other run has. Its cost stays on the bill.\n"
    )
    if left := [
        path for path in (here.reports_path / f"{record.id}{end}" for end in (".html", ".md")) if path.exists()
    ]:
        sys.stdout.write("".join(f"Still there: {path}\n" for path in left))


def _ask(record: RunRecord) -> None:
    """Ask on a terminal; elsewhere nobody could say no."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise ConfigurationError(f"the run {record.id} is not deleted unasked", hint="Add --yes.")
    called = f" ({record.name})" if record.name else ""
    typer.confirm(f"Delete the run {record.id}{called}, {record.state}, with all its answers?", abort=True)
