"""llm-tester rescore"""

from __future__ import annotations

from typing import Annotated

import typer

from llm_tester.cli.console import JsonOption, RunArgument, WorkspaceOption, err, ledger, out, print_json, single
from llm_tester.evals.rescoring import Change, Flip
from llm_tester.evals.rescoring import rescore as scored_again
from llm_tester.reporting.tables import listing, safe
from llm_tester.reporting.text import counted

app = single()
MOST = 20


@app.command()
def rescore(
    run: RunArgument,
    task: Annotated[str | None, typer.Option("--task", metavar="TASK", help="Only this task of the run.")] = None,
    as_json: JsonOption = False,
    named: WorkspaceOption = None,
) -> None:
    """Score a run's stored answers again with the tasks' scorers of today; no model is asked."""
    with ledger(named) as opened:
        record = opened.run(run)
        found = scored_again(opened, record, task)
    for note in found.notes:
        err().print(safe(f"Warning: {note}"), soft_wrap=True)
    if as_json:
        rows = [change.to_json() for change in found.changes]
        print_json({"run": record.id, "version": found.version, "changes": rows})
        return
    screen = out()
    heads = ("Task", "Entrant", "Answers", "Score before", "Score now", "Changed", "Other outcome")
    screen.print(listing(heads, map(_cells, found.changes)))
    flips = [(change, flip) for change in found.changes for flip in change.flipped]
    if flips:
        columns = ("Task", "Sample", "Entrant", "Outcome before", "Outcome now", "Score")
        screen.print(listing(columns, (_flip_cells(change, flip) for change, flip in flips[:MOST])))
    if len(flips) > MOST:
        screen.print(safe(f"{counted(len(flips) - MOST, 'more sample')} with another outcome: see --json."))
    if found.version is None:
        screen.print(safe("Every score is as it was."))
    else:
        screen.print(safe(f"Kept as version {found.version} of the scores. Next: llm-tester report {record.id}"))


def _cells(change: Change) -> tuple[str, ...]:
    means = ("–" if moments.mean is None else f"{moments.mean:.3f}" for moments in (change.old, change.new))
    counts = (change.changed, len(change.flipped))
    return (change.task, change.entrant, f"{change.new.n:,}", *means, *(f"{count:,}" for count in counts))


def _flip_cells(change: Change, flip: Flip) -> tuple[str, ...]:
    sample = flip.sample_id if flip.epoch == 1 else f"{flip.sample_id} ({flip.epoch})"
    old = "–" if flip.old is None else f"{flip.old:.3f}"
    return (change.task, sample, change.entrant, flip.was or "not scored", flip.now, f"{old} -> {flip.new:.3f}")
