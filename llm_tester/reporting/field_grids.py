"""Which fields go wrong for whom, and the hardest samples, as tables."""

from __future__ import annotations

from llm_tester.evals.field_tables import FieldTally, HardSample, spread
from llm_tester.evals.summary import Standing
from llm_tester.reporting.grids import Grid, Row
from llm_tester.reporting.report import Report, TaskReport
from llm_tester.reporting.text import counted, one_line, plain

MAX_EXPECTED = 80
MAX_FIELDS = 40
MAX_INVENTED = 6


def field_grid(_: Report, task: TaskReport) -> Grid:
    """A row per field, a column per entrant, the best entrant first; no rows where nothing is scored by fields."""
    entrants = _scored(task)
    table = spread(task.fields, [standing.entrant for standing in entrants])
    known = [entry for entry in table if any(tally.expected for tally in entry[1])]
    invented = [entry for entry in table if entry not in known]
    shown = known[:MAX_FIELDS] + invented[:MAX_INVENTED]
    rows = [
        Row(
            (path or "(the whole)", *(tally_text(tally) for tally in tallies)),
            shares=(None, *(tally.share for tally in tallies)),
        )
        for path, tallies in shown
    ]
    note = (
        "The share of golds whose field is right, then how often it was wrong or missing, or invented where the gold "
        "has none. An answer in which nothing can be read misses all of its fields."
    )
    more = len(table) - len(rows) + task.fields.left_out
    note += f" {counted(more, 'more field')} not listed." if more else ""
    return Grid("Fields", ("Field", *(standing.entrant for standing in entrants)), rows, note, kind="fields")


def tally_text(tally: FieldTally) -> str:
    """The share that is right, and what was amiss."""
    counts = {"wrong": tally.wrong, "missing": tally.missing, "invented": tally.invented}
    amiss = ", ".join(f"{count:,} {name}" for name, count in counts.items() if count)
    if tally.share is None:
        return amiss or "–"
    return f"{100 * tally.share:.1f} %" + (f" ({amiss})" if amiss else "")


def hardest_grid(report: Report, task: TaskReport) -> Grid:
    """The samples that most entrants did not get right."""
    rows = [
        Row(
            (
                one_line(sample.sample_id, MAX_EXPECTED),
                _failed(sample),
                f"{sample.score:.3f}",
                one_line(plain(sample.expected), MAX_EXPECTED),
            )
        )
        for sample in task.hardest
    ]
    run = report.run.name or report.run.id
    note = f"Those that most entrants did not get right. llm-tester show {run} SAMPLE shows what each answered."
    return Grid(
        "Hardest samples", ("Sample", "Not right for", "Mean score", "Expected"), rows, note, words=4, kind="hard"
    )


def _failed(sample: HardSample) -> str:
    if len(sample.failed) == sample.answered:
        return f"all {sample.answered}" if sample.answered > 1 else sample.failed[0]
    return f"{len(sample.failed)} of {sample.answered}: {', '.join(sample.failed)}"


def _scored(task: TaskReport) -> list[Standing]:
    return [standing for standing in task.standings if standing.scored]
