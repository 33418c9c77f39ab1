"""What the text of a cell stands for."""

from __future__ import annotations

from typing import Any

import pytest

from llm_tester.errors import TaskError
from llm_tester.evals.cells import Cells, cell_value, kinds, target_from_text


@pytest.mark.parametrize(
    ("text", "allowed", "value"),
    [
        ("42", {"integer"}, 42),
        (" -7 ", {"integer", "null"}, -7),
        ("42.0", {"integer"}, 42),
        ("42", {"number"}, 42),
        ("4.25", {"number"}, 4.25),
        ("1e3", {"number"}, 1000.0),
        ("TRUE", {"boolean"}, True),
        ("no", {"boolean"}, False),
        ("1", {"boolean"}, True),
        ("1", {"boolean", "integer"}, 1),
        ("", {"integer", "null"}, None),
        ("", {"integer"}, None),
        (" ", {"string"}, " "),
        ("", {"string", "null"}, None),
        ("null", {"boolean", "null"}, None),
        ("null", {"string", "null"}, "null"),
        ("42", {"string", "number"}, "42"),
        ("42", set(), "42"),
        ("", set(), None),
        ("[1, 2]", {"array"}, [1, 2]),
        ('{"a": 1}', {"json"}, {"a": 1}),
        ("null", {"json", "null"}, None),
    ],
)
def test_a_cell_is_read_as_what_it_may_be(text: str, allowed: set[str], value: Any) -> None:
    found = cell_value(text, frozenset(allowed), "here")
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("text", "allowed", "said"),
    [
        ("1,234.50", {"number"}, 'here: "1,234.50" is not of the type number'),
        ("007", {"integer", "null"}, 'here: "007" is not of the type integer'),
        ("1.5", {"integer"}, 'here: "1.5" is not of the type integer'),
        ("maybe", {"boolean", "number"}, '"maybe" is not of the type boolean or number'),
        ("x" * 100, {"null"}, f'"{"x" * 57}..." is not of the type null'),
        ("{'a': 1}", {"object"}, "here: not valid JSON: Expecting property name"),
        ("٣", {"integer"}, "is not of the type integer"),
    ],
)
def test_a_cell_that_cannot_be_is_named(text: str, allowed: set[str], said: str) -> None:
    with pytest.raises(TaskError) as raised:
        cell_value(text, frozenset(allowed), "here")
    assert said in raised.value.message
    assert raised.value.hint


SCHEMA: dict[str, Any] = {
    "properties": {
        "n": {"type": ["number", "null"]},
        "part": {"$ref": "#/$defs/Part"},
        "kind": {"enum": ["a", None]},
        "one": {"const": 1},
        "either": {"anyOf": [{"$ref": "#/$defs/Part"}, {"type": "null"}]},
        "lost": {"$ref": "#/$defs/Nowhere"},
        "far": {"$ref": "https://example.org/x"},
        "odd": True,
        "loop": {"$ref": "#/$defs/Loop"},
    },
    "$defs": {"Part": {"type": "object"}, "Loop": {"$ref": "#/$defs/Loop"}},
}


@pytest.mark.parametrize(
    ("key", "found"),
    [
        ("n", {"number", "null"}),
        ("part", {"object"}),
        ("kind", {"string", "null"}),
        ("one", {"integer"}),
        ("either", {"object", "null"}),
        ("lost", set()),
        ("far", set()),
        ("odd", set()),
        ("loop", set()),
    ],
)
def test_the_types_that_a_schema_allows(key: str, found: set[str]) -> None:
    assert kinds(SCHEMA["properties"][key], SCHEMA) == found


def test_declared_types_come_before_the_schema() -> None:
    cells = Cells({"Betrag": "text"}, {"properties": {"total": {"type": "number"}, "rest": {"type": "integer"}}})
    assert cells.target("5", "Betrag", "total", "f:2") == "5"
    assert cells.target("5", "Rest", "rest", "f:2") == 5
    assert cells.target("5", "Other", "unknown", "f:2") == "5"
    with pytest.raises(TaskError, match='f:2: column "Rest": "x" is not of the type integer'):
        cells.target("x", "Rest", "rest", "f:2")


@pytest.mark.parametrize("schema", [{}, {"properties": []}])
def test_a_schema_that_does_not_say_leaves_text(schema: dict[str, Any]) -> None:
    assert Cells(schema=schema).target("5", "c", "k", "f:2") == "5"


@pytest.mark.parametrize(
    ("cell", "target"),
    [
        ('{"a": 1}', {"a": 1}),
        (" [1, 2]", [1, 2]),
        ("{not json}", "{not json}"),
        ("plain", "plain"),
        (5, 5),
    ],
)
def test_a_cell_with_json_text_is_the_value_that_it_stands_for(cell: Any, target: Any) -> None:
    assert target_from_text(cell) == target
