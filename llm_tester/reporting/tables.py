"""A run in a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from rich import box
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.table import Table
from rich.text import Text

from llm_tester.evals.lanes import LaneProgress
from llm_tester.evals.results import Result
from llm_tester.evals.samples import Outcome
from llm_tester.evals.summary import Standing
from llm_tester.reporting.phrases import (
    cost_text,
    coverage_text,
    interval_text,
    latency_text,
    notes,
    outcomes_text,
    score_text,
    verdict_text,
)
from llm_tester.reporting.report import Report, TaskReport
from llm_tester.reporting.text import dollars, one_line, plain, printable, share

HEADS = ("Entrant", "Score", "95 % interval", "Outcomes", "Tokens", "Cost", "p50 / p95", "Scored")
SHORTEST_NAME = 14
STYLES = {
    Outcome.CORRECT: "green",
    Outcome.PARTIAL: "yellow",
    Outcome.ERROR: "red",
    Outcome.UNKNOWN: "red",
}


def safe(text: str) -> Text:
    """Untrusted text: no terminal codes, no markup."""
    return Text(printable(text))


def leaderboard(report: Report) -> RenderableType:
    """The standings of every task with a sentence on who is best, then what to know beside them."""
    parts: list[RenderableType] = []
    for task in report.tasks:
        parts += [Standings(task), safe(verdict_text(task)), Text("")]
    parts += [Text(note, style="dim") for note in notes(report)]
    return Group(*parts)


class Standings:
    """The standings of a task: a table where there is room for one, else a block per entrant; no figure is cut."""

    def __init__(self, task: TaskReport) -> None:
        self._task = task

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        all_simulated = all(standing.simulated for standing in self._task.standings)
        rows = [_cells(standing, mark=standing.simulated and not all_simulated) for standing in self._task.standings]
        title = f"{self._task.record.name}{'  (simulated)' if rows and all_simulated else ''}"
        longest = max((row[0].cell_len for row in rows), default=0)
        # Rich cuts columns off when they do not fit, so room is made where a text can be folded: at the names.
        room = options.max_width - _width_of([row[1:] for row in rows])
        if room >= min(longest, SHORTEST_NAME):
            yield _standings(title, rows, min(longest, room))
        else:
            yield from _blocks(title, rows)


def _width_of(rows: Sequence[Sequence[Text]]) -> int:
    """The width of all columns but the names', with the gaps between them."""
    widths = [max(map(len, head.split("\n"))) for head in HEADS[1:]]
    for row in rows:
        cells = (max((len(line) for line in cell.plain.split("\n")), default=0) for cell in row)
        widths = [max(pair) for pair in zip(widths, cells, strict=True)]
    return sum(widths) + 2 * len(HEADS)


