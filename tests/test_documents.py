from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field

from llm_tester.documents import Document, json_path, parse_json, read_json, read_text, validate
from llm_tester.errors import ConfigurationError, TaskError


class Square(Document):
    type: Literal["square"]
    side: float = 1


class Circle(Document):
    type: Literal["circle"]
    radius: float = 1


class Drawing(Document):
    schema_: str | None = Field(default=None, alias="$schema")
    title: str = ""
    shape: Annotated[Square | Circle, Field(discriminator="type")] | None = None
    background: str | Square = ""
    shapes: tuple[Annotated[Square | Circle, Field(discriminator="type")], ...] = ()
    by_name: dict[str, Square] = Field(default_factory=dict)
    weights: dict[Literal["light", "bold"], float] = Field(default_factory=dict)
    extras: dict[str, Any] = Field(default_factory=dict)


def complaint(data: Any) -> ConfigurationError:
    with pytest.raises(ConfigurationError) as caught:
        validate(Drawing, data, file="/some/drawing.json")
    return caught.value


@pytest.mark.parametrize(
    ("text", "where", "what"),
    [
        pytest.param('{"a": 1,}', "f.json:1", "not valid JSON", id="a comma too many"),
        pytest.param('{\n"a": 1\n"b": 2}', "f.json:3", "not valid JSON", id="a comma too few"),
        pytest.param("{'a': 1}", "f.json:1", "double quotes", id="single quotes"),
        pytest.param("", "f.json:1", "not valid JSON", id="nothing"),
        pytest.param('{"a": NaN}', "f.json:1", "NaN is not a JSON value", id="NaN"),
        pytest.param('{"a": -Infinity}', "f.json:1", "-Infinity is not a JSON value", id="infinity"),
        pytest.param("1" * 5000, "f.json:1", "not valid JSON", id="an endless number"),
        pytest.param("[" * 10_000 + "]" * 10_000, "f.json:1", "nested too deeply", id="10k lists"),
        pytest.param('{"a":' * 10_000 + "1" + "}" * 10_000, "f.json:1", "nested too deeply", id="10k objects"),
        pytest.param('{"a": 1, "b": 2, "a": 3}', "f.json:1", 'the key "a" stands twice', id="a key twice"),
        pytest.param('{"a": 1,\n"b": {"a": "a"},\n"a": 3}', "f.json:3", 'the key "a"', id="the same key further in"),
        pytest.param(
            '[{"name": "x"},\n{"name": "y"},\n{"name": "z",\n "name" : "z"}]',
            "f.json:4",
            'the key "name"',
            id="the same key in siblings",
        ),
        pytest.param('{"a\\"{": 1,\n"a\\"{": "}"}', "f.json:2", 'the key "a"{"', id="a key with quote and brace"),
        pytest.param('{"a": 1,\n"\\u0061": 2}', "f.json:2", 'the key "a"', id="the same key, escaped"),
    ],
)
def test_what_is_not_strict_json_is_named_by_line(text: str, where: str, what: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse_json(text, file="f.json")
    message = f"{caught.value.message} {caught.value.hint}"
    assert message.startswith(f"{where}: ")
    assert what in message
    assert "\n" not in message
    assert caught.value.file == "f.json"


@pytest.mark.parametrize("text", ['{"a": }', '{"a": 1, "a": 2}', "[" * 10_000, '{"a": NaN}'])
def test_lines_are_counted_from_the_first_one_given(text: str) -> None:
    with pytest.raises(ConfigurationError, match=r"^f\.jsonl:7: "):
        parse_json(text, file="f.jsonl", first_line=7)


@given(
    st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists)
    | st.dictionaries(st.text(), st.text())
)
def test_strict_json_is_read_as_it_stands(value: Any) -> None:
    assert parse_json(json.dumps(value), file="f.json") == value


@given(st.dictionaries(st.text(), st.text() | st.dictionaries(st.text(), st.text()), min_size=1), st.data())
def test_a_key_that_stands_twice_is_always_found(value: dict[str, Any], data: st.DataObject) -> None:
    key = data.draw(st.sampled_from(sorted(value)))
    text = json.dumps(value, indent=1, ensure_ascii=False)[:-2] + f",\n{json.dumps(key)}: 1}}"
    with pytest.raises(ConfigurationError) as caught:
        parse_json(text, file="f.json")
    line = text.count("\n") + 1
    assert caught.value.message == f'f.json:{line}: the key "{key}" stands twice in one object'


