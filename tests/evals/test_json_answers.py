from __future__ import annotations

import json
from decimal import Decimal
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_tester.evals.json_answers import Reading, read_json_answer
from llm_tester.records import FinishReason

RECEIPT = (
    '{"vendor": "Café \\"Zur\\u00e4h\\"", "lines": [{"n": 1, "price": -2.50e1}, {"tags": [], "paid": true}], "x": null}'
)
SAMPLE: dict[str, Any] = {
    "a": {"b": [1, 2.5, -3e-5, {"c": True, "d": None, "e": False}], "s": 'x\ty "q" é \U0001f600 {[ \\'},
    "z": [],
    "empty": {},
}


def has_vendor(value: Any) -> bool:
    return isinstance(value, dict) and "vendor" in value


FOUND = [
    ('{"a": 1}', {"a": 1}),
    ('\ufeff {"a": 1}\n', {"a": 1}),
    ('```json\n{"a": 1}\n```', {"a": 1}),
    ('```\n{"a": 1}\n```', {"a": 1}),
    ('Sure!\n```JSON\n{"a": {"b": 2}}\n```\nAnything else?', {"a": {"b": 2}}),
    ('The answer, see [1] and {below} or {{placeholder}}: {"a": 1} [2].', {"a": 1}),
    ('<think>maybe {"a": 2}</think>{"a": 1}', {"a": 1}),
    ('<thinking>maybe {"a": 2, oops</thinking>\n{"a": 1}', {"a": 1}),
    ('<reasoning>{"a"</reasoning>{"a": 1}<reasoning>{"a": 3}</reasoning>', {"a": 1}),
    ('Hm, {"a": 2} or {"a": \n</think>\n{"a": 1}', {"a": 1}),
    ('{"html": "<think>not one", "b": {"c": "</think>"}}', {"html": "<think>not one", "b": {"c": "</think>"}}),
    ('{"a": 1, "b": 2}\nAgain:\n{"b": 2, "a": 1.0}', {"a": 1, "b": 2}),
    ('{"a": "```json {"}', {"a": "```json {"}),
    ('[{"a": 1}]', {"a": 1}),
    ('The form is {vendor: text}. {"a": 1}', {"a": 1}),
    ('{"a": 1} where {a: the number}', {"a": 1}),
    ('As {"a": number}:\n```json\n{"a": 1}\n```', {"a": 1}),
    ('{"a": 1,}\nSorry, once more: {"a": 2}', {"a": 2}),
    ('{"a": 1} again: {"a": ', {"a": 1}),
    ('"{\\"a\\": {\\"b\\": {}}}"', {"a": {"b": {}}}),
    ('```json\n"{\\n \\"a\\": 1}"\n```', {"a": 1}),
    ('{"a": "line\nbreak\x00"}', {"a": "line\nbreak\x00"}),
    ('{"a": "\\ud800"}', {"a": "\ud800"}),
    ('{"a": 1, "a": 1.0}', {"a": 1}),
    ("{}", {}),
]


@pytest.mark.parametrize(("text", "value"), FOUND)
def test_the_object_is_found(text: str, value: Any) -> None:
    reading = read_json_answer(text)
    assert reading.state == "found"
    assert reading.value == value


NOT_FOUND = [
    ('{"a": 1} or {"a": 2}', None, "ambiguous"),
    ('{"a": 1} or {"a": true}', None, "ambiguous"),
    ('[{"a": 1}, {"a": 2}]', None, "ambiguous"),
    ('{"a": 1}\nCorrected: {"a": 2,}', None, "ambiguous"),
    ('{"a": 1}\nCorrected: {"a": 2', None, "ambiguous"),
    ('{"a": 1}\nCorrected: {"a": 2', "stop", "ambiguous"),
    ('{"a": 1} <think>no, wrong', None, "ambiguous"),
    ("", None, "nothing"),
    ("I do not know, {see below}.", "stop", "nothing"),
    ("Let me begin", "length", "truncated"),
    ("[1, 2]", None, "nothing"),
    ('{"a": {"b": 1}', None, "truncated"),
    ('{"a": {"b": 1}', "length", "truncated"),
    ('{"a": {"b": 1}', "stop", "broken"),
    ('{"a": {"b": 1}', "tool_calls", "broken"),
    ('```json\n{"a": {"b": 1}\n```', None, "broken"),
    ('<think>{"a": 1}', None, "truncated"),
    ('<think>{"a": 1}', "length", "truncated"),
    ('<think>{"a": 1}', "stop", "nothing"),
    ('{"a": 1}</think>', "stop", "nothing"),
    ('{"a": {"b": 1},}', None, "broken"),
    ('{"a": 1 2', None, "broken"),
    ('{"a": oops, "b": {"c": 1}}', None, "broken"),
    ('{"a": "say "hi}" now", "b": {"c": 1}}', None, "broken"),
    ('{"a": "say "hi}" now", "b": [{"c": 1}], "d": true, {"e": 1}}', None, "broken"),
    ('Answer: "{\\"a\\": {}}"', None, "broken"),
    ("{'a': {'b': 1}}", None, "broken"),
    ("{“a”: 1}", None, "broken"),
    ('{"a": NaN}', None, "broken"),
    ('{"a": -Infinity}', None, "broken"),
    ('{"a": 1e99999}', None, "broken"),
    ('{"a": 1e99999999999999999999}', None, "broken"),
]


