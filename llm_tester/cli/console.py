"""What the commands share: the workspace they work in, and how they print."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from llm_tester.config import Workspace
from llm_tester.errors import ConfigurationError
from llm_tester.evals.ledger import Ledger

WorkspaceOption = Annotated[
    str | None, typer.Option("--workspace", metavar="DIR", help="The workspace, if not here or in a folder above.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")]
RunArgument = Annotated[str, typer.Argument(metavar="RUN", help="An id, the beginning of one, a name, or last.")]


def out() -> Console:
    """Standard output; 100 columns where it is not a terminal."""
    return Console(file=sys.stdout, width=None if sys.stdout.isatty() else 100, highlight=False, emoji=False)


def err() -> Console:
    """Standard error."""
    return Console(file=sys.stderr, highlight=False, emoji=False, soft_wrap=True)


def workspace(named: str | None) -> Workspace:
    """The workspace that a command works in."""
    try:
        current = Path.cwd()
    except FileNotFoundError:
        raise ConfigurationError("the current folder is no longer there", hint="Go to another one.") from None
    return Workspace.find(current, os.environ, named)


def ledger(named: str | None) -> Ledger:
    """The ledger of the workspace, which must have one."""
    return Ledger.existing(workspace(named).ledger_path)


def print_json(value: Any) -> None:
    """`value` as JSON on standard output."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False, indent=2) + "\n")


def single(**settings: Any) -> typer.Typer:
    """An application of one command."""
    return typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False, add_completion=False, **settings)