def test_a_byte_order_mark_is_fine(tmp_path: Path) -> None:
    file = tmp_path / "bom.json"
    file.write_bytes(b'\xef\xbb\xbf{"a": 1}')
    assert read_json(file) == {"a": 1}


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    utf16 = tmp_path / "utf16.json"
    utf16.write_text("{}", encoding="utf-16")
    for path, what in (
        (tmp_path / "none.json", "there is no such file"),
        (utf16, "not UTF-8"),
        (tmp_path, "cannot be"),
    ):
        with pytest.raises(ConfigurationError, match=what) as caught:
            read_text(path)
        assert caught.value.message.startswith(f"{path}: ")
        assert caught.value.file == str(path)


def test_every_mistake_is_listed_at_once() -> None:
    error = complaint({"titel": "x", "by_name": {"a": {"type": "square", "syde": 2, "side": "wide"}}, "extras": []})
    assert error.message.splitlines() == [
        "/some/drawing.json: ",
        '  by_name.a.side: Input should be a valid number, unable to parse string as a number (found "wide")',
        '  by_name.a.syde: unknown key "syde". Did you mean side?',
        "  extras: expected a JSON object",
        '  titel: unknown key "titel". Did you mean title?',
    ]
    assert error.hint == "Mend drawing.json at the place named."
    assert (error.file, error.path) == ("/some/drawing.json", "by_name.a.side")


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        pytest.param([], "expected a JSON object", id="not an object"),
        pytest.param({"shapes": {}}, "shapes: expected a JSON list", id="not a list"),
        pytest.param({"shapes": [{"type": "square"}, {"type": "round"}]}, "shapes[1]: Input tag 'round'", id="tag"),
        pytest.param(
            {"shapes": [{"type": "circle", "radios": 1}]},
            'shapes[0].radios: unknown key "radios". Did you mean radius?',
            id="in a tagged union",
        ),
        pytest.param(
            {"shape": {"type": "square", "radius": 1}},
            'shape.radius: unknown key "radius". Known: side, type.',
            id="other",
        ),
        pytest.param(
            {"background": {"type": "square", "sid": 1}}, 'background.sid: unknown key "sid"', id="in a union"
        ),
        pytest.param({"background": {}}, "background.type: this key is required", id="missing in a union"),
        pytest.param({"weights": {"bald": 1}}, "weights.bald: Input should be 'light' or 'bold'", id="a key's value"),
        pytest.param({"$schem": ""}, 'unknown key "$schem". Did you mean $schema?', id="an alias"),
        pytest.param({"title": 3}, "title: Input should be a valid string (found 3)", id="what was found"),
        pytest.param({"title": ["x" * 99]}, "title: Input should be a valid string", id="a list is not shown"),
        pytest.param({"by_name": {"a": {"type": "x" * 99}}}, f'(found "{"x" * 56}...)', id="long values are cut"),
        pytest.param({"by_name": {"a": {"type": "\ud800"}}}, '(found "\\ud800")', id="half a character can be printed"),
    ],
)
def test_mistakes_are_named_by_json_path(data: Any, expected: str) -> None:
    message = complaint(data).message
    assert expected in message
    message.encode()
    assert "\n" not in message


def test_a_part_of_a_file_is_named_by_its_place_in_the_whole() -> None:
    with pytest.raises(ConfigurationError) as caught:
        validate(Square, {"type": "square", "syde": 1}, file="c.json", at="options")
    assert caught.value.message == 'c.json: options.syde: unknown key "syde". Did you mean side?'
    assert caught.value.path == "options.syde"
    with pytest.raises(ConfigurationError, match=r"^c\.json: options: expected a JSON object"):
        validate(Square, 3, file="c.json", at="options")


def test_another_kind_of_error_can_be_asked_for() -> None:
    with pytest.raises(TaskError, match="titel"):
        validate(Drawing, {"titel": ""}, file="task.json", error=TaskError)


def test_what_is_right_is_returned() -> None:
    drawing = validate(Drawing, {"$schema": "x", "shape": {"type": "circle"}, "background": "red"}, file="d.json")
    assert drawing == Drawing.model_validate({"schema_": "x", "shape": Circle(type="circle"), "background": "red"})


def test_json_paths() -> None:
    assert json_path(("llm_models", 2, "cost_input")) == "llm_models[2].cost_input"
    assert json_path((0, "a")) == "[0].a"
    assert json_path(()) == ""