@pytest.mark.parametrize(("text", "finish", "state"), NOT_FOUND)
def test_what_cannot_be_taken_is_named(text: str, finish: FinishReason | None, state: str) -> None:
    reading = read_json_answer(text, finish_reason=finish)
    assert reading.state == state
    assert reading.value is None
    assert reading.note


ACCEPTED = [
    ('{"note": 1} {"vendor": "x"}', "found", {"vendor": "x"}),
    ('{"vendor": "x"} {"note": 1} {"note": 2}', "found", {"vendor": "x"}),
    ('{"vendor": "x"} {"vendor": "x"}', "found", {"vendor": "x"}),
    ('{"vendor": "x"} {"vendor": "y"}', "ambiguous", None),
    ('{"note": 1}', "found", {"note": 1}),
    ('{"note": 1} {"note": 2}', "ambiguous", None),
    ('{"vendor": "x"} {"vendor": "y', "ambiguous", None),
    ('{"note": 1} {"vendor": "x"} {"vendor": ', "found", {"vendor": "x"}),
]


@pytest.mark.parametrize(("text", "state", "value"), ACCEPTED)
def test_the_only_accepted_one_is_taken(text: str, state: str, value: Any) -> None:
    reading = read_json_answer(text, accepts=has_vendor)
    assert (reading.state, reading.value) == (state, value)


def test_the_note_counts_what_was_passed_over() -> None:
    assert read_json_answer('{"vendor": "x"} {"a": 1} {"b": 1}', accepts=has_vendor).note.startswith("2 other")
    assert read_json_answer('{"a": [1],}\n{"a": [1]}').note == "1 that did not parse passed over"


ARRAYS = [
    ("[1, 2, 3]", "found", [1, 2, 3]),
    ("[]", "found", []),
    ('See [1] and [2]: ["a", "b"]', "found", ["a", "b"]),
    ("As shown in [1] and [7]:\n```json\n[3, 5]\n```", "found", [3, 5]),
    ("As shown in [1]", "found", [1]),
    ("Either [1] or [2]", "ambiguous", None),
    ('["a"] or ["b"]', "ambiguous", None),
    ('[{"a": [1, 2]}, {"a": []}]', "found", [{"a": [1, 2]}, {"a": []}]),
    ('{"items": [1, 2]}', "nothing", None),
    ('{"items": [1, 2]', "truncated", None),
    ('[1, oops, ["a"]]', "broken", None),
    ('["a", ["b"]', "truncated", None),
    ("[see below] [12 apples] [ref](http://x.y)", "nothing", None),
    ("- [x] done\n- [ ] open\n[true, null]", "found", [True, None]),
    ('"[\\"a\\"]"', "found", ["a"]),
]


@pytest.mark.parametrize(("text", "state", "value"), ARRAYS)
def test_arrays_are_read_on_demand(text: str, state: str, value: Any) -> None:
    reading = read_json_answer(text, container="array")
    assert (reading.state, reading.value) == (state, value)


def test_an_accepted_citation_is_taken_when_nothing_better_is_accepted() -> None:
    def numbers(value: Any) -> bool:
        return all(isinstance(item, int) for item in value)

    assert read_json_answer('["note"] so: [4, 5]', container="array", accepts=numbers).value == [4, 5]


