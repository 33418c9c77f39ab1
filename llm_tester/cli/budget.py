"""--budget, as `run` and `resume` take it, and what is said when it stopped them."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Annotated

import typer

from llm_tester.errors import ConfigurationError
from llm_tester.evals.run_budgets import OWN_BUDGET
from llm_tester.llms.budgets import Shortage

BudgetOption = Annotated[
    str | None,
    typer.Option("--budget", metavar="USD", help="Stop, resumable, before a call that could exceed so many dollars."),
]
_AMOUNT = re.compile(r"\$?(\d{1,9}(?:\.\d{0,12})?|\.\d{1,12})", re.ASCII)


def read_budget(text: str | None) -> Decimal | None:
    """The dollars that `--budget` names; raises ConfigurationError for anything else."""
    if text is None:
        return None
    amount = _AMOUNT.fullmatch(text.strip())
    if amount is None:
        raise ConfigurationError(
            f'--budget: expected dollars, 0 or more, not "{text}"', hint="Write an amount in USD such as 5 or 0.25."
        )
    return Decimal(amount[1])


def stop_text(run: str, stop: Shortage) -> str:
    """At what a run stopped, and how it goes on."""
    if stop.budget == OWN_BUDGET:
        how = f"with a higher one: llm-tester resume {run} --budget USD"
    else:
        how = f'later, or with a higher limit in config.json ("budgets"): llm-tester resume {run}'
    return f"{stop}.\n  Go on {how}"
