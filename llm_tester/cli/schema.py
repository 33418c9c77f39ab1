"""llm-tester schema"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer
from pydantic import BaseModel

from llm_tester.catalogue import ProviderConfig
from llm_tester.cli.console import single
from llm_tester.config import Settings
from llm_tester.documents import schema_text
from llm_tester.errors import ConfigurationError
from llm_tester.evals.tasks import TaskConfig
from llm_tester.llms.provider_scaffold import PROVIDER_TITLE
from llm_tester.llms.provider_sources import ExternalProvider

FILES: dict[str, tuple[type[BaseModel], str]] = {
    "provider": (ProviderConfig, PROVIDER_TITLE),
    "config": (Settings, "the workspace's config.json"),
    "task": (TaskConfig, "tasks/NAME/task.json"),
    "external": (ExternalProvider, "external_providers.json"),
}

app = single()


@app.command()
def schema(
    kind: Annotated[
        Literal["provider", "config", "task", "external"],
        typer.Argument(
            help="The file that it describes: a provider's or the workspace's config.json, task.json, or "
            "external_providers.json."
        ),
    ],
    output: Annotated[Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write it there.")] = None,
) -> None:
    """Print the JSON Schema of a file that people write, for editors: name it in the file's "$schema"."""
    model, title = FILES[kind]
    text = schema_text(model, title, by_name=kind == "external")
    if output is None:
        sys.stdout.write(text)
        return
    try:
        output.write_text(text, "utf-8")
    except OSError as error:
        raise ConfigurationError(f"{output}: cannot be written: {error.strerror}", file=str(output)) from None
    sys.stdout.write(f"wrote {output}\n")