def _standings(title: str, rows: Iterable[Sequence[Text]], name_width: int) -> Table:
    table = _table(title)
    table.add_column(HEADS[0], overflow="fold", width=name_width)
    for head in HEADS[1:]:
        table.add_column(head, justify="left" if head in ("95 % interval", "Outcomes") else "right", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    return table


def _blocks(title: str, rows: Iterable[Sequence[Text]]) -> Iterator[Text]:
    yield Text(title, style="bold")
    for name, score, interval, outcomes, tokens, cost, latency, scored in rows:
        yield Text("\n") + name
        yield Text(f"  score {score}{f' ({interval})' if interval.plain else ''}, scored {scored}")
        yield Text(f"  {' '.join(outcomes.plain.split())}")
        yield Text(f"  tokens {tokens}, cost {cost}, latency {latency}")
    yield Text("")


def _cells(standing: Standing, *, mark: bool) -> list[Text]:
    name = f"{standing.entrant} (simulated)" if mark else standing.entrant
    return [
        safe(name),
        Text(score_text(standing), style="bold"),
        Text(interval_text(standing)),
        safe(packed(outcomes_text(standing).split(", "), 20)),
        Text(compact(standing.usage["input"], standing.usage["output"]) if standing.usage else "–"),
        Text(cost_text(standing)),
        Text(latency_text(standing)),
        Text(coverage_text(standing)),
    ]


def packed(parts: Iterable[str], width: int) -> str:
    """`parts` joined by commas in lines of about `width` characters, none of them broken in two."""
    lines = [""]
    for part in parts:
        longer = f"{lines[-1]}, {part}" if lines[-1] else part
        if len(longer) <= width:
            lines[-1] = longer
        else:
            lines[-1] += ","
            lines.append(part)
    return "\n".join(lines)


def compact(*counts: int) -> str:
    """Token counts in a few characters, such as 8.0k/312."""
    return "/".join(_short(count) for count in counts)


def _short(count: int) -> str:
    for size, letter in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if count >= size:
            return f"{count / size:.1f}{letter}" if count < 1000 * size else f"{count / size:.0e}{letter}"
    return str(count)


def live(lanes: Iterable[LaneProgress], elapsed: float) -> Table:
    """A row per entrant while a run goes on."""
    table = _table("")
    for name in ("Entrant", "Done", "", "Score so far", "Cost", "Projected", "Per second", "Errors"):
        table.add_column(name, justify="left" if name in ("Entrant", "") else "right", no_wrap=name != "Entrant")
    for lane in lanes:
        table.add_row(*_live_cells(lane, elapsed))
    return table


def _live_cells(lane: LaneProgress, elapsed: float) -> list[Text]:
    width = 14
    filled = round(width * lane.done / lane.total) if lane.total else width
    known = lane.done - lane.cost_unknown
    projected = lane.cost / known * lane.total if known else None
    cost = dollars(lane.cost if known else None)
    sign = "≥ " if lane.cost_unknown and known else ""
    mean = lane.moments.mean
    return [
        safe(_live_name(lane)),
        Text(share(lane.done, lane.total)),
        Text("█" * filled, style="green") + Text("░" * (width - filled), style="dim"),
        Text("–" if mean is None else f"{mean:.3f}"),
        Text(sign + cost),
        Text(dollars(projected)),
        Text(f"{lane.sent / elapsed:.1f}" if elapsed > 0 else "–"),
        Text(str(lane.errors), style="red" if lane.errors else ""),
    ]


def _live_name(lane: LaneProgress) -> str:
    name = lane.entrant.entrant.name + (" (simulated)" if lane.entrant.simulated else "")
    return f"{name}\nwaits: {one_line(lane.trouble, 60)}" if lane.trouble else name


def wrong_answers(rows: Iterable[Result]) -> Table:
    """The samples that were not answered right, a row each."""
    table = _table("")
    for name, ratio in (("Sample", None), ("Entrant", None), ("Outcome", None), ("Score", None)):
        table.add_column(name, ratio=ratio, overflow="fold")
    table.add_column("Expected", ratio=2)
    table.add_column("Answer, or what went wrong", ratio=3)
    for row in rows:
        told = "; ".join(part for part in (wrong_leaves(row), row.error or row.answer or "") if part)
        table.add_row(
            safe(f"{row.sample_id}{_epoch(row)}"),
            safe(row.entrant),
            Text(row.outcome.value, style=STYLES.get(row.outcome, "")),
            Text("–" if row.score is None else f"{row.score:.2f}"),
            Text(one_line(plain(row.expected), 80)),
            Text(one_line(told, 120)),
        )
    return table


def sample(rows: Sequence[Result], prompts: Mapping[str, str]) -> RenderableType:
    """One sample: what was asked, by prompt variant, what was expected, and what each entrant made of it."""
    first = rows[0]
    parts: list[RenderableType] = [Text(one_line(f"{first.task} / {first.sample_id}", 200), style="bold")]
    for variant, prompt in prompts.items():
        named = f' "{variant}"' if variant else ""
        parts += [Text(f"\nPrompt{named}", style="dim"), safe(prompt)]
    parts += [Text("\nExpected", style="dim"), safe(plain(first.expected))]
    for row in rows:
        score = "" if row.score is None else f", score {row.score:.3f}"
        ended = printable(f"\n{row.entrant}{_epoch(row)}: {row.outcome.value}{score}")
        parts.append(Text(ended, style=STYLES.get(row.outcome, "bold")))
        parts.append(safe(row.error or row.answer or ""))
        parts += [safe(line) for line in (row.note, wrong_leaves(row), *row.violations) if line]
    return Group(*parts)


def _epoch(row: Result) -> str:
    return f" (epoch {row.epoch})" if row.epoch > 1 else ""


def wrong_leaves(row: Result) -> str:
    """The leaves of a structured answer that are not right, such as "total wrong; tax missing"."""
    found = (row.fields or {}).items()
    return "; ".join(f"{path or '(the whole)'} {state}" for path, state in found if state != "correct")


def listing(columns: Iterable[str], rows: Iterable[Iterable[str]]) -> Table:
    """A plain list."""
    table = _table("")
    for name in columns:
        table.add_column(safe(name), overflow="fold")
    for row in rows:
        table.add_row(*(safe(cell) for cell in row))
    return table


def _table(title: str) -> Table:
    return Table(
        title=title or None,
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        pad_edge=False,
        expand=False,
        header_style="dim",
    )
