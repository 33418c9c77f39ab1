"""llm-tester models"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from llm_tester.catalogue import ModelEntry, ProviderConfig
from llm_tester.cli.console import JsonOption, WorkspaceOption, err, out, print_json, single, workspace
from llm_tester.config import CONFIG_NAME, Workspace
from llm_tester.cost_manager import usd_text
from llm_tester.errors import ConfigurationError, ProviderLoadError
from llm_tester.llms.catalogue_sync import (
    Limits,
    ModelChange,
    SyncPlan,
    apply,
    apply_to_workspace,
    entry_json,
    genai_id_of,
    plan_sync,
    read_exact,
    read_limits,
)
from llm_tester.llms.provider_factory import DiscoveredProvider, discover, find, load_provider_config
from llm_tester.reporting.tables import listing, safe

WIDTH = 120
SHOWN = 5
SHOWN_ADDED = 40
DASH = "–"

app = single(no_args_is_help=True)
Apply = Callable[..., dict[str, Any]]


@app.callback()
def models() -> None:
    """List the models of the catalogues with their prices and limits; bring prices up to date."""


@app.command("list")
def list_models(
    provider: Annotated[str | None, typer.Argument(metavar="PROVIDER", help="All providers if not named.")] = None,
    as_json: JsonOption = False,
    named: WorkspaceOption = None,
) -> None:
    """The models of the catalogues, as this workspace sees them."""
    found = discover(workspace(named))
    chosen = [find(provider, found)] if provider else [one for one in found.values() if one.enabled and one.config]
    rows = [(one.name, entry) for one in chosen for entry in usable(one).llm_models]
    if as_json:
        print_json([{"provider": name, **_json_numbers(entry_json(entry))} for name, entry in rows])
        return
    columns = ("Model", "Input", "Cached", "Output", "Max input", "Max output", "Priced on")
    screen = out()
    screen.print(listing(columns, (_cells(name, entry) for name, entry in rows)))
    screen.print("USD per 1M tokens. * default model. + other prices for long inputs or at other times: --json.")


def usable(provider: DiscoveredProvider) -> ProviderConfig:
    """The provider's configuration; raises what is wrong with it where it is broken."""
    if provider.config is None:
        raise provider.problem or ProviderLoadError(f"{provider.folder}: cannot be used")
    return provider.config


def _cells(provider: str, entry: ModelEntry) -> tuple[str, ...]:
    more = "+" if entry.tiers or entry.timed_prices else ""
    costs = (entry.cost_input, entry.cost_cached_input, entry.cost_output)
    prices = (DASH if cost is None else f"{usd_text(cost)}{more}" for cost in costs)
    limits = (f"{limit:,}" if limit else DASH for limit in (entry.max_input_tokens, entry.max_output_tokens))
    priced_on = entry.priced_on.isoformat() if entry.priced_on else DASH
    return (f"{provider}:{entry.name}{' *' if entry.default else ''}", *prices, *limits, priced_on)


