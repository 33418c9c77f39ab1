"""Providers from everywhere: files, external_providers.json, and packages that are installed by hand."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from llm_tester.config import Workspace
from llm_tester.errors import LLMTesterError
from llm_tester.llms.provider_factory import DiscoveredProvider, create_provider, discover

CLASS = """
from llm_tester import BaseLLM

class {name}(BaseLLM):
    def _call_llm_api(self, prompt, system_prompt, model_name, model_config):
        return "{name}: " + prompt, {{"input": 1, "output": 2}}
"""
ACME = CLASS.format(name="Acme")
CATALOGUE = {"llm_models": [{"name": "m", "cost_input": 1, "cost_output": 2}]}
LISTED = {"name": "x", **CATALOGUE}


def install(site: Path, package: str, entry_points: Mapping[str, str], files: Mapping[str, Any]) -> Path:
    """The folder of a package of version 1.2 in `site`; its distribution is named with dashes."""
    folder = site / package
    for name, content in files.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content if isinstance(content, str) else json.dumps(content))
    info = site / f"{package}-1.2.dist-info"
    info.mkdir()
    lines = "".join(f"{name} = {value}\n" for name, value in entry_points.items())
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package.replace('_', '-')}\nVersion: 1.2\n")
    (info / "entry_points.txt").write_text(f"[llm_tester.providers]\n{lines}")
    importlib.invalidate_caches()
    return folder


def forget(*packages: str) -> None:
    """Let the next import of these packages read them again."""
    for name in [name for name in sys.modules if name.partition(".")[0] in packages]:
        del sys.modules[name]
    importlib.invalidate_caches()


def external(root: Path, **providers: Any) -> None:
    (root / "external_providers.json").write_text(json.dumps(providers))


def found(root: Path) -> dict[str, DiscoveredProvider]:
    return discover(Workspace.open(root, {}))


def problem(root: Path, name: str) -> LLMTesterError:
    error = found(root)[name].problem
    assert error is not None
    assert "\n" not in error.message
    return error


def answer(root: Path, name: str) -> str:
    return create_provider(name, Workspace.open(root, {})).get_response("hi", model_name="m")[0]


def write(folder: Path, files: dict[str, Any]) -> Path:
    for name, content in files.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content if isinstance(content, str) else json.dumps(content))
    return folder
