"""llm-tester resume"""

from __future__ import annotations

from typing import Annotated

import typer

from llm_tester.cli.budget import BudgetOption, read_budget
from llm_tester.cli.console import JsonOption, WorkspaceOption, single, workspace
from llm_tester.cli.run import carry_out
from llm_tester.evals.execution import resume as resume_run
from llm_tester.llms.llm_registry import ProviderRegistry

app = single()


@app.command()
def resume(
    run: Annotated[str, typer.Argument(metavar="RUN", help="An id, the beginning of one, a name, or last.")] = "last",
    budget: BudgetOption = None,
    as_json: JsonOption = False,
    named: WorkspaceOption = None,
) -> None:
    """Go on with a run that stopped. Calls of unknown fate are named and sent again; nothing stored is."""
    here = workspace(named)
    here.require_root()
    registry = ProviderRegistry(here)
    execution = resume_run(here, registry, run, budget=read_budget(budget))
    raise typer.Exit(carry_out(execution, here, registry, as_json=as_json))
