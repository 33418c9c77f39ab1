"""Schemas and rules out of values."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from llm_tester.evals.profiles import Profile, listed


def profile(values: Iterable[Any], *, textual: bool = False) -> Profile:
    made = Profile(textual=textual)
    for value in values:
        made.add(value)
    return made


@pytest.mark.parametrize(
    ("cells", "schema"),
    [
        (["1", "-20", "0"], {"type": "integer"}),
        (["1", "2.50", ""], {"type": ["number", "null"]}),
        (["TRUE", "false", "No"], {"type": "boolean"}),
        (["2025-01-31", "2024-12-01"], {"type": "string", "format": "date"}),
        (["007", "123"], {"type": "string"}),
        (["1" * 17, "2"], {"type": "string"}),
        (["1,234.50", "3"], {"type": "string"}),
        (["a", None, "2"], {"type": ["string", "null"]}),
        (["open", "paid"] * 4, {"type": "string", "enum": ["open", "paid"]}),
        (["open", "paid", "", ""] * 3 + ["paid"] * 2, {"type": ["string", "null"], "enum": ["open", "paid", None]}),
        (["open", "paid"] * 3, {"type": "string"}),
        (["a\nb", "c"] * 9, {"type": "string"}),
    ],
)
def test_cells_have_the_type_that_all_of_them_have(cells: list[str | None], schema: dict[str, Any]) -> None:
    assert profile(cells, textual=True).schema() == schema


def test_json_values_keep_their_types() -> None:
    values = [
        {"a": 1, "b": "5", "c": {"d": True}, "e": [{"f": 1.5}], "g": None},
        {"a": 2.5, "b": "x", "c": {}, "e": [], "g": 3, "h": []},
    ]
    schema = profile(values).schema()
    assert schema["properties"] == {
        "a": {"type": "number"},
        "b": {"type": "string"},
        "c": {
            "type": "object",
            "properties": {"d": {"type": "boolean"}},
            "required": [],
            "additionalProperties": False,
        },
        "e": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"f": {"type": "number"}},
                "required": ["f"],
                "additionalProperties": False,
            },
        },
        "g": {"type": ["integer", "null"]},
        "h": {"type": "array"},
    }
    assert schema["required"] == ["a", "b", "c", "e", "g"]
    assert profile([1, "x", [2]]).schema() == {"type": ["array", "integer", "string"], "items": {"type": "integer"}}
    for value in values:
        Draft202012Validator(schema).validate(value)


@pytest.mark.parametrize(
    ("cells", "rule"),
    [
        (["1.25", "3.5"], {"type": "number", "tolerance": 0.005}),
        (["1.125", "3.5"], None),
        (["1", "3"], None),
        (["$1,234.50", "3"], {"type": "number", "tolerance": 0.005}),
        (["1,234", "30 %"], {"type": "number"}),
        (["2025-01-31"], {"type": "date"}),
        (["31/01/2025", "01/02/2025"], {"type": "date", "day_first": True}),
        (["01.31.25", "1.2.25"], {"type": "date", "day_first": False}),
        (["01/02/2025"], None),
        (["31/01/2025", "01/31/2025"], None),
        (["a", "b"], None),
    ],
)
def test_what_needs_a_rule_gets_one(cells: list[str], rule: dict[str, Any] | None) -> None:
    found = dict(profile([{"x": cell} for cell in cells], textual=True).rules())
    assert found == ({"x": rule} if rule else {})


def test_rules_are_named_by_path() -> None:
    values = [{"a": {"d": "2025-01-01"}, "l": [{"n": 1.25}, {"n": 2}]}]
    assert dict(profile(values).rules()) == {
        "a.d": {"type": "date"},
        "l[].n": {"type": "number", "tolerance": 0.005},
    }


def test_dates_that_can_be_read_in_two_ways_are_known() -> None:
    assert profile(["01/02/2025"]).ambiguous_dates
    assert not profile(["13/02/2025"]).ambiguous_dates


def test_what_stands_there_is_told_in_words() -> None:
    told: dict[str, list[Any]] = {
        "a date as YYYY-MM-DD": ["2025-01-01"],
        "a date, the day first": ["31/01/2025"],
        "a date, the month first": ["01/31/2025"],
        "a whole number, or null where it is not stated": ["1", ""],
        'one of "a, b", "c"': ["a, b", "c"] * 4,
        "an object with the keys a": [{"a": "x"}],
        "a value": [1, "x"],
    }
    assert {words: profile(cells, textual=True).described() for words, cells in told.items()} == {
        words: words for words in told
    }


def test_labels_are_quoted_only_where_a_comma_could_mislead() -> None:
    assert listed(["a", "b c"]) == "a, b c"
    assert listed(["a, b", "ü"]) == '"a, b", "ü"'
