"""llm-tester config"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated, Any

import typer

from llm_tester.cli.console import JsonOption, WorkspaceOption, out, print_json, single, workspace
from llm_tester.llms.config_values import ConfigValue, config_values
from llm_tester.llms.llm_registry import ProviderRegistry
from llm_tester.reporting.tables import listing

app = single(no_args_is_help=True)


@app.callback()
def config() -> None:
    """Show every setting and where its value comes from."""


@app.command()
def show(
    everything: Annotated[
        bool, typer.Option("--all", help="Also what providers' own catalogues say, and nobody has changed.")
    ] = False,
    as_json: JsonOption = False,
    named: WorkspaceOption = None,
) -> None:
    """Each setting, its value, and where that comes from. Of a key only whether it is set."""
    values = config_values(ProviderRegistry(workspace(named)))
    if as_json:
        print_json([asdict(value) for value in values])
        return
    shown = [value for value in values if everything or _is_telling(value)]
    out().print(
        listing(("Setting", "Value", "From"), [(value.name, _said(value.value), value.source) for value in shown])
    )


def _is_telling(value: ConfigValue) -> bool:
    if not value.name.startswith("providers.") or value.name.endswith((".key", ".problem")):
        return True
    return value.source != "default" and not value.source.endswith("catalogue")


def _said(value: Any) -> str:
    if value is None:
        return "-"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
