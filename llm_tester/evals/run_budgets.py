"""The budget of a run: made from its settings and the ledger, and written down with how it fared."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from llm_tester.config import CONFIG_NAME, BudgetLimit
from llm_tester.cost_manager import Rates, from_picodollars, usd_text
from llm_tester.errors import ConfigurationError, suggestion
from llm_tester.evals.ledger import Ledger
from llm_tester.evals.ledger_budgets import LedgerBudgets, limits_of
from llm_tester.evals.run_records import RunRecord
from llm_tester.evals.settings_notes import note
from llm_tester.llms.base import BaseLLM
from llm_tester.llms.bounds import OUTPUT_CAP, capped, worst_case
from llm_tester.llms.budgets import Budget, Shortage
from llm_tester.llms.chained import Link
from llm_tester.records import Request

OWN_BUDGET = "the run's budget"


@dataclass(frozen=True, slots=True)
class BudgetState:
    """A run's budget in USD (None: only limits that it shares) and how it fares.

    `stop` is what it stopped at, `cap` the max_tokens of calls that name none.
    """

    usd: Decimal | None
    spent: Decimal
    reserved: Decimal
    stop: Shortage | None
    cap: int | None = None

    def to_json(self) -> dict[str, Any]:
        """The budget as `run --json` prints it."""
        figures = {"usd": self.usd, "spent_usd": self.spent, "reserved_usd": self.reserved}
        said = {name: None if figure is None else usd_text(figure) for name, figure in figures.items()}
        return {**said, "stopped": None if self.stop is None else f"{self.stop}"}


_OF_RUN = """SELECT coalesce(sum(b.picodollars), 0) AS spent, coalesce(sum(b.at_most), 0) AS reserved
FROM calls c JOIN bill b ON b.call = c.call WHERE c.run = ?"""


def budget_settings(budget: Decimal | None, *, limited: bool, cap: int | None = OUTPUT_CAP) -> dict[str, Any]:
    """What a run's settings say of its budget, and of the max_tokens that its calls have under any."""
    own = {} if budget is None else {"budget": usd_text(budget)}
    return {**own, "max_tokens": cap} if own or limited else {}


def check_limits(limits: Sequence[BudgetLimit], providers: Iterable[str]) -> None:
    """Raise ConfigurationError for a limit of a provider that there is not: it would hold for nothing."""
    known = set(providers)
    for number, limit in enumerate(limits):
        if limit.provider is not None and limit.provider not in known:
            raise ConfigurationError(
                f'{CONFIG_NAME}: budgets[{number}].provider: there is no provider "{limit.provider}"',
                hint=suggestion(limit.provider, known) or "`llm-tester providers list` shows them.",
                path=f"budgets[{number}].provider",
            )


def is_limited(limits: Sequence[BudgetLimit], project: str, links: Iterable[Link]) -> bool:
    """Whether a limit of config.json holds for calls of this project to any of `links`."""
    return any(limits_of(limits, project, link.provider.name) for link in links if not link.provider.is_simulated)


def run_budget(ledger: Ledger, run: RunRecord, limits: Sequence[BudgetLimit]) -> Budget | None:
    """The budget that the calls of a run pass; None where none was ever set."""
    if "max_tokens" not in run.settings:
        return None
    own = run.settings.get("budget")
    spent, reserved = spent_of(ledger, run)
    shared = LedgerBudgets(ledger, run, limits)
    limited = {limit.provider for limit in limits_of(limits, run.project)}
    return Budget(
        None if own is None else Decimal(own),
        spent=spent,
        reserved=reserved,
        shared=shared if own is not None or shared.limited else None,
        name=OWN_BUDGET,
        only=None if own is not None or None in limited else {name for name in limited if name is not None},
        cap=run.settings["max_tokens"],
    )


def renew_budget(ledger: Ledger, run: RunRecord, budget: Decimal | None, *, limited: bool) -> RunRecord:
    """The run with another budget where one is given, and without the note that it stopped at one."""
    note(ledger, run, {"budget_stop": None, **budget_settings(budget, limited=limited, cap=cap_of(ledger, run))})
    return ledger.run(run.id)


def cap_of(ledger: Ledger, run: RunRecord) -> int | None:
    """The max_tokens of calls that name none when the run goes on under a budget: none where it began without."""
    begun: int | None = run.settings.get("max_tokens")
    return begun if "max_tokens" in run.settings or ledger.has_begun(run) else OUTPUT_CAP


def spent_of(ledger: Ledger, run: RunRecord) -> tuple[Decimal, Decimal]:
    """What the run is known to have spent in USD, and what its calls of unknown cost can have cost besides."""
    row = next(ledger.store.read(_OF_RUN, (run.key,)))
    return from_picodollars(row["spent"]), from_picodollars(row["reserved"])


def budget_state(ledger: Ledger, run: RunRecord) -> BudgetState | None:
    """How the budget of a run fares; None where it has none."""
    if "max_tokens" not in run.settings:
        return None
    own, said = run.settings.get("budget"), run.settings.get("budget_stop")
    figures = [Decimal(said[name]) for name in ("usd", "spent", "reserved", "needed")] if said else []
    stop = Shortage(said["budget"], figures[0], figures[1], figures[2], figures[3]) if said else None
    return BudgetState(None if own is None else Decimal(own), *spent_of(ledger, run), stop, run.settings["max_tokens"])


def refuse_unbounded(
    provider: BaseLLM,
    asked: Iterable[Request],
    rates: Rates,
    *,
    reprice: str = "",
    cap: int | None = OUTPUT_CAP,
) -> None:
    """Raise ConfigurationError where nothing bounds what one of the calls can cost; `reprice` names a run to resume."""
    for request in asked:
        if worst_case(provider, request if cap is None else capped(request, cap), rates) is not None:
            continue
        model, where = f"{provider.name}:{request.model}", f"providers.{provider.name}.llm_models"
        missing = [name for name in ("input", "output") if name not in rates.by_class]
        if not missing:
            why = f"{model} takes no max_tokens" if cap is not None else f"the run asks {model} for no max_tokens"
            raise ConfigurationError(
                f"{why}, so that nothing bounds what a call costs, and a budget is set",
                hint=f'Say in config.json how long its answers get: {where}: [{{"name": "{request.model}",'
                ' "max_output_tokens": 1024}].',
                path=where,
            )
        lines = {"name": request.model, "cost_input": 1.25, "cost_output": 10}
        example = json.dumps({"providers": {provider.name: {"llm_models": [lines]}}})
        then = f" Then: llm-tester reprice {reprice}" if reprice else ""
        raise ConfigurationError(
            f"{model} has no price for {' and '.join(missing)}, and a budget is set",
            hint=f"Price it in config.json, in USD per 1M tokens, such as {example}.{then}",
            path=where,
        )
