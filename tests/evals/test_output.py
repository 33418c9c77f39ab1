"""Output schemas, as JSON Schema and as pydantic classes."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from llm_tester.errors import TaskError
from llm_tester.evals.output import MAX_PROBLEMS, Output, OutputConfig, load_output, without_decimals

MODEL = """
from datetime import date
from pydantic import BaseModel, ConfigDict

class Line(BaseModel):
    text: str

class Bill(BaseModel):
    model_config = ConfigDict(extra="forbid")
    total: float
    day: date | None = None
    lines: list[Line] = []
"""


def schema(tmp_path: Path, content: Any) -> Output:
    (tmp_path / "schema.json").write_text(json.dumps(content))
    return load_output(OutputConfig(schema="schema.json"), tmp_path, "t")


def model(tmp_path: Path, named: str = "model.py:Bill", code: str = MODEL) -> Output:
    (tmp_path / "model.py").write_text(code)
    return load_output(OutputConfig(model=named), tmp_path, "t")


def test_a_schema_names_what_is_wrong_and_where(tmp_path: Path) -> None:
    output = schema(
        tmp_path,
        {"type": "object", "properties": {"a": {"type": "array", "items": {"type": "number"}}}, "required": ["b"]},
    )
    assert output.problems({"b": 1, "a": [1, Decimal("2.5"), Decimal(3)]}) == []
    assert output.problems({"a": [1, "x"]}) == [
        "a[1]: 'x' is not of type 'number'",
        "(the whole): 'b' is a required property",
    ]
    assert output.json_schema["type"] == "object"


def test_problems_are_short_and_few(tmp_path: Path) -> None:
    output = schema(tmp_path, {"items": {"type": "number"}})
    found = output.problems(["x" * 1000] * 100)
    assert len(found) == MAX_PROBLEMS
    assert max(map(len, found)) <= 200


@pytest.mark.parametrize(
    ("content", "value", "problem"),
    [
        ({"$ref": "#/$defs/nowhere"}, 1, "the schema cannot be applied: "),
        ({"$ref": "http://127.0.0.1:9/schema"}, 1, "the schema cannot be applied: "),
        ({"$ref": "#"}, 1, "the schema cannot be applied: RecursionError"),
    ],
)
def test_a_schema_that_cannot_be_applied_is_a_problem_and_no_crash(
    tmp_path: Path, content: Any, value: Any, problem: str
) -> None:
    assert schema(tmp_path, content).problems(value)[0].startswith(problem)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ([1], "a JSON Schema is an object"),
        ({"pattern": "["}, "is not a 'regex'"),
        ({"type": "nubmer"}, "not a valid JSON Schema: 'nubmer' is not valid"),
        ({"properties": {"a": {"type": 5}}}, r"at \$\.properties\.a\.type"),
    ],
)
def test_a_schema_that_is_none_is_refused(tmp_path: Path, content: Any, problem: str) -> None:
    with pytest.raises(TaskError, match=problem):
        schema(tmp_path, content)


def test_an_older_draft_holds_where_the_schema_names_it(tmp_path: Path) -> None:
    draft4 = {"$schema": "http://json-schema.org/draft-04/schema#", "maximum": 5, "exclusiveMaximum": True}
    assert schema(tmp_path, draft4).problems(5) != []
    with pytest.raises(TaskError, match="not a valid JSON Schema"):
        schema(tmp_path, {"maximum": 5, "exclusiveMaximum": True})


def test_a_model_is_strict_as_json_is(tmp_path: Path) -> None:
    output = model(tmp_path)
    assert output.problems({"total": 3, "day": "2026-01-31", "lines": [{"text": "a"}]}) == []
    assert output.problems({"total": Decimal("3.50")}) == []
    assert output.problems({"total": "3", "extra": 1}) == [
        "total: Input should be a valid number",
        "extra: Extra inputs are not permitted",
    ]
    assert output.problems({"total": 3, "lines": [{"text": "a"}, {}]}) == ["lines[1].text: Field required"]
    assert output.problems([1])[0].startswith("(the whole): Input should be an object")
    assert "properties" in output.json_schema


def test_a_model_whose_own_check_fails_is_a_problem(tmp_path: Path) -> None:
    code = """
from pydantic import BaseModel, model_validator
class Odd(BaseModel):
    @model_validator(mode="after")
    def check(self):
        raise ValueError("odd indeed")
"""
    assert model(tmp_path, "model.py", code).problems({}) == ["(the whole): Value error, odd indeed"]


def test_the_class_that_is_no_part_of_another_is_the_one_of_its_file(tmp_path: Path) -> None:
    assert model(tmp_path, "model.py").json_schema["title"] == "Bill"
    own = MODEL + "class Long(Bill):\n    parent: 'Long | None' = None\n"
    assert "parent" in model(tmp_path, "model.py", own).json_schema["$defs"]["Long"]["properties"]


def test_a_value_that_json_cannot_say_is_a_problem(tmp_path: Path) -> None:
    assert "4300 digits" in model(tmp_path).problems({"total": 10**5000})[0]


def test_decimals_become_the_numbers_that_validators_know() -> None:
    value = {"a": [Decimal("1.0"), Decimal("1.5"), Decimal("1e20")], "b": "1"}
    assert without_decimals(value) == {"a": [1, 1.5, 1e20], "b": "1"}
    assert [type(item) for item in without_decimals(value)["a"]] == [int, float, float]


def test_the_fingerprint_follows_the_content(tmp_path: Path) -> None:
    first = schema(tmp_path, {"type": "object"}).fingerprint
    assert schema(tmp_path, {"type": "object"}).fingerprint == first
    assert schema(tmp_path, {"type": "array"}).fingerprint != first
    before = model(tmp_path).fingerprint
    assert model(tmp_path, code=MODEL + "\n# a validator could stand here\n").fingerprint != before


@pytest.mark.parametrize(
    ("named", "code", "problem"),
    [
        ("model.py", MODEL + "class Other(BaseModel): pass", "defines 3 subclasses of BaseModel (Bill, Line, Other)"),
        ("model.py", "x = 1", "defines no BaseModel"),
        ("model.py:Bil", MODEL, "defines no Bil"),
        ("model.py:date", MODEL, "date is not a pydantic class"),
        ("model.py:MODEL_VALUE", "MODEL_VALUE = 5", "MODEL_VALUE is not a pydantic class"),
        ("model.py", "raise OSError('no')", "cannot be imported: OSError: no"),
        ("model.py", "import sys; sys.exit()", "calls sys.exit"),
        ("model.py", "def", "SyntaxError"),
        ("other.py", "", "there is no such Python file"),
    ],
)
def test_a_python_file_that_cannot_be_used_is_named(tmp_path: Path, named: str, code: str, problem: str) -> None:
    with pytest.raises(TaskError) as raised:
        model(tmp_path, named, code)
    assert str(tmp_path / named.partition(":")[0]) in raised.value.message
    assert problem in raised.value.message


@pytest.mark.parametrize("config", [{}, {"schema": "s.json", "model": "m.py"}])
def test_one_of_schema_and_model_must_be_named(tmp_path: Path, config: dict[str, str]) -> None:
    with pytest.raises(TaskError, match=r'task\.json: output: name either "schema" or "model"'):
        load_output(OutputConfig.model_validate(config), tmp_path, "t")
