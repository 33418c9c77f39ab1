"""llm-tester prices"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Annotated

import typer

from llm_tester.catalogue import ModelEntry
from llm_tester.cli.console import WorkspaceOption, out, single, workspace
from llm_tester.cli.models import differences, planned, usable
from llm_tester.llms.catalogue_sync import COSTS, ModelChange, SyncPlan, genai_id_of
from llm_tester.llms.provider_factory import DiscoveredProvider, discover, find
from llm_tester.reporting.tables import safe

app = single(no_args_is_help=True)


@app.callback()
def prices() -> None:
    """Compare the catalogues with the installed genai-prices."""


@app.command()
def check(
    providers: Annotated[
        list[str] | None, typer.Argument(metavar="[PROVIDER...]", help="All that genai-prices knows if none is named.")
    ] = None,
    named: WorkspaceOption = None,
) -> None:
    """Print where listed prices differ from genai-prices; ends with 1 where one does."""
    found = discover(workspace(named))
    chosen = [find(name, found) for name in dict.fromkeys(providers)] if providers else _known(found.values())
    screen = out()
    differs = False
    for provider in chosen:
        config = usable(provider)
        plan = planned(config, datetime.now(UTC).date())
        changes = _differing(plan)
        unconfirmed = [entry.name for entry in config.llm_models if entry.name in plan.gone and _priced(entry)]
        if not changes and not unconfirmed:
            sys.stdout.write(f"{plan.provider}: {len(config.llm_models)} models as in genai-prices\n")
            continue
        differs = True
        screen.print(safe(plan.provider), style="bold")
        if changes:
            screen.print(differences(changes))
        if unconfirmed:
            screen.print(safe(f"Priced here, not in genai-prices: {', '.join(unconfirmed)}"))
    if differs:
        raise typer.Exit(1)


def _known(found: Iterable[DiscoveredProvider]) -> list[DiscoveredProvider]:
    priced = (one for one in found if one.enabled and one.config and one.config.llm_models)
    return [one for one in priced if genai_id_of(usable(one)) is not None]


def _priced(entry: ModelEntry) -> bool:
    return any(getattr(entry, cost) is not None for cost in COSTS)


def _differing(plan: SyncPlan) -> list[ModelChange]:
    return [ModelChange(change.name, change.prices) for change in plan.changed if change.prices]