def test_numbers_are_exact() -> None:
    value = read_json_answer('{"total": 12.10, "count": 3, "big": 1e3}').value
    assert (value["total"], str(value["total"])) == (Decimal("12.10"), "12.10")
    assert [type(value[key]) for key in ("total", "count", "big")] == [Decimal, int, Decimal]


def test_a_key_that_stands_twice_is_named() -> None:
    reading = read_json_answer('{"a": {"total": 1, "total": 2}}')
    assert reading.state == "broken"
    assert "'total'" in reading.note
    assert read_json_answer('{"a": 1, "a": true}').state == "broken"


@pytest.mark.parametrize("text", [RECEIPT, json.dumps(SAMPLE), json.dumps(SAMPLE, indent=2, ensure_ascii=False)])
@pytest.mark.parametrize("wrap", ["{}", "Here it is:\n```json\n{}", "[{}]", '<think>{{"a": 1}}</think>{}'])
def test_no_proper_prefix_of_an_object_is_an_answer(text: str, wrap: str) -> None:
    start = wrap.format("\0").index("\0")
    whole = wrap.format(text)
    last = len(whole) if wrap == "[{}]" else start + len(text)
    assert read_json_answer(whole).value == json.loads(text, parse_float=Decimal)
    for end in range(start + 1, last):
        assert read_json_answer(whole[:end]).state == "truncated", whole[:end]
        assert read_json_answer(whole[:end], finish_reason="stop").state == "broken", whole[:end]


def test_no_proper_prefix_of_a_quoted_object_is_an_answer() -> None:
    whole = json.dumps(json.dumps(SAMPLE))
    assert read_json_answer(whole).value == json.loads(json.dumps(SAMPLE), parse_float=Decimal)
    for end in range(1, len(whole)):
        assert read_json_answer(whole[:end]).state in ("truncated", "nothing"), whole[:end]


def test_no_proper_prefix_of_an_array_is_an_answer() -> None:
    whole = json.dumps([1, [2.5, {"a": [True]}], SAMPLE])
    for end in range(1, len(whole)):
        assert read_json_answer(whole[:end], container="array").state == "truncated", whole[:end]


SCALARS = st.none() | st.booleans() | st.integers() | st.text() | st.decimals(-(10**9), 10**9, places=3).map(float)
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=15)
OBJECTS = st.dictionaries(st.text(), VALUES)
PROSE = st.text(st.characters(exclude_characters="{}[]<"), max_size=80)


@given(OBJECTS, PROSE, PROSE, st.booleans(), st.sampled_from([None, 2]))
def test_any_object_in_prose_is_found(
    made: dict[str, Any], before: str, after: str, ascii_only: bool, indent: int | None
) -> None:
    text = json.dumps(made, ensure_ascii=ascii_only, indent=indent)
    reading = read_json_answer(before + text + after)
    assert reading == Reading("found", json.loads(text, parse_float=Decimal))


@given(st.text('{}[]":,\\ae1.-`<>/think\n ', max_size=60), st.sampled_from([None, *get_args(FinishReason)]))
def test_nothing_raises(text: str, finish: FinishReason | None) -> None:
    for container in ("object", "array"):
        reading = read_json_answer(text, finish_reason=finish, container=container)
        assert (reading.state == "found") == isinstance(reading.value, (dict, list))


GARBAGE = ["{", '{"', "{}", '{"a" }', "{ ", "{'", "[{", '[{"', '{"a":', "[", "[1,", "[1]", "{a:", '"', '"{', "<think>",
           "</think>", " ", "}{", '{"a": "\\']  # fmt: skip


@pytest.mark.parametrize("unit", GARBAGE)
@pytest.mark.parametrize("container", ["object", "array"])
def test_a_megabyte_of_garbage_is_refused_in_bounded_time(unit: str, container: Any) -> None:
    # What is read again from each of its characters would not end.
    text = unit * (1_000_000 // len(unit))
    assert read_json_answer(text, container=container).state != "found"


def test_depth_and_length_have_limits() -> None:
    assert read_json_answer('{"a":' * 10_000 + "1" + "}" * 10_000).note == "nested too deeply"
    assert read_json_answer('{"a":' * 150 + "1" + "}" * 150).state == "found"
    digits = "7" * 10_000
    assert read_json_answer(f'{{"a": {digits}}}').value == {"a": Decimal(digits)}
