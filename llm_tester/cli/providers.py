"""llm-tester providers"""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.table import Table
from rich.text import Text

from llm_tester.catalogue import ModelEntry, ProviderConfig
from llm_tester.cli.console import JsonOption, WorkspaceOption, out, print_json, single, workspace
from llm_tester.config import Workspace
from llm_tester.cost_manager import usd_text
from llm_tester.errors import ConfigurationError
from llm_tester.llms.provider_factory import DiscoveredProvider, discover, find
from llm_tester.llms.provider_scaffold import make_class, make_folder, make_package
from llm_tester.llms.validation import State, Verdict
from llm_tester.reporting.tables import listing, safe
from llm_tester.testing.contract import check_discovered, check_folder

DASH = "–"
COLOURS = {"fix": "dim", "ok": "green", "failed": "bold red", "note": "yellow", "skipped": "yellow"}
STATES: tuple[State, ...] = ("ok", "note", "skipped", "failed")

app = single(no_args_is_help=True)
NamesArgument = Annotated[
    list[str] | None, typer.Argument(metavar="[NAME...]", help="Names, or folders such as ./acme; all if none.")
]


@app.callback()
def providers() -> None:
    """List, show, check and make providers."""


@app.command("list")
def list_providers(as_json: JsonOption = False, named: WorkspaceOption = None) -> None:
    """Every provider that is found, and where; no code is imported."""
    here = workspace(named)
    found = list(discover(here).values())
    if as_json:
        print_json([_row(provider, here) for provider in found])
        return
    screen = out()
    screen.print(
        listing(("Provider", "Where", "Served by", "Models", "Key", "State"), (_cells(p, here) for p in found))
    )
    for provider in found:
        if provider.problem is not None:
            screen.print(safe(f"{provider.name} is broken: {provider.problem.message}"), style="red", soft_wrap=True)
            if provider.problem.hint:
                screen.print(safe(f"  {provider.problem.hint}"), soft_wrap=True)
        for folder in provider.shadows:
            screen.print(
                safe(f"{provider.name}: {provider.folder} is used; {folder} has the same name and is not."),
                style="yellow",
                soft_wrap=True,
            )


def _row(provider: DiscoveredProvider, here: Workspace) -> dict[str, Any]:
    config, problem = provider.config, provider.problem
    env_key = config.env_key if config else None
    return {
        "name": provider.name,
        "state": _state(provider),
        "source": provider.source,
        "folder": str(provider.folder),
        "served_by": _served_by(provider),
        "models": len(config.llm_models) if config else None,
        "default_model": config.default_model if config else None,
        "env_key": env_key,
        "key_set": bool(here.environment.get(env_key)) if env_key else None,
        "problem": problem.message if problem else None,
        "hint": problem.hint if problem else None,
        "not_used": [str(folder) for folder in provider.shadows],
    }


def _cells(provider: DiscoveredProvider, here: Workspace) -> tuple[str, ...]:
    row = _row(provider, here)
    models = DASH if row["models"] is None else str(row["models"])
    if provider.config and provider.config.open_catalogue:
        models = f"{models} and any" if row["models"] else "any"
    state = "key not set" if row["state"] == "ok" and row["key_set"] is False else row["state"]
    served_by = row["served_by"].rpartition(":")[2]
    where = provider.source.partition(":")[0].removesuffix("_providers.json")
    return (provider.name, where, served_by, models, row["env_key"] or DASH, state)


def _state(provider: DiscoveredProvider) -> str:
    if provider.problem is not None:
        return "broken"
    return "ok" if provider.enabled else "disabled"


def _served_by(provider: DiscoveredProvider) -> str:
    config, code = provider.config, provider.code
    if code is None or (code.optional and config and config.api):
        return f"api {config.api}" if config and config.api else DASH
    name = code.module or code.file.name
    return f"{name}:{code.class_name}" if code.class_name else name


@app.command()
def show(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A provider's name.")],
    as_json: JsonOption = False,
    named: WorkspaceOption = None,
) -> None:
    """One provider as this workspace sees it; no code is imported."""
    here = workspace(named)
    provider = find(name, discover(here))
    config = provider.config
    if as_json:
        said = config.model_dump(mode="json", by_alias=True, exclude_unset=True) if config else None
        print_json(_row(provider, here) | {"config": said})
        return
    screen = out()
    screen.print(safe(name), style="bold")
    facts = [*_facts(provider, here), *(_settings(config) if config else ())]
    grid = Table.grid(padding=(0, 2))
    for label, value in facts:
        grid.add_row(safe(label), safe(value))
    screen.print(grid)
    if config and config.llm_models:
        rows = (_model(entry, config) for entry in config.llm_models)
        screen.print(listing(("Model", "Input", "Output", "Max input", "Max output"), rows))
        screen.print(f"USD per 1M tokens. * default model. More: llm-tester models list {name}.")


def _facts(provider: DiscoveredProvider, here: Workspace) -> Iterable[tuple[str, str]]:
    row = _row(provider, here)
    yield "State", row["state"]
    if provider.problem is not None:
        yield "Why", provider.problem.message
        yield "", provider.problem.hint
    yield "Where", f"{provider.source}, {provider.folder}"
    yield "Configuration", str(provider.config_file or "none: any model, no prices")
    yield "Served by", row["served_by"]
    if provider.code is not None:
        yield "Code", str(provider.code.file)
    for folder in provider.shadows:
        yield "Not used", f"{folder}, of the same name"
    if row["env_key"]:
        yield "Key", f"{row['env_key']}, {'set' if row['key_set'] else 'not set'}"


