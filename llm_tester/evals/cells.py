"""What the text of a cell stands for: by its declared type, else by what the output schema wants there."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from llm_tester.documents import parse_json
from llm_tester.errors import ConfigurationError, TaskError
from llm_tester.evals.scorers.numbers import DecimalMark

CellType = Literal["text", "number", "integer", "boolean", "json"]

NUMBER = re.compile(r"[-+]?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][-+]?\d+)?", re.ASCII)
COMMA_NUMBER = re.compile(r"[-+]?(?:0|[1-9]\d*|[1-9]\d{0,2}(?:\.\d{3})+)(?:,\d+)?(?:[eE][-+]?\d+)?", re.ASCII)
"""A number with a decimal comma, whose thousands may be set apart by points."""
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
    """How the cells of a file are read; `loose` takes a target that looks like JSON as such, and `decimal_mark` is how
    their numbers are written."""

    declared: Mapping[str, CellType] = field(default_factory=dict)
    schema: Mapping[str, Any] | None = None
    loose: bool = False
    decimal_mark: DecimalMark = "."

    def target(self, text: str, column: str, key: str | None, where: str) -> Any:
        """The value of a cell that is the target, or its part `key`; None for an empty cell that may be null."""
        kinds = self._kinds(column, key)
        if not kinds and key is None:
            return target_from_text(text) if self.loose else text
        return cell_value(text, kinds, f'{where}: column "{column}"', self.decimal_mark)

    def other(self, value: Any, column: str, where: str) -> Any:
        """A value of any column: as its declared type says where it is text, else as it stands."""
        if column not in self.declared or not isinstance(value, str):
            return value
        return cell_value(value, _DECLARED[self.declared[column]], f'{where}: column "{column}"', self.decimal_mark)

    def _kinds(self, column: str, key: str | None) -> frozenset[str]:
        if column in self.declared:
            return _DECLARED[self.declared[column]]
        if self.schema is None:
            return frozenset()
        part = self.schema if key is None else property_of(self.schema, key)
        return kinds(part, self.schema)


def cell_value(text: str, allowed: frozenset[str], where: str, decimal_mark: DecimalMark = ".") -> Any:
    """`text` as a value of one of these JSON types; raises TaskError where it is none. No types: text, or null."""
    stripped = text.strip()
    if not stripped:
        return text if "string" in allowed and "null" not in allowed else None
    if not allowed or "string" in allowed:
        return text
    number = with_point(stripped) if decimal_mark == "," else stripped
    if "integer" in allowed and WHOLE.fullmatch(number):
        return int(number.partition(".")[0])
    if "number" in allowed and NUMBER.fullmatch(number):
        return int(number) if number.lstrip("+-").isdigit() else float(number)
    if "boolean" in allowed and stripped.lower() in BOOLEANS:
        return BOOLEANS[stripped.lower()]
    if "null" in allowed and stripped.lower() == "null":
        return None
    if allowed & {"json", "object", "array"}:
        return _json(stripped, where)
    raise _unfit(stripped, allowed, where, decimal_mark)


def with_point(text: str) -> str:
    """A number that is written with a decimal comma, as JSON writes it; "" for anything else."""
    return text.replace(".", "").replace(",", ".") if COMMA_NUMBER.fullmatch(text) else ""


def _unfit(text: str, allowed: frozenset[str], where: str, decimal_mark: DecimalMark) -> TaskError:
    wanted = " or ".join(sorted(allowed - {"null"})) or "null"
    shown = text if len(text) <= 60 else f"{text[:57]}..."
    hint = 'Mend the cell, or the type: "types" of the samples in task.json, or the output schema.'
    if "number" in allowed and decimal_mark == "." and with_point(text):
        hint = 'Where the comma is a decimal mark, say so: "samples": {..., "decimal_mark": ","}.'
    elif "number" in allowed and decimal_mark == "," and NUMBER.fullmatch(text):
        hint = 'The "decimal_mark" of the samples in task.json is a comma; a point can only set thousands apart.'
    return TaskError(f'{where}: "{shown}" is not of the type {wanted}', hint=hint)


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
