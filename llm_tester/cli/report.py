"""llm-tester report"""

from __future__ import annotations

import sys
from contextlib import closing
from enum import StrEnum
from typing import Annotated

import typer

from llm_tester.cli.console import RunArgument, WorkspaceOption, ledger, single
from llm_tester.evals.results import results
from llm_tester.reporting.exports import write_csv, write_json
from llm_tester.reporting.markdown import markdown
from llm_tester.reporting.report import build_report

app = single()


class Format(StrEnum):
    """How a report is printed."""

    MD = "md"
    JSON = "json"
    CSV = "csv"


@app.command()
def report(
    run: RunArgument,
    chosen: Annotated[Format, typer.Option("--format", help="Markdown, or every row as JSON or CSV.")] = Format.MD,
    named: WorkspaceOption = None,
) -> None:
    """Print a run on standard output as Markdown, JSON or CSV."""
    with ledger(named) as opened:
        record = opened.run(run)
        if chosen is Format.MD:
            sys.stdout.write(markdown(build_report(opened, record)))
            return
        # Closed before the ledger is, also when nobody reads on.
        with closing(results(opened, record)) as rows:
            if chosen is Format.CSV:
                write_csv(rows, sys.stdout)
            else:
                write_json(build_report(opened, record), rows, sys.stdout)
