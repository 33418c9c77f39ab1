"""llm-tester report"""

from __future__ import annotations

import io
import sys
import webbrowser
from contextlib import closing
from enum import StrEnum
from pathlib import Path
from typing import Annotated, TextIO

import typer

from llm_tester.cli.console import RunArgument, WorkspaceOption, single, workspace
from llm_tester.errors import ConfigurationError
from llm_tester.evals.ledger import Ledger
from llm_tester.evals.results import results
from llm_tester.evals.run_records import RunRecord
from llm_tester.reporting.exports import write_csv, write_json
from llm_tester.reporting.html import html
from llm_tester.reporting.markdown import markdown
from llm_tester.reporting.report import build_report

app = single()


class Format(StrEnum):
    """How a report is written."""

    HTML = "html"
    MD = "md"
    CSV = "csv"
    JSON = "json"


@app.command()
def report(
    run: RunArgument,
    chosen: Annotated[
        Format, typer.Option("--format", help="A page, Markdown, or every row as CSV or JSON.")
    ] = Format.HTML,
    output: Annotated[
        Path | None, typer.Option("--output", metavar="FILE", help="Write here; - is standard output.")
    ] = None,
    show: Annotated[bool, typer.Option("--open", help="Open the page in a browser.")] = False,
    named: WorkspaceOption = None,
) -> None:
    """Write a run's cost report as one HTML file into reports/, or print it as Markdown, CSV or JSON."""
    if show and (chosen is not Format.HTML or output == Path("-")):
        raise ConfigurationError("--open needs an HTML file", hint="Leave --format and --output - away.")
    here = workspace(named)
    with Ledger.existing(here.ledger_path) as opened:
        record = opened.run(run)
        if output is None and chosen is Format.HTML:
            folder = here.reports_path
            folder.mkdir(exist_ok=True)
            output = folder / f"{record.id}.html"
        if output is None or output == Path("-"):
            _write(chosen, opened, record, sys.stdout)
            return
        # Made whole before the file is touched, so that a failure leaves no half of one.
        made = io.StringIO()
        _write(chosen, opened, record, made)
    _save(output, made.getvalue())
    sys.stdout.write(f"{output.absolute()}\n")
    if show:
        webbrowser.open(output.absolute().as_uri())


def _save(path: Path, text: str) -> None:
    try:
        path.write_text(text, "utf-8", newline="")
    except OSError as error:
        raise ConfigurationError(
            f"{path} cannot be written: {error.strerror}", hint="Name a file in a folder that exists with --output."
        ) from None


def _write(chosen: Format, ledger: Ledger, record: RunRecord, out: TextIO) -> None:
    if chosen is Format.HTML:
        out.write(html(build_report(ledger, record)))
        return
    if chosen is Format.MD:
        out.write(markdown(build_report(ledger, record)))
        return
    # Closed before the ledger is, also when nobody reads on.
    with closing(results(ledger, record)) as rows:
        if chosen is Format.CSV:
            write_csv(rows, out)
        else:
            write_json(build_report(ledger, record), rows, out)
