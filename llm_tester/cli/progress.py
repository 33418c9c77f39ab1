"""A run on the screen: live rows on a terminal, else a line now and then; then the leaderboard and what is next."""

from __future__ import annotations

import shlex
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.live import Live
from rich.text import Text

from llm_tester.evals.execution import Execution
from llm_tester.evals.run_budgets import OWN_BUDGET
from llm_tester.evals.samples import Outcome
from llm_tester.llms.parameter_names import doubtful
from llm_tester.reporting.html import html
from llm_tester.reporting.markdown import markdown
from llm_tester.reporting.phrases import unknown_text
from llm_tester.reporting.report import Report
from llm_tester.reporting.run_header import price_notes
from llm_tester.reporting.tables import leaderboard, live, safe
from llm_tester.reporting.text import counted, one_line

EVERY = 15.0


def header(console: Console, execution: Execution, broken: dict[str, str]) -> None:
    """What is about to run, and what is not as usual."""
    run = execution.run
    total = sum(lane.total for lane in execution.runner.lanes)
    names = ", ".join(task.name for task in execution.tasks.values())
    size = f"{counted(len(execution.entrants), 'entrant')}, {counted(total, 'call')}"
    console.print(safe(f"Run {run.name or run.id}: {names}; {size}"))
    for entrant in execution.entrants:
        host, before = execution.hosts[entrant.key], entrant.host
        if host:
            moved = f" (calls so far went to {before or 'this process'})" if host != before else ""
            console.print(safe(f"  {entrant.entrant.name} talks to {host}{moved}"), style="yellow" if moved else "")
        if not entrant.is_priced:
            console.print(safe(f"  {entrant.entrant.name} has no prices: its cost will be unknown"))
    for note in price_notes(run, execution.entrants):
        console.print(safe(f"  {note}"), style="yellow", soft_wrap=True)
    for line in [*doubtful(_parameters(execution)), *execution.notes]:
        console.print(safe(f"  {line}"), style="yellow", soft_wrap=True)
    for name, problem in broken.items():
        console.print(safe(f"  broken provider, not used: {name}: {problem}"), style="yellow", soft_wrap=True)
    if execution.unknown:
        console.print(safe(f"{counted(len(execution.unknown), 'call')} of unknown fate, sent again:"), style="yellow")
        for call in execution.unknown:
            console.print(safe(f"  {unknown_text(call)}"), style="yellow", soft_wrap=True)


def _parameters(execution: Execution) -> Iterator[str]:
    for task in execution.tasks.values():
        yield from task.config.parameters
    for entrant in execution.entrants:
        yield from entrant.entrant.parameters


@contextmanager
def watching(console: Console, execution: Execution) -> Iterator[None]:
    """Show how the run goes on while the block runs."""
    runner = execution.runner
    if console.is_terminal:

        def rows() -> object:
            return live(runner.lanes, time.monotonic() - runner.started)

        with Live(console=console, get_renderable=rows, refresh_per_second=5, transient=True):  # type: ignore[arg-type]
            yield
        return
    ended = threading.Event()
    watcher = threading.Thread(target=_lines, args=(console, execution, ended), daemon=True)
    watcher.start()
    try:
        yield
    finally:
        ended.set()
        watcher.join()


def _lines(console: Console, execution: Execution, ended: threading.Event) -> None:
    while not ended.wait(EVERY):
        for lane in execution.runner.lanes:
            waits = f"; waits: {one_line(lane.trouble, 200)}" if lane.trouble else ""
            told = f"{lane.entrant.entrant.name}: {lane.done:,}/{lane.total:,}, {lane.errors} errors{waits}"
            console.print(safe(told), soft_wrap=True)


def write_report(report: Report, folder: Path) -> Path:
    """Write the run's report into the workspace's reports folder, as a page and as Markdown; the page's path."""
    folder.mkdir(exist_ok=True)
    for ending, text in ((".md", markdown(report)), (".html", html(report))):
        path = folder / f"{report.run.id}{ending}"
        path.write_text(text, "utf-8")
    return path


def closing(console: Console, report: Report, path: Path, root: Path) -> None:
    """The leaderboard, and what to type next."""
    console.print()
    console.print(leaderboard(report))
    for (entrant, error), count in list(report.errors.items())[:3]:
        console.print(Text(one_line(f"{count} x {entrant}: {error}", 400), style="red"))
    console.print()
    console.print(Text.assemble(("Report  ", "dim"), str(path)), soft_wrap=True)
    for number, (command, why) in enumerate(_next(report)):
        console.print(
            Text.assemble(("        " if number else "Next    ", "dim"), _go(root), command, (f"   {why}", "dim"))
        )


def _next(report: Report) -> list[tuple[str, str]]:
    run = report.run
    if run.state == "stopped":
        stop = report.budget.stop if report.budget is not None else None
        more = " --budget USD" if stop is not None and stop.budget == OWN_BUDGET else ""
        return [(f"llm-tester resume {run.id}{more}", "goes on where it stopped")]
    return [
        *_mending(report),
        ("llm-tester show last --wrong", "what went wrong"),
        ("llm-tester report last --format csv", "every answer"),
        ("llm-tester tasks new my_task", "a task of your own"),
    ]


def _mending(report: Report) -> list[tuple[str, str]]:
    """How what is missing from an incomplete run is asked again."""
    missing = report.count(Outcome.UNKNOWN) + report.count(Outcome.NOT_RUN)
    found = [("", "asks what is not answered yet")] if missing else []
    # What is simulated fails in the same way again.
    if report.count(Outcome.ERROR) and not report.simulated:
        found.append((" --retry-errors", "asks again what ended in an error"))
    return [(f"llm-tester resume {report.run.id}{option}", why) for option, why in found]


def _go(root: Path) -> str:
    """What to type before a command to be in the workspace."""
    here = Path.cwd()
    if root == here or root in here.parents:
        return ""
    return f"cd {shlex.quote(str(root.relative_to(here) if root.is_relative_to(here) else root))} && "
