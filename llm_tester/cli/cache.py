"""llm-tester cache"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from llm_tester.cli.console import JsonOption, WorkspaceOption, out, print_json, single, workspace
from llm_tester.cost_manager import usd_text
from llm_tester.evals.ledger import Ledger
from llm_tester.evals.ledger_cache import cached_answers
from llm_tester.evals.ledger_cache import prune as prune_cache
from llm_tester.reporting.tables import listing
from llm_tester.reporting.text import counted

app = single(no_args_is_help=True)


@app.callback()
def cache() -> None:
    """Show and prune the answers that `run --cache` gives again."""


@app.command()
def show(as_json: JsonOption = False, named: WorkspaceOption = None) -> None:
    """How many answers are kept, of which models, and what they cost when they were bought."""
    here = workspace(named)
    ttl = here.settings.cache.ttl
    with Ledger.existing(here.ledger_path) as opened:
        found = cached_answers(opened, ttl)
    if as_json:
        print_json([row.to_json() for row in found])
        return
    if not found:
        out().print("The cache is empty; `llm-tester run --cache` fills it.")
        return
    heads = ("Model", "Answers", f"Not older than {ttl:,.0f} s", "Cost when bought", "Oldest", "Newest")
    rows = [
        (
            row.model,
            f"{row.answers:,}",
            f"{row.fresh:,}",
            f"${usd_text(row.cost)}",
            _moment(row.oldest),
            _moment(row.newest),
        )
        for row in found
    ]
    out().print(listing(heads, rows))


@app.command()
def prune(
    older_than: Annotated[
        float | None, typer.Option(min=0, metavar="SECONDS", help="What is older; by default cache.ttl of config.json.")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="All of it.")] = False,
    as_json: JsonOption = False,
    named: WorkspaceOption = None,
) -> None:
    """Forget kept answers that are too old; runs keep those that they were given."""
    if everything and older_than is not None:
        raise typer.BadParameter("give --older-than or --all")
    here = workspace(named)
    with Ledger.existing(here.ledger_path) as opened:
        age = -1.0 if everything else here.settings.cache.ttl if older_than is None else older_than
        count = prune_cache(opened, age)
    if as_json:
        print_json({"forgotten": count})
        return
    out().print(f"Forgot {counted(count, 'answer')}.")


def _moment(stamp: float) -> str:
    return f"{datetime.fromtimestamp(stamp, UTC):%Y-%m-%d %H:%M}"
