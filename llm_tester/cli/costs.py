"""llm-tester costs"""

from __future__ import annotations

import csv
import sys
from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import Annotated

import typer

from llm_tester.cli.console import WorkspaceOption, ledger, out, print_json, single
from llm_tester.cost_manager import usd_text
from llm_tester.errors import ConfigurationError, suggestion
from llm_tester.evals.ledger import Ledger, lost_calls
from llm_tester.evals.rollups import DIMENSIONS, CostRow, differences, rebuild
from llm_tester.evals.rollups import costs as read_costs
from llm_tester.reporting.markdown import table
from llm_tester.reporting.tables import listing, safe
from llm_tester.reporting.text import counted, csv_cell, dollars

app = single()
FIGURES = ("Calls", "Tokens", "Spent", "Unknown", "At most")


class Format(StrEnum):
    """How the bill is printed."""

    TABLE = "table"
    MD = "md"
    CSV = "csv"
    JSON = "json"


@app.command()
def costs(
    by: Annotated[
        str, typer.Option("--by", help=f"What to sum by, joined by commas: {', '.join(DIMENSIONS)}.")
    ] = "model",
    since: Annotated[
        str | None, typer.Option("--since", metavar="DAY", help="From this UTC day on, YYYY-MM-DD.")
    ] = None,
    chosen: Annotated[Format, typer.Option("--format", help="How it is printed.")] = Format.TABLE,
    verify: Annotated[bool, typer.Option("--verify", help="Check the sums against every single call.")] = False,
    again: Annotated[bool, typer.Option("--rebuild", help="Make the sums again from every single call.")] = False,
    named: WorkspaceOption = None,
) -> None:
    """What all runs of the workspace have cost; simulated and replayed answers are left out."""
    dimensions = _dimensions(by)
    first = _day(since)
    with ledger(named) as opened:
        if again:
            rebuild(opened.store)
        if verify:
            raise typer.Exit(_verify(differences(opened.store)))
        rows = read_costs(opened.store, dimensions, first)
        beside = [*_without_class(opened, dimensions, first), *_lost(opened)]
    if chosen is Format.JSON:
        print_json([row.to_json(dimensions) for row in rows])
    elif chosen is Format.CSV:
        _write_csv(dimensions, rows)
    elif chosen is Format.MD:
        sys.stdout.write("\n".join(table((*dimensions, *FIGURES), map(_cells, rows))) + "\n")
    else:
        _show(dimensions, rows)
    for line in beside:
        sys.stderr.write(f"{line}\n")


def _without_class(opened: Ledger, dimensions: Sequence[str], first: date | None) -> list[str]:
    """What the lines of token classes leave out."""
    if "token-class" not in dimensions:
        return []
    unknown = [row for row in read_costs(opened.store, (), first) if row.unknown_calls]
    return [
        f"Beside these, which are of token classes, {counted(row.unknown_calls, 'call')} cost an unknown amount:"
        f" {_bound(row.at_most, unbounded=row.unbounded_calls)}."
        for row in unknown
    ]


def _lost(opened: Ledger) -> list[str]:
    """Calls of runs that were killed, which nobody has counted yet."""
    found = []
    for run, calls, at_most, unbounded in lost_calls(opened):
        bound = _bound(at_most, unbounded=unbounded)
        found.append(
            f"Not in these sums: {counted(calls, 'call')} of unknown fate of the killed run {run.id}, {bound}."
            f" `llm-tester resume {run.id}` counts them."
        )
    return found


def _bound(at_most: Decimal, *, unbounded: int) -> str:
    return "nothing bounds it" if unbounded else f"at most {dollars(at_most)}"


def _dimensions(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    for name in names:
        if name not in DIMENSIONS:
            raise ConfigurationError(f'--by: costs cannot be summed by "{name}"', hint=suggestion(name, DIMENSIONS))
    if not names:
        raise ConfigurationError("--by names nothing", hint=f"Known: {', '.join(DIMENSIONS)}.")
    return list(dict.fromkeys(names))


def _day(text: str | None) -> date | None:
    try:
        return date.fromisoformat(text) if text else None
    except ValueError:
        raise ConfigurationError(f'--since: "{text}" is no day', hint="Write it as 2026-11-21.") from None


def _verify(lines: int) -> int:
    if lines:
        sys.stderr.write(f"{lines} lines of the sums differ from the single calls; --rebuild makes them again.\n")
        return 1
    sys.stdout.write("The sums are those of the single calls.\n")
    return 0


def _cells(row: CostRow) -> tuple[str, ...]:
    bound = "unbounded" if row.unbounded_calls else dollars(row.known + row.at_most)
    unknown = str(row.unknown_calls) if row.unknown_calls else ""
    return (*row.group, f"{row.calls:,}", f"{row.tokens:,}", dollars(row.known), unknown, bound if unknown else "")


def _show(dimensions: Sequence[str], rows: Sequence[CostRow]) -> None:
    if not rows:
        sys.stdout.write("Nothing was spent: there are no calls but simulated or replayed ones.\n")
        return
    screen = out()
    screen.print(listing((*dimensions, *FIGURES), map(_cells, rows)))
    total = sum((row.known for row in rows), Decimal(0))
    screen.print(safe(f"In all {dollars(total)}"))
    if any(row.unknown_calls for row in rows):
        screen.print(
            safe("Unknown: calls without a price or a fate; they can raise the sum to the figure at the right.")
        )


def _write_csv(dimensions: Sequence[str], rows: Sequence[CostRow]) -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow((*dimensions, "calls", "tokens", "spent_usd", "unknown_calls", "at_most_usd"))
    for row in rows:
        bound = "" if row.unbounded_calls else usd_text(row.known + row.at_most)
        figures = (row.calls, row.tokens, usd_text(row.known), row.unknown_calls, bound)
        writer.writerow((*map(csv_cell, row.group), *figures))
