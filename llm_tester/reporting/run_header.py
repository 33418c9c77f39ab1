"""What was run, in a few lines, and where its prices are in doubt."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime

from llm_tester.cost_manager import usd_text
from llm_tester.evals.run_records import EntrantRecord, RunRecord
from llm_tester.llms.price_sources import differing_rates
from llm_tester.reporting.phrases import budget_text
from llm_tester.reporting.report import Report
from llm_tester.reporting.text import one_line

MAX_FACT = 600


def facts(report: Report) -> list[tuple[str, str]]:
    """The run's particulars, a name and a text each."""
    run = report.run
    tasks = [f"{task.record.name} ({task.record.planned:,} of {task.record.total:,} samples)" for task in report.tasks]
    hosts = sorted({entry.host or "in this process" for entry in report.entrants})
    limit = run.settings.get("limit")
    found = [
        ("Run", run.id),
        ("Status", run.state),
        ("Project", run.project),
        ("Begun", _moment(run.created_at)),
        ("Ended", _moment(run.ended_at)),
        ("Tasks", ", ".join(tasks)),
        ("Entrants", ", ".join(_entrants(report))),
        ("Hosts", ", ".join(hosts)),
        ("Epochs", f"{run.epochs}" if run.epochs > 1 else ""),
        ("Seed", f"{run.seed}{f', at most {limit:,} samples a task' if limit else ''}"),
        ("Budget", budget_text(report.budget)),
        ("Repriced", ", ".join(_repricing(report))),
        ("Rescored", ", ".join(_rescoring(report))),
        ("LLM Tester", str(run.settings.get("version", ""))),
    ]
    return [(name, one_line(text, MAX_FACT)) for name, text in found if text]


def _entrants(report: Report) -> list[str]:
    found = []
    for entry in report.entrants:
        entrant = entry.entrant
        model = " then ".join(entrant.chain) or entrant.full_model
        named = entrant.name if entrant.name == model else f"{entrant.name} = {model}"
        asked = json.dumps(dict(entrant.parameters), ensure_ascii=False) if entrant.parameters else ""
        variant = f"prompt {entrant.prompt}" if entrant.prompt else ""
        extra = ", ".join(part for part in (variant, asked) if part)
        found.append(f"{named} ({extra})" if extra else named)
    return found


def _repricing(report: Report) -> list[str]:
    notes = report.run.settings.get("repriced", ())
    return [f"{note['entrant']} on {note['at'][:10]}: {note['was']} before, now {note['is']}" for note in notes]


def _rescoring(report: Report) -> list[str]:
    notes = report.run.settings.get("rescored", ())
    return [f"{', '.join(note['tasks'])} on {note['at'][:10]} (version {note['version']})" for note in notes]


def price_notes(run: RunRecord, entrants: Iterable[EntrantRecord]) -> list[str]:
    """Where the rates that are used differ from what genai-prices' bundled data says of the day the run began."""
    moment = datetime.fromtimestamp(run.created_at, UTC)
    found = []
    for entry in entrants:
        if entry.simulated:
            continue
        entrant = entry.entrant
        differing = differing_rates(entrant.provider, entry.host, entrant.model, entry.rates, moment)
        if differing:
            told = ", ".join(
                f"{name} {usd_text(ours)} here, {usd_text(theirs)} there" for name, ours, theirs in differing
            )
            found.append(
                f"{entrant.name}: the prices of {entry.rates.source} differ from genai-prices' (USD per 1M): {told}."
            )
    return found


def _moment(stamp: float | None) -> str:
    return f"{datetime.fromtimestamp(stamp, UTC):%Y-%m-%d %H:%M} UTC" if stamp else ""
