"""What cog writes into README and docs: the help of every command, and a table of the demo."""

from __future__ import annotations

import io
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console

from llm_tester.cli.main import COMMANDS
from llm_tester.config import Workspace
from llm_tester.evals.demo import demo_options
from llm_tester.evals.preparing import prepare
from llm_tester.evals.scaffold import make_workspace
from llm_tester.llms.llm_registry import ProviderRegistry
from llm_tester.reporting.report import Report, build_report
from llm_tester.reporting.tables import leaderboard

SUBCOMMANDS = {
    "tasks": ("list", "check", "new"),
    "runs": ("list", "export", "delete"),
    "models": ("list", "sync"),
    "prices": ("check",),
    "providers": ("list", "show", "check", "new"),
    "config": ("show",),
    "cache": ("show", "prune"),
}


def demo_table(task: str) -> str:
    """What `llm-tester demo` prints of one task, at 100 columns."""
    with tempfile.TemporaryDirectory() as folder:
        make_workspace(Path(folder))
        workspace = Workspace.open(Path(folder), {})
        execution = prepare(workspace, ProviderRegistry(workspace), demo_options()).start()
        with execution.ledger as ledger:
            execution.go()
            whole = build_report(ledger, execution.run)
    chosen = [found for found in whole.tasks if found.record.name == task]
    report = Report(whole.run, chosen, whole.entrants, (), {})
    screen = Console(file=io.StringIO(), width=100, highlight=False, record=True)
    screen.print(leaderboard(report))
    return "\n".join(line.rstrip() for line in screen.export_text().strip().splitlines())


def help_of_all() -> str:
    """The help of every command, as Markdown."""
    parts = [_help()]
    for name in COMMANDS:
        parts += [_help(name), *(_help(name, sub) for sub in SUBCOMMANDS.get(name, ()))]
    return "\n\n".join(parts)


def _help(*words: str) -> str:
    done = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-m", "llm_tester.cli.main", *words, "--help"],
        capture_output=True,
        text=True,
        check=True,
        env={"COLUMNS": "100", "PATH": ""},
    )
    title = " ".join(("llm-tester", *words))
    return f"## {title}\n\n```text\n{done.stdout.strip()}\n```"
