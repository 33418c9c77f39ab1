"""llm-tester resume"""

from __future__ import annotations

from typing import Annotated

import typer

from llm_tester.cli.budget import BudgetOption, read_budget
from llm_tester.cli.console import JsonOption, WorkspaceOption, single, workspace
from llm_tester.cli.run import carry_out
from llm_tester.evals.resuming import ResumeOptions
from llm_tester.evals.resuming import resume as resume_run
from llm_tester.llms.llm_registry import ProviderRegistry

app = single()


@app.command()
def resume(
    run: Annotated[str, typer.Argument(metavar="RUN", help="An id, the beginning of one, a name, or last.")] = "last",
    budget: BudgetOption = None,
    retry_errors: Annotated[
        bool, typer.Option("--retry-errors", help="Ask samples again whose calls ended without an answer.")
    ] = False,
    keep_unknown: Annotated[
        bool,
        typer.Option("--keep-unknown", help="Leave calls of unknown fate as they are."),
    ] = False,
    as_json: JsonOption = False,
    named: WorkspaceOption = None,
) -> None:
    """Go on with a run that stopped. Calls of unknown fate are named and sent again; nothing stored is."""
    here = workspace(named)
    here.require_root()
    registry = ProviderRegistry(here)
    options = ResumeOptions(read_budget(budget), retry_errors, keep_unknown)
    execution = resume_run(here, registry, run, options)
    raise typer.Exit(carry_out(execution, here, registry, as_json=as_json))