def _json_numbers(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _json_numbers(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_json_numbers(inner) for inner in value]
    return float(value) if isinstance(value, Decimal) else value


@dataclass(frozen=True, slots=True)
class Target:
    """A file that a plan is written into, and how."""

    plan: SyncPlan
    file: Path
    write: Apply


@app.command()
def sync(
    providers: Annotated[list[str], typer.Argument(metavar="PROVIDER...", help="Providers to bring up to date.")],
    limits: Annotated[
        Path | None,
        typer.Option("--limits", metavar="FILE", help="LiteLLM's model map, for limits and capabilities."),
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Add the models that are not listed yet, too.")] = False,
    prune: Annotated[bool, typer.Option("--prune", help="Remove models that genai-prices does not have.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Write without asking.")] = False,
    named: WorkspaceOption = None,
) -> None:
    """Bring prices up to date with the installed genai-prices: shows what would change, then asks."""
    here = workspace(named)
    found = discover(here)
    table = read_limits(limits) if limits else None
    targets = [_target(find(name, found), here, table, listed=not every) for name in dict.fromkeys(providers)]
    for target in targets:
        show(target.plan)
    waiting = [target for target in targets if _pending(target.plan, prune=prune)]
    if not waiting:
        return
    if not yes and not _agreed(waiting):
        err().print("Nothing was written; --yes writes without asking.")
        raise typer.Exit(1)
    for target in waiting:
        content = target.write(target.plan, read_exact(target.file), prune=prune)
        new = target.file.with_suffix(".json.new")
        new.write_text(layout(content) + "\n", encoding="utf-8")
        new.replace(target.file)
        sys.stdout.write(f"wrote {target.file}\n")


def _target(provider: DiscoveredProvider, here: Workspace, limits: Limits | None, *, listed: bool) -> Target:
    """The workspace's own folders are written into, all others are overridden in the workspace's config.json."""
    own = provider.source == "workspace"
    config = load_provider_config(provider.folder) if own else usable(provider)
    file = (provider.folder if own else here.require_root()) / CONFIG_NAME
    plan = planned(config, datetime.now(UTC).date(), limits)
    if listed:
        left_out = tuple((name, why) for name, why in plan.left_out if config.model(name))
        plan = replace(plan, added=(), left_out=left_out)
    return Target(plan, file, apply if own else apply_to_workspace)


def planned(config: ProviderConfig, today: date, limits: Limits | None = None) -> SyncPlan:
    """The plan for a provider; raises ConfigurationError for one that genai-prices does not have."""
    genai_id = genai_id_of(config)
    if genai_id is None:
        raise ConfigurationError(
            f'genai-prices has no prices for "{config.name}"',
            hint="It knows a provider by its name or by the address in its base_url.",
        )
    return plan_sync(config, genai_id, today, limits)


def _pending(plan: SyncPlan, *, prune: bool) -> bool:
    return bool(plan.added or plan.changed or (prune and plan.gone))


def _agreed(targets: Iterable[Target]) -> bool:
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        return False
    return typer.confirm(f"Write {', '.join(str(target.file) for target in targets)}?")


def show(plan: SyncPlan) -> None:
    """The differences between a catalogue and the data."""
    screen = out()
    if not (plan.added or plan.changed or plan.gone):
        screen.print(safe(f"{plan.provider}: as in genai-prices"))
        return
    screen.print(safe(f"{plan.provider}, prices of {plan.priced_on}"), style="bold")
    if plan.changed:
        screen.print(differences(plan.changed))
    if plan.added:
        screen.print(listing(("Added", "Input", "Output"), map(_added, plan.added[:SHOWN_ADDED])))
    if len(plan.added) > SHOWN_ADDED:
        screen.print(f"and {len(plan.added) - SHOWN_ADDED:,} more are added")
    if plan.gone:
        screen.print(safe(f"Not in genai-prices: {', '.join(plan.gone)}"), style="yellow")
    for reason in dict.fromkeys(why for _, why in plan.left_out):
        names = [name for name, why in plan.left_out if why == reason]
        more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
        screen.print(safe(f"Not expressed: {reason}: {', '.join(names[:SHOWN])}{more}"), style="dim")


def differences(changes: Iterable[ModelChange]) -> Table:
    """A row for each field that differs."""
    rows = [
        (change.name, field.field, _shown(field.old), _shown(field.new))
        for change in changes
        for field in change.fields
    ]
    return listing(("Model", "Field", "Listed", "genai-prices"), rows)


def _shown(value: Any) -> str:
    if value is None:
        return DASH
    return value if isinstance(value, str) else flat(value)


def _added(entry: ModelEntry) -> tuple[str, ...]:
    costs = (DASH if cost is None else usd_text(cost) for cost in (entry.cost_input, entry.cost_output))
    return (entry.name, *costs)


# --- how a config.json is laid out


def layout(value: Any, indent: int = 0) -> str:
    """JSON for people: a key per line, short values in one line, models side by side as far as a line goes."""
    short = flat(value)
    if indent and "llm_models" not in short and len(short) + indent < WIDTH:
        return short
    pad = " " * (indent + 2)
    if isinstance(value, dict):
        lines = [f"{pad}{flat(key)}: {_inner(key, inner, indent + 2)}" for key, inner in value.items()]
    elif isinstance(value, list):
        lines = [pad + layout(inner, indent + 2) for inner in value]
    else:
        return short
    opening, closing = ("{", "}") if isinstance(value, dict) else ("[", "]")
    return "\n".join([opening, ",\n".join(lines), " " * indent + closing]) if lines else opening + closing


def _inner(key: str, value: Any, indent: int) -> str:
    if key != "llm_models" or not value:
        return layout(value, indent)
    pad = " " * (indent + 2)
    rows = ",\n".join(pad + _model(row, indent + 3) for row in value)
    return f"[\n{rows}\n{' ' * indent}]"


def _model(row: Mapping[str, Any], indent: int) -> str:
    """An object in one line, or in as many as it takes."""
    lines = [""]
    for key, value in row.items():
        pair = f"{flat(key)}: {_stacked(value, indent + len(key) + 5)}"
        wide = len(lines[-1]) + len(pair.partition("\n")[0]) + indent + 2 > WIDTH
        if lines[-1] and wide:
            lines.append(pair)
        else:
            lines[-1] = f"{lines[-1]}, {pair}" if lines[-1] else pair
    return "{" + f",\n{' ' * indent}".join(lines) + "}"


def _stacked(value: Any, indent: int) -> str:
    """A list of objects that is too long for a line has one object per line."""
    short = flat(value)
    objects = isinstance(value, list) and any(isinstance(item, dict) for item in value)
    if not objects or len(short) + indent < WIDTH:
        return short
    return "[" + f",\n{' ' * indent}".join(flat(item) for item in value) + "]"


def flat(value: Any) -> str:
    """JSON in one line, Decimals as they are."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{flat(key)}: {flat(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(flat, value)) + "]"
    return f"{value:f}" if isinstance(value, Decimal) else json.dumps(value, ensure_ascii=False)
