"""The LLM Tester layout, read as it stands: model.py, tests/sources, tests/prompts and tests/expected."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from llm_tester.evals.cells import kinds, resolved

LAYOUT_FILE = "model.py"
LAYOUT_FOLDERS = {"inputs": "tests/sources", "targets": "tests/expected", "prompts": "tests/prompts"}
HINT = "scorer"
DEEPEST = 12


def is_layout(folder: Path) -> bool:
    """Whether a folder is in this layout, or is meant to be; what it lacks is told when it is read."""
    found = [(folder / place).is_dir() for place in LAYOUT_FOLDERS.values()]
    return any(found) and ((folder / LAYOUT_FILE).is_file() or all(found))


def layout_name(folder: Path) -> str:
    """The task's name: the folder's, without the letters that a name cannot have."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", folder.resolve().name).lstrip("._-") or "task"


def layout_config(name: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    """What a task.json beside it would say; the schema is its class's."""
    return {
        "name": name,
        "description": str(schema.get("description", "")).partition("\n")[0],
        "prompt": "{{ input }}",
        "samples": {"file": ".", **LAYOUT_FOLDERS},
        "scorer": schema.get(HINT) or _scorer(schema),
        "parameters": {},
    }


def _scorer(schema: Mapping[str, Any]) -> dict[str, Any]:
    """A class of its own fields is scored by them; a root model of a number by value, of a text exactly."""
    allowed = kinds(schema, schema) - {"null"}
    if allowed and allowed <= {"number", "integer"}:
        return {"type": "numeric"}
    if allowed and allowed <= {"string"}:
        return {"type": "exact"}
    return {"type": "fields", "fields": dict(_rules(schema, schema, "", DEEPEST))}


def _rules(schema: Any, root: Mapping[str, Any], path: str, depth: int) -> list[tuple[str, Any]]:
    """The rules that fields carry as json_schema_extra={"scorer": {...}}, by path; a date is one without it."""
    found = resolved(schema, root)
    rule = (schema.get(HINT) if isinstance(schema, Mapping) else None) or found.get(HINT)
    if rule is None and found.get("format") == "date":
        rule = {"type": "date"}
    rules = [(path, rule)] if rule is not None and path else []
    if depth == 0:
        return rules
    for option in found.get("anyOf", ()):
        rules += [(place, rule) for place, rule in _rules(option, root, path, depth - 1) if place not in dict(rules)]
    for key, part in found.get("properties", {}).items():
        rules += _rules(part, root, f"{path}.{key}" if path else key, depth - 1)
    if "items" in found:
        rules += _rules(found["items"], root, f"{path}[]", depth - 1)
    return rules
