"""A run as Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from llm_tester.reporting.field_grids import field_grid, hardest_grid
from llm_tester.reporting.grids import (
    Grid,
    class_grid,
    leaderboard_grid,
    outcome_grid,
    price_grid,
    projection_grid,
)
from llm_tester.reporting.phrases import (
    cost_text,
    coverage_text,
    interval_text,
    latency_text,
    notes,
    outcomes_text,
    score_text,
    tokens_text,
    unknown_text,
    verdict_text,
)
from llm_tester.reporting.report import Report, TaskReport
from llm_tester.reporting.run_header import price_notes
from llm_tester.reporting.text import markdown_cell

COLUMNS = ("Entrant", "Score", "95 % interval", "Outcomes", "Tokens in / out", "Cost", "Latency p50 / p95", "Coverage")


def markdown(report: Report) -> str:
    """The whole report."""
    run = report.run
    began = datetime.fromtimestamp(run.created_at, UTC)
    title = f"{run.name} ({run.id})" if run.name else run.id
    lines = [f"# Run {markdown_cell(title)}", ""]
    lines += [f"{run.state}, begun {began:%Y-%m-%d %H:%M} UTC, project {markdown_cell(run.project)}", ""]
    for note in [*notes(report), *price_notes(report.run, report.entrants)]:
        lines += [f"> {markdown_cell(note)}", ""]
    for task in report.tasks:
        lines += [*_task(task), *_grids(report, task)]
    lines += _grid(price_grid(report.entrants), "##")
    if report.errors:
        rows = [(entrant, error, str(count)) for (entrant, error), count in report.errors.items()]
        lines += ["## Errors", "", *table(("Entrant", "Error", "Calls"), rows), ""]
    if report.unknown:
        lines += [
            "## Calls of unknown fate",
            "",
            *(f"- {markdown_cell(unknown_text(call))}" for call in report.unknown),
        ]
    return "\n".join(lines).rstrip() + "\n"


def _task(task: TaskReport) -> list[str]:
    rows = [
        (
            standing.entrant + (" (simulated)" if standing.simulated else ""),
            score_text(standing),
            interval_text(standing),
            outcomes_text(standing),
            tokens_text(standing),
            cost_text(standing),
            latency_text(standing),
            coverage_text(standing),
        )
        for standing in task.standings
    ]
    description = str(task.record.spec.get("description", ""))
    head = [f"## {markdown_cell(task.record.name)}", ""]
    head += [markdown_cell(description), ""] if description else []
    return [*head, *table(COLUMNS, rows), "", markdown_cell(verdict_text(task)), ""]


def _grids(report: Report, task: TaskReport) -> list[str]:
    grids = (leaderboard_grid, field_grid, hardest_grid, class_grid, outcome_grid, projection_grid)
    return [line for made in grids for line in _grid(made(report, task))]


def _grid(grid: Grid, level: str = "###") -> list[str]:
    if not grid.rows:
        return []
    note = [markdown_cell(grid.note), ""] if grid.note else []
    return [
        f"{level} {grid.title}",
        "",
        *note,
        *table([markdown_cell(head) for head in grid.head], [row.cells for row in grid.rows]),
        "",
    ]


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """A Markdown table, a line each; cells are made safe."""
    lines = [f"| {' | '.join(head)} |", f"|{'|'.join(' --- ' for _ in head)}|"]
    return lines + [f"| {' | '.join(markdown_cell(cell) for cell in row)} |" for row in rows]
