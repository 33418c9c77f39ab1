"""A run as Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from llm_tester.cost_manager import usd_text
from llm_tester.evals.run_records import EntrantRecord
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
from llm_tester.reporting.text import markdown_cell

COLUMNS = ("Entrant", "Score", "95 % interval", "Outcomes", "Tokens in / out", "Cost", "Latency p50 / p95", "Coverage")


def markdown(report: Report) -> str:
    """The whole report."""
    run = report.run
    began = datetime.fromtimestamp(run.created_at, UTC)
    title = f"{run.name} ({run.id})" if run.name else run.id
    lines = [f"# Run {markdown_cell(title)}", ""]
    lines += [f"{run.state}, begun {began:%Y-%m-%d %H:%M} UTC, project {markdown_cell(run.project)}", ""]
    for note in notes(report):
        lines += [f"> {markdown_cell(note)}", ""]
    for task in report.tasks:
        lines += _task(task)
    lines += _prices(report.entrants)
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


def _prices(entrants: Iterable[EntrantRecord]) -> list[str]:
    rows = [
        (
            entrant.entrant.name,
            ", ".join(f"{name} {usd_text(rate)}" for name, rate in entrant.rates.by_class.items()) or "unknown",
            entrant.rates.source,
            entrant.rates.priced_on or "–",
            entrant.host or "in this process",
        )
        for entrant in entrants
    ]
    head = ("Entrant", "USD per 1M tokens", "Source", "Priced on", "Host")
    return ["## Prices used", "", *table(head, rows), ""]


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """A Markdown table, a line each; cells are made safe."""
    lines = [f"| {' | '.join(head)} |", f"|{'|'.join(' --- ' for _ in head)}|"]
    return lines + [f"| {' | '.join(markdown_cell(cell) for cell in row)} |" for row in rows]
