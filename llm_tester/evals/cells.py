"""What the text of a cell stands for: by its declared type, else by what the output schema wants there."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from llm_tester.documents import parse_json
from llm_tester.errors import ConfigurationError, TaskError

CellType = Literal["text", "number", "integer", "boolean", "json"]

NUMBER = re.compile(r"[-+]?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][-+]?\d+)?", re.ASCII)
WHOLE = re.compile(r"[-+]?(?:0|[1-9]\d*)(?:\.0+)?", re.ASCII)
BOOLEANS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
TYPES = {dict: "object", list: "array", str: "string", bool: "boolean", int: "integer", float: "number"}
_DECLARED: dict[str, frozenset[str]] = {
    "text": frozenset({"string"}),
    "number": frozenset({"number", "null"}),
    "integer": frozenset({"integer", "null"}),
    "boolean": frozenset({"boolean", "null"}),
    "json": frozenset({"json", "null"}),
}


@dataclass(frozen=True, slots=True)
class Cells:
    """How the cells of a file are read; `loose` takes a target that looks like JSON as such."""

    declared: Mapping[str, CellType] = field(default_factory=dict)
    schema: Mapping[str, Any] | None = None
    loose: bool = False

    def target(self, text: str, column: str, key: str | None, where: str) -> Any:
        """The value of a cell that is the target, or its part `key`; None for an empty cell that may be null."""
        kinds = self._kinds(column, key)
        if not kinds and key is None:
            return target_from_text(text) if self.loose else text
        return cell_value(text, kinds, f'{where}: column "{column}"')

    def other(self, value: Any, column: str, where: str) -> Any:
        """A value of any column: as its declared type says where it is text, else as it stands."""
        if column not in self.declared or not isinstance(value, str):
            return value
        return cell_value(value, _DECLARED[self.declared[column]], f'{where}: column "{column}"')

    def _kinds(self, column: str, key: str | None) -> frozenset[str]:
        if column in self.declared:
            return _DECLARED[self.declared[column]]
        if self.schema is None:
            return frozenset()
        part = self.schema if key is None else property_of(self.schema, key)
        return kinds(part, self.schema)


def cell_value(text: str, allowed: frozenset[str], where: str) -> Any:
    """`text` as a value of one of these JSON types; raises TaskError where it is none. No types: text, or null."""
    stripped = text.strip()
    if not stripped:
        return text if "string" in allowed and "null" not in allowed else None
    if not allowed or "string" in allowed:
        return text
    if "integer" in allowed and WHOLE.fullmatch(stripped):
        return int(stripped.partition(".")[0])
    if "number" in allowed and NUMBER.fullmatch(stripped):
        return int(stripped) if stripped.lstrip("+-").isdigit() else float(stripped)
    if "boolean" in allowed and stripped.lower() in BOOLEANS:
        return BOOLEANS[stripped.lower()]
    if "null" in allowed and stripped.lower() == "null":
        return None
    if allowed & {"json", "object", "array"}:
        return _json(stripped, where)
    wanted = " or ".join(sorted(allowed - {"null"})) or "null"
    shown = stripped if len(stripped) <= 60 else f"{stripped[:57]}..."
    raise TaskError(
        f'{where}: "{shown}" is not of the type {wanted}',
        hint='Mend the cell, or the type: "types" of the samples in task.json, or the output schema.',
    )


def _json(text: str, where: str) -> Any:
    try:
        return parse_json(text, file="cell")
    except ConfigurationError as error:
        raise TaskError(f"{where}: {error.message.partition(': ')[2]}", hint="Write JSON into the cell.") from None


def target_from_text(target: Any) -> Any:
    """A target that a CSV cell holds as JSON text, as the object or list that it stands for; others as they are."""
    if isinstance(target, str) and target.lstrip()[:1] in ("{", "["):
        try:
            return json.loads(target)
        except ValueError:
            return target
    return target


def property_of(schema: Mapping[str, Any], key: str) -> Any:
    """What a schema says of the property `key`; {} where it says nothing."""
    properties = resolved(schema, schema).get("properties")
    return properties.get(key, {}) if isinstance(properties, Mapping) else {}


def resolved(schema: Any, root: Mapping[str, Any]) -> Mapping[str, Any]:
    """A schema with its references within `root` followed; {} where they lead nowhere."""
    for _ in range(20):
        if not isinstance(schema, Mapping):
            break
        reference = schema.get("$ref")
        if not isinstance(reference, str):
            return schema
        schema = root if reference.startswith("#") else None
        for step in reference.removeprefix("#").split("/")[1:]:
            part = step.replace("~1", "/").replace("~0", "~")
            schema = schema.get(part) if isinstance(schema, Mapping) else None
    return {}


def kinds(schema: Any, root: Mapping[str, Any], depth: int = 0) -> frozenset[str]:
    """The JSON types that a schema allows; empty where it does not say."""
    found = resolved(schema, root)
    named = found.get("type")
    if isinstance(named, str):
        return frozenset({named})
    if isinstance(named, list):
        return frozenset(filter(lambda kind: isinstance(kind, str), named))
    values = found.get("enum") or ([found["const"]] if "const" in found else None)
    if isinstance(values, list):
        return frozenset(TYPES.get(type(value), "null") for value in values)
    options = found.get("anyOf") or found.get("oneOf") or found.get("allOf")
    if isinstance(options, list) and depth < 20:
        return frozenset().union(*(kinds(option, root, depth + 1) for option in options))
    return frozenset()
