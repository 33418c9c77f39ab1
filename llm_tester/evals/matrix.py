"""Entrants from the command line: models x prompts x parameter sets, and entrants written out in JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from llm_tester.config import EntrantConfig
from llm_tester.documents import parse_json, read_text
from llm_tester.errors import ConfigurationError


def matrix(
    models: Sequence[str], prompts: Sequence[str] = (), parameter_sets: Sequence[Mapping[str, Any]] = ()
) -> list[str | EntrantConfig]:
    """Every model with every prompt and every parameter set; a name tells what sets the entrant apart."""
    if not prompts and not any(parameter_sets):
        return list(models)
    if not models:
        raise ConfigurationError("--prompt, --param and --params need a model", hint="Add -m provider:model.")
    return [_named(*parts) for parts in product(models, prompts or (None,), parameter_sets or ({},))]


def _named(model: str, prompt: str | None, parameters: Mapping[str, Any]) -> str | EntrantConfig:
    if not model:
        # Refused, with a hint, where entrants are made.
        return model
    told = [f"{key}={_shown(value)}" for key, value in parameters.items()]
    parts = [model, *([f"prompt={prompt}"] if prompt is not None else []), *told]
    return EntrantConfig(name=" ".join(parts), model=model, parameters=dict(parameters), prompt=prompt)


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))


def read_parameters(common: Sequence[str], sets: Sequence[str]) -> list[dict[str, Any]]:
    """The parameter sets of `--params JSON`, each with every `--param KEY=VALUE`."""
    shared: dict[str, Any] = {}
    for text in common:
        key, equals, value = text.partition("=")
        if not key or not equals:
            raise ConfigurationError(f'--param: "{text}" is not KEY=VALUE', hint="For example --param temperature=0.2")
        if key in shared:
            raise ConfigurationError(f'--param: "{key}" is given twice', hint="Use --params once per variant.")
        shared[key] = _value(value)
    found = []
    for text in sets:
        given = _object("--params", text, '{"temperature": 0}')
        both = sorted(shared.keys() & given.keys())
        if both:
            raise ConfigurationError(f'"{both[0]}" is given with --param and --params', hint="Give it once.")
        found.append({**shared, **given})
    return found or ([shared] if shared else [])


def read_entrant(text: str) -> EntrantConfig:
    """The entrant of `--entrant`: a JSON object as in config.json, or @FILE that holds one."""
    given = _object("--entrant", text, '{"name": "mini-high", "model": "openai:MODEL", "parameters": {}}')
    try:
        return EntrantConfig.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ConfigurationError(
            f"--entrant: {where}: {first['msg']}", hint="It knows name, model, parameters and prompt."
        ) from None


def _value(text: str) -> Any:
    try:
        return parse_json(text, file="--param")
    except ConfigurationError:
        if text[:1] in ("{", "[", '"') or text in ("NaN", "Infinity", "-Infinity"):
            raise
        return text


def _object(option: str, text: str, example: str) -> dict[str, Any]:
    named = text.startswith("@")
    file = text[1:] if named else option
    found = parse_json(read_text(Path(file)) if named else text, file=file)
    if not isinstance(found, dict):
        raise ConfigurationError(f"{file}: expected a JSON object", hint=f"For example {option} '{example}'")
    return found
