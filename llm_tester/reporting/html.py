"""A run as one HTML file that needs nothing but itself."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.resources import files

from llm_tester.reporting.charts import Point, pareto, scatter
from llm_tester.reporting.field_grids import field_grid, hardest_grid
from llm_tester.reporting.grids import (
    Grid,
    Row,
    asked,
    class_grid,
    leaderboard_grid,
    named,
    outcome_grid,
    price_grid,
    projection_grid,
)
from llm_tester.reporting.phrases import notes, unknown_text, verdict_text
from llm_tester.reporting.report import Report, TaskReport
from llm_tester.reporting.run_header import facts, price_notes
from llm_tester.reporting.text import counted, one_line, printable
from llm_tester.version import __version__

MAX_LISTED = 50
MAX_ERROR = 300
MAX_DESCRIPTION = 2_000
WIDE, NARROW = (960, 420), (358, 380)


@dataclass(frozen=True, slots=True)
class TaskPage:
    """What the page shows of a task; the charts are SVG, safe by construction."""

    name: str
    description: str
    verdict: str
    board: Grid
    wide: str
    narrow: str
    caption: str
    grids: tuple[Grid, ...]


def html(report: Report) -> str:
    """The whole page."""
    # Takes a quarter of a second, which no other command should pay.
    from jinja2 import Environment, StrictUndefined

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["plain"] = printable
    source = files("llm_tester.reporting").joinpath("report.html.jinja").read_text("utf-8")
    run = report.run
    return environment.from_string(source).render(
        title=run.name or run.id,
        facts=facts(report),
        notes=[*notes(report), *price_notes(report.run, report.entrants)],
        tasks=[_page(report, task) for task in report.tasks],
        prices=price_grid(report.entrants),
        ends=[grid for grid in (_errors(report), _unknown(report)) if grid.rows],
        made=f"{datetime.fromtimestamp(run.ended_at or run.created_at, UTC):%Y-%m-%d}",
        version=__version__,
    )


def _page(report: Report, task: TaskReport) -> TaskPage:
    points = _points(report, task)
    wide = scatter(points, *WIDE) if points else ""
    narrow = scatter(points, *NARROW) if points else ""
    return TaskPage(
        name=task.record.name,
        description=one_line(str(task.record.spec.get("description", "")), MAX_DESCRIPTION),
        verdict=verdict_text(task),
        board=leaderboard_grid(report, task),
        wide=wide,
        narrow=narrow,
        caption=_caption(points, task),
        grids=tuple(
            made(report, task) for made in (field_grid, hardest_grid, class_grid, outcome_grid, projection_grid)
        ),
    )


def _points(report: Report, task: TaskReport) -> list[Point]:
    found = []
    for standing in task.standings:
        each = report.money_of(standing).per(asked(standing))
        if each is None or each.known is None or standing.score is None or standing.interval is None:
            continue
        if each.unknown_calls and not each.known:
            continue
        name = f"{'≥ ' if each.unknown_calls else ''}{standing.entrant}"
        low, high = standing.interval
        cost = float(each.known)
        found.append(Point(printable(name), cost if math.isfinite(cost) else 0.0, standing.score, low, high))
    return found


def _caption(points: list[Point], task: TaskReport) -> str:
    if not points:
        return "No entrant has both a score and a known cost, so there is nothing to draw."
    parts = ["Up and left is better. Whiskers: 95 % interval of the score."]
    front = [point.name for point in pareto(points)]
    parts.append(f"Dashed: the Pareto front, whom nobody beats in both score and cost: {', '.join(front)}.")
    shown = {point.name.removeprefix("≥ ") for point in points}
    missing = [named(standing) for standing in task.standings if printable(standing.entrant) not in shown]
    if missing:
        parts.append(f"Not drawn, for want of a score or a cost: {', '.join(missing)}.")
    if any(point.name.startswith("≥ ") for point in points):
        parts.append("≥: the cost is at least what is drawn.")
    return " ".join(parts)


def _errors(report: Report) -> Grid:
    rows = [
        Row((entrant, one_line(error, MAX_ERROR), f"{count:,}")) for (entrant, error), count in report.errors.items()
    ]
    return Grid("Errors", ("Entrant", "Error", "Calls"), rows, "The most frequent ones.", words=2)


def _unknown(report: Report) -> Grid:
    rows = [Row((unknown_text(call),)) for call in report.unknown[:MAX_LISTED]]
    more = len(report.unknown) - len(rows)
    note = "Sent, and never settled: nobody knows whether they were billed."
    note += f" {counted(more, 'more call')} not listed." if more else ""
    return Grid("Calls of unknown fate", ("Call and what it can have cost",), rows, note)
