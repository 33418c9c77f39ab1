"""New providers that pass their check as they stand: a folder, a folder with a class, a package to install."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from llm_tester.catalogue import NAME_PATTERN, ProviderConfig
from llm_tester.config import CONFIG_NAME, Workspace
from llm_tester.documents import schema_text
from llm_tester.errors import ConfigurationError
from llm_tester.llms.provider_sources import ENTRY_POINTS, PROVIDER_FILE

PROVIDER_TITLE = "providers/NAME/config.json"
SCHEMA_NAME = "provider.schema.json"
_FOLDER = """\
{{
  "$schema": "{schema}",
  "name": "{name}",
  "description": "What this provider is, in a line",
  "api": "openai",
  "base_url": "https://api.{host}.example/v1",
  "env_key": "{key}",
  "max_connections": 8,
  "llm_models": [
    {{"name": "my-model", "default": true, "cost_input": 0.5, "cost_output": 1.5}}
  ]
}}
"""
_CLASS_CONFIG = """\
{{
{schema}  "name": "{name}",
  "description": "What this provider is, in a line",
  "llm_models": [
    {{"name": "my-model", "default": true, "cost_input": 0.5, "cost_output": 1.5}}
  ]
}}
"""
_CLASS = '''\
"""{name}: a provider of your own. It answers with its prompt, turned around, until you write what it should do."""

from __future__ import annotations

from typing import Any

from llm_tester import BaseLLM, ModelConfig


class {title}(BaseLLM):
    """Needs this one method, which may be `async def`; retries, deadlines and costs are not its business."""

    applies = frozenset({{"max_tokens"}})
    """The parameters of a call that are handed on; others are reported as not applied."""

    def _call_llm_api(
        self, prompt: str, system_prompt: str, model_name: str, model_config: ModelConfig
    ) -> tuple[str, dict[str, Any]]:
        words = prompt.split()[: model_config.parameters.get("max_tokens")]
        text = " ".join(reversed(words))
        # Failures are raised: error_for_status(429, "..."), ProviderTimeoutError("..."), or what your client raises.
        return text, {{"input": len(prompt.split()), "output": len(words)}}
'''
_PYPROJECT = """\
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "{distribution}"
version = "0.1.0"
description = "{name} as a provider of LLM Tester"
requires-python = ">=3.11"
dependencies = ["llm-tester"]

[project.entry-points."{group}"]
"{name}" = "{package}"

[tool.hatch.build.targets.wheel]
packages = ["{package}"]
"""
_README = """\
# {distribution}

{name} as a provider of LLM Tester.

    pip install .
    llm-tester providers check {name}
    llm-tester ask "Hello" -m {name}
"""


@dataclass(frozen=True, slots=True)
class MadeProvider:
    """What was made: the provider's folder, all files, what to edit in them, and a first question to ask.

    `root` is what can be installed, for a package; else the folder.
    """

    folder: Path
    files: tuple[Path, ...]
    edits: tuple[tuple[str, str], ...]
    question: str
    root: Path


def make_folder(name: str, workspace: Workspace) -> MadeProvider:
    """A folder with only config.json, for an API that is built in."""
    folder = _new_folder(name, workspace)
    key = f"{'_' * name[0].isdigit()}{re.sub('[^A-Z0-9]', '_', name.upper())}_API_KEY"
    host = re.sub("[^a-z0-9-]", "-", name.lower()).strip("-")
    text = _FOLDER.format(name=name, schema=f"../{SCHEMA_NAME}", key=key, host=host)
    files = _write({folder / CONFIG_NAME: text}) + _schema_beside(folder)
    edits = (
        ("base_url", "where the API is"),
        ("api", "openai or anthropic: whose API it speaks"),
        ("env_key", "the variable that holds its key; leave it away where it needs none"),
        ("llm_models", "its models, with prices in USD per 1M tokens"),
    )
    return MadeProvider(folder, files, edits, f'{key}=... llm-tester ask "Hello" -m {name}', folder)


def make_class(name: str, workspace: Workspace) -> MadeProvider:
    """A folder with a class of its own."""
    folder = _new_folder(name, workspace)
    schema = f'  "$schema": "../{SCHEMA_NAME}",\n'
    files = _write(
        {
            folder / CONFIG_NAME: _CLASS_CONFIG.format(name=name, schema=schema),
            folder / PROVIDER_FILE: _CLASS.format(name=name, title=_title(name)),
        }
    )
    files += _schema_beside(folder)
    return MadeProvider(folder, files, _CLASS_EDITS, f'llm-tester ask "Hello there" -m {name}', folder)


_CLASS_EDITS = (
    (PROVIDER_FILE, "_call_llm_api: ask your model, return its text and the tokens that it counted"),
    ("env_key", "add it to config.json where it needs a key; self.get_api_key() is that key"),
    ("llm_models", "its models, with prices in USD per 1M tokens"),
)


def make_package(name: str, parent: Path) -> MadeProvider:
    """A package in `parent` that brings the provider to every workspace once it is installed."""
    _check_name(name)
    package = f"llm_tester_{re.sub('[^a-z0-9]+', '_', name.lower()).strip('_')}"
    distribution = package.replace("_", "-")
    root = parent / distribution
    _check_free(root)
    folder = root / package
    words = {"name": name, "package": package, "distribution": distribution, "group": ENTRY_POINTS}
    files = _write(
        {
            root / "pyproject.toml": _PYPROJECT.format(**words),
            root / "README.md": _README.format(**words),
            folder / "__init__.py": f'"""{name} as a provider of LLM Tester."""\n',
            folder / CONFIG_NAME: _CLASS_CONFIG.format(name=name, schema=""),
            folder / PROVIDER_FILE: _CLASS.format(name=name, title=_title(name)),
        }
    )
    return MadeProvider(folder, files, _CLASS_EDITS, f'llm-tester ask "Hello there" -m {name}', root)


def _title(name: str) -> str:
    words = "".join(word.capitalize() for word in re.split("[^A-Za-z0-9]", name))
    return f"{'' if words[0].isalpha() else 'The'}{words}Provider"


def _check_name(name: str) -> None:
    if "\n" in name or not re.match(NAME_PATTERN, name) or len(name) > 100:
        raise ConfigurationError(
            f'"{name}" cannot be a provider\'s name', hint="Use letters, digits, dot, dash, underscore; at most 100."
        )


def _check_free(folder: Path) -> None:
    if folder.exists() or folder.is_symlink():
        raise ConfigurationError(f"{folder} exists already", hint="Choose another name.")


def _new_folder(name: str, workspace: Workspace) -> Path:
    _check_name(name)
    folder = workspace.require_root() / "providers" / name
    _check_free(folder)
    return folder


def _schema_beside(folder: Path) -> tuple[Path, ...]:
    """The schema that config.json names, where it is not there already."""
    file = folder.parent / SCHEMA_NAME
    return () if file.exists() else _write({file: schema_text(ProviderConfig, PROVIDER_TITLE)})


def _write(files: Mapping[Path, str]) -> tuple[Path, ...]:
    for file, text in files.items():
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, "utf-8")
        except OSError as error:
            raise ConfigurationError(f"{file}: cannot be made: {error.strerror}", file=str(file)) from None
    return tuple(files)
