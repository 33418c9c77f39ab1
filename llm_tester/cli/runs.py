"""llm-tester runs"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from llm_tester.cli.console import JsonOption, WorkspaceOption, ledger, out, print_json, single
from llm_tester.evals.ledger import Ledger
from llm_tester.evals.run_records import RunRecord
from llm_tester.reporting.tables import listing

app = single(no_args_is_help=True)


@app.callback()
def runs() -> None:
    """List runs."""


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