def _settings(config: ProviderConfig) -> Iterable[tuple[str, str]]:
    if config.description:
        yield "Description", config.description
    if config.base_url:
        yield "Address", config.base_url
    yield "At once", f"{config.max_connections} calls of at most {config.timeout:g} s"
    if config.simulated:
        yield "Simulated", "its answers cost no new money"
    if config.open_catalogue:
        yield "Catalogue", "any model is accepted; one that is not listed has no price"


def _model(entry: ModelEntry, config: ProviderConfig) -> tuple[str, ...]:
    prices = (DASH if cost is None else usd_text(cost) for cost in (entry.cost_input, entry.cost_output))
    limits = (f"{limit:,}" if limit else DASH for limit in (entry.max_input_tokens, entry.max_output_tokens))
    return (f"{entry.name}{' *' if entry.name == config.default_model else ''}", *prices, *limits)


@app.command()
def check(
    names: NamesArgument = None,
    call: Annotated[
        bool, typer.Option("--call", help="Call classes that use a network of their own, with your key and money.")
    ] = False,
    as_json: JsonOption = False,
    named: WorkspaceOption = None,
) -> None:
    """Try providers by the contract: over HTTP against a server on this machine, classes by calling them.

    A class that would use a network of its own is not called without --call. Exit code 1 when anything failed.
    """
    here = workspace(named)
    verdicts = [_checked(name, here, call=call) for name in names] if names else _all(here, call=call)
    if as_json:
        print_json([_verdict_row(verdict) for verdict in verdicts])
    elif names:
        for verdict in verdicts:
            _print(verdict)
    else:
        _summary(verdicts)
    raise typer.Exit(0 if all(verdict.passed for verdict in verdicts) else 1)


def _checked(name: str, here: Workspace, *, call: bool) -> Verdict:
    if os.sep in name:
        return check_folder(Path(name), here, call=call)
    provider = find(name, discover(here))
    if not provider.enabled and provider.problem is None:
        raise ConfigurationError(
            f'the provider "{name}" is disabled in the workspace\'s config.json',
            hint=f"Set providers.{name}.enabled to true.",
        )
    return check_discovered(provider, here, call=call)


def _all(here: Workspace, *, call: bool) -> list[Verdict]:
    found = discover(here).values()
    return [check_discovered(one, here, call=call) for one in found if one.enabled or one.problem]


def _verdict_row(verdict: Verdict) -> dict[str, Any]:
    findings = [
        {"rule": found.rule, "state": found.state, "text": found.text, "fix": found.fix} for found in verdict.findings
    ]
    return {"provider": verdict.provider, "passed": verdict.passed, "findings": findings}


def _print(verdict: Verdict) -> None:
    screen = out()
    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True)
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    for found in verdict.findings:
        grid.add_row(_coloured(found.state, found.state), safe(found.rule), safe(found.text))
        if found.fix:
            grid.add_row("", "", _coloured(f"→ {found.fix}", "fix"))
    screen.print(safe(verdict.provider), style="bold")
    screen.print(grid)
    failed = sum(found.state == "failed" for found in verdict.findings)
    open_ones = sum(found.state == "skipped" for found in verdict.findings)
    words = "passed" if verdict.passed else f"{failed} failed"
    screen.print(safe(f"{verdict.provider}: {words}{', not all was tried' if open_ones else ''}\n"))


def _coloured(text: str, state: str) -> Text:
    shown = safe(text)
    shown.stylize(COLOURS[state])
    return shown


def _summary(verdicts: Sequence[Verdict]) -> None:
    screen = out()
    rows = []
    for verdict in verdicts:
        states = Counter(found.state for found in verdict.findings)
        counts = (str(states[state]) for state in STATES)
        rows.append((verdict.provider, "passed" if verdict.passed else "failed", *counts))
    screen.print(listing(("Provider", "Result", *STATES), rows))
    for verdict in verdicts:
        for found in verdict.findings:
            if found.state in ("failed", "skipped"):
                screen.print(safe(f"{verdict.provider}: {found.rule}: {found.text}"), soft_wrap=True)
                if found.fix:
                    screen.print(safe(f"  {found.fix}"), soft_wrap=True)
    screen.print("All findings of one: llm-tester providers check NAME")


@app.command()
def new(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The new provider's name.")],
    kind: Annotated[
        Literal["folder", "class", "package"],
        typer.Option(help="A catalogue for an API that is built in, a class of your own, or a package to install."),
    ] = "folder",
    named: WorkspaceOption = None,
) -> None:
    """Make a provider that passes its check as it stands; nothing is ever overwritten."""
    if kind == "package":
        made = make_package(name, Path.cwd())
        folder = os.path.relpath(made.folder)
        check_it = f".{os.sep}{folder}"
        after = f"pip install -e .{os.sep}{os.path.relpath(made.root)} makes it known to every workspace."
    else:
        made = (make_folder if kind == "folder" else make_class)(name, workspace(named))
        check_it = name
        after = made.question
    for file in made.files:
        sys.stdout.write(f"made {os.path.relpath(file)}\n")
    sys.stdout.write("\nEdit:\n")
    for place, what in made.edits:
        sys.stdout.write(f"  {place}: {what}\n")
    sys.stdout.write(f"\nNext: llm-tester providers check {check_it}\n      {after}\n")
