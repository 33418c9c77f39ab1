"""llm-tester init"""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from llm_tester.cli.console import single
from llm_tester.evals.scaffold import make_workspace

app = single()


@app.command()
def init(folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where; here if not named.")] = Path()) -> None:
    """Make a workspace: config.json, tasks/ and providers/. What stands already stays as it is."""
    made = make_workspace(folder)
    for path in made:
        sys.stdout.write(f"made {path}{'/' * path.is_dir()}\n")
    if not made:
        sys.stdout.write(f"{folder.resolve()} is a workspace already\n")
    go = "" if folder.resolve() == Path.cwd() else f"cd {shlex.quote(str(folder))} && "
    sys.stdout.write(f"Next: {go}llm-tester tasks new my_task\n")
