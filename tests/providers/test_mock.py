from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from llm_tester import BaseLLM, ModelConfig, ProviderManager, ProviderRegistry, Response, RetryPolicy, UsageData
from llm_tester.config import Workspace
from llm_tester.errors import ConfigurationError, ProviderError
from llm_tester.llms.provider_factory import builtin_folder, create_provider
from llm_tester.records import Request, chat

Ask = Callable[..., Response]
FOLDER = builtin_folder("providers") / "mock"
MODELS = ["careful", "thrifty", "chatty", "sloppy", "flaky"]
SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["name", "lines", "state"],
    "properties": {
        "name": {"type": "string"},
        "note": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
        "state": {"enum": ["open", "paid"]},
        "kind": {"const": "invoice"},
        "lines": {"type": "array", "items": {"$ref": "#/$defs/Line"}},
        "tags": {"type": "array"},
        "nothing": {"type": "null"},
    },
    "$defs": {
        "Line": {
            "type": "object",
            "required": ["price", "parts", "parent"],
            "properties": {
                "price": {"type": "number"},
                "vat": {"type": "boolean"},
                "count": {"type": "integer"},
                "parts": {"type": "array", "items": {"$ref": "#/$defs/Line"}},
                "parent": {"oneOf": [{"$ref": "#/$defs/Line"}, {"type": "null"}]},
            },
        }
    },
}

DRAWN = """
import json
from llm_tester import create_provider, ModelConfig
mock = create_provider("mock")
print(json.dumps([
    mock._call_llm_api(f"question {n}", "", "thrifty", ModelConfig(name="thrifty", tags={"epoch": e}))[0]
    for n in range(20) for e in (1, 2)
]))
"""


@pytest.fixture
def mock() -> BaseLLM:
    return create_provider("mock", Workspace(None))


def answer(mock: BaseLLM, model: str = "careful", prompt: str = "hi", **details: Any) -> tuple[str, UsageData]:
    schema = details.pop("output_schema", None)
    config = ModelConfig(name=model, output_schema=schema, tags=details)
    text, usage = mock._call_llm_api(prompt, "", model, config)
    assert isinstance(usage, UsageData)
    return text, usage


def outcome(mock: BaseLLM, model: str, **details: Any) -> str:
    try:
        return answer(mock, model, **details)[0]
    except ProviderError as error:
        return f"HTTP {error.status}"


def scripted() -> list[tuple[str, dict[str, Any]]]:
    return [
        (file.stem, json.loads(line))
        for file in sorted(FOLDER.glob("*.jsonl"))
        for line in file.read_text("utf-8").split("\n")
        if line
    ]


def with_options(workspace: Path, **mock: Any) -> BaseLLM:
    (workspace / "config.json").write_text(json.dumps({"providers": {"mock": mock}}))
    return create_provider("mock", Workspace.open(workspace, {}))


def test_the_models_that_are_shipped(mock: BaseLLM) -> None:
    assert mock.list_models() == MODELS
    assert mock.get_default_model() == "careful"
    assert mock.is_simulated
    for name in MODELS:
        mock.prepare(name)


def test_every_script_names_only_models_that_exist_and_no_sample_twice() -> None:
    ids = Counter((task, line["id"]) for task, line in scripted())
    assert len(ids) > 40
    assert set(ids.values()) == {1}
    assert {model for _, line in scripted() for model in line["plays"]} == set(MODELS)


def test_every_scripted_play_is_played(mock: BaseLLM) -> None:
    for task, line in scripted():
        for model, play in line["plays"].items():
            tags = {"task": task, "sample_id": line["id"]}
            errors = play.get("errors", [])
            for attempt, status in enumerate(errors, 1):
                assert outcome(mock, model, **tags, attempt=attempt) == f"HTTP {status}"
            text, usage = answer(mock, model, **tags, attempt=len(errors) + 1)
            assert text == play.get("answer", line["answer"])
            assert usage.finish_reason == play.get("finish", "stop")
            assert {name: usage.counts()[name] for name in play.get("usage", {})} == play.get("usage", {})
            assert usage.inconsistent == ()
            if "latency_ms" in play:
                assert usage.latency_ms == play["latency_ms"]


def test_scripted_errors_are_retried_and_recorded(ask: Ask) -> None:
    manager = ProviderManager(registry=ProviderRegistry(Workspace(None)), retry=RetryPolicy(jitter=False))
    for task, line in scripted():
        play = line["plays"].get("flaky", {})
        errors = play.get("errors", [])
        tags = {"task": task, "sample_id": line["id"], "epoch": 1}
        request = Request("mock", "flaky", chat("hi"), tags=tags)
        if play.get("outcome") == "error":
            with pytest.raises(ProviderError) as caught:
                ask(manager, request)
            attempts = caught.value.attempts
            assert [attempt.status for attempt in attempts] == errors
        else:
            response = ask(manager, request)
            assert [attempt.status for attempt in response.attempts] == [*errors, None]
            assert {attempt.waited_ms for attempt in response.attempts} == {0}


def test_tokens_are_a_quarter_of_the_bytes_rounded_up(mock: BaseLLM) -> None:
    entry = mock.get_model_config("careful")
    assert entry is not None
    text, usage = mock._call_llm_api("Ü" * 3, "12345", "careful", entry)
    assert isinstance(usage, UsageData)
    assert usage.input == 3, "11 bytes"
    assert usage.output == -(-len(text) // 4)
    assert answer(mock, prompt="")[1].input == 0
    assert answer(mock, prompt="\ud800")[1].input == 1


def test_latency_is_declared_and_nothing_sleeps(mock: BaseLLM) -> None:
    usage = answer(mock)[1]
    assert usage.output is not None
    assert usage.latency_ms == 900 + 14 * usage.output


def test_answers_are_a_pure_function(mock: BaseLLM) -> None:
    again = create_provider("mock", Workspace(None))
    for number in range(20):
        assert outcome(mock, "flaky", prompt=f"{number}") == outcome(again, "flaky", prompt=f"{number}")


@pytest.mark.parametrize("name", ["prompt", "sample_id", "epoch", "attempt", "task"])
def test_answers_depend_on(mock: BaseLLM, name: str) -> None:
    values = [{name: str(n) if name != "attempt" else n} for n in range(1, 30)]
    assert len({outcome(mock, "thrifty", **value) for value in values}) > 10


def test_answers_depend_on_the_seed(workspace: Path, mock: BaseLLM) -> None:
    other = with_options(workspace, options={"seed": 1})
    texts = [(outcome(mock, "careful", prompt=f"{n}"), outcome(other, "careful", prompt=f"{n}")) for n in range(20)]
    assert sum(one != two for one, two in texts) > 15


def test_two_processes_draw_the_same() -> None:
    runs = [
        subprocess.run(
            [sys.executable, "-c", DRAWN],
            env={"PYTHONHASHSEED": seed, "PATH": ""},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    ]
    assert runs[0] == runs[1]
    assert len(set(json.loads(runs[0]))) > 20


def test_behaviours_come_as_often_as_their_weights_say(workspace: Path) -> None:
    kinds = ["correct", "sloppy", "broken_json", "refusal", "truncated", "empty", "rate_limit", "server_error"]
    mock = with_options(workspace, llm_models=[{"name": "all", "options": {"behaviours": dict.fromkeys(kinds, 1)}}])
    tags = {"output_schema": SCHEMA}
    texts = [outcome(mock, "all", sample_id=str(n), attempt=1 + n % 3, **tags) for n in range(800)]
    seen = Counter((text[:10], text[-1:] == "}") for text in texts)
    assert len(seen) == 8
    assert min(seen.values()) > 50


@pytest.mark.parametrize(
    ("behaviour", "finish", "holds"),
    [
        ("correct", "stop", lambda text: jsonschema.Draft202012Validator(SCHEMA).is_valid(json.loads(text))),
        ("sloppy", "stop", lambda text: text.startswith("Sure! Roughly:\n\n{")),
        ("broken_json", "stop", lambda text: "'" in text and '"' not in text and not text.endswith("}")),
        ("refusal", "refusal", lambda text: "can't help" in text),
        ("truncated", "length", lambda text: text.startswith("{") and not text.endswith("}")),
        ("empty", "stop", lambda text: text == ""),
    ],
)
def test_what_a_behaviour_looks_like(
    workspace: Path, behaviour: str, finish: str, holds: Callable[[str], bool]
) -> None:
    mock = with_options(workspace, llm_models=[{"name": "one", "options": {"behaviours": {behaviour: 1}}}])
    text, usage = answer(mock, "one", output_schema=SCHEMA)
    assert holds(text)
    assert usage.finish_reason == finish


@pytest.mark.parametrize(("behaviour", "status"), [("rate_limit", 429), ("server_error", 503)])
def test_behaviours_that_fail_do_so_at_every_attempt(workspace: Path, behaviour: str, status: int, ask: Ask) -> None:
    mock = with_options(workspace, llm_models=[{"name": "one", "options": {"behaviours": {behaviour: 1}}}])
    with pytest.raises(ProviderError) as caught:
        ask(mock, mock.request("hi", "one"))
    assert [attempt.status for attempt in caught.value.attempts] == [status] * 4


@pytest.mark.parametrize("n", range(8))
def test_a_sloppy_answer_has_one_mistake(workspace: Path, mock: BaseLLM, n: int) -> None:
    sloppy = with_options(workspace, llm_models=[{"name": "careful", "options": {"behaviours": {"sloppy": 1}}}])
    right = json.loads(answer(mock, sample_id=str(n), output_schema=SCHEMA)[0])
    wrong = json.loads(answer(sloppy, sample_id=str(n), output_schema=SCHEMA)[0].removeprefix("Sure! Roughly:\n\n"))
    assert len(wrong) == len(right) - 1
    assert wrong.items() <= right.items()
    plain = answer(mock, sample_id=str(n))[0]
    spoiled = answer(sloppy, sample_id=str(n))[0].removeprefix("Sure! Roughly:\n\n")
    assert sum(one != two for one, two in zip(plain, spoiled, strict=True)) == 1


@pytest.mark.parametrize("schema", [{"type": "string"}, {"type": "array", "items": {"type": "string"}}, {}])
def test_a_sloppy_answer_without_keys_or_digits_is_wrong_too(workspace: Path, mock: BaseLLM, schema: Any) -> None:
    sloppy = with_options(workspace, llm_models=[{"name": "careful", "options": {"behaviours": {"sloppy": 1}}}])
    right = answer(mock, output_schema=schema)[0]
    assert answer(sloppy, output_schema=schema)[0] == f"Sure! Roughly:\n\n{right[::-1]}"


def test_unscripted_answers_have_the_shape_of_the_schema(mock: BaseLLM) -> None:
    value = json.loads(answer(mock, output_schema=SCHEMA)[0])
    jsonschema.validate(value, SCHEMA)
    assert (value["state"], value["kind"], value["note"], value["tags"]) == ("open", "invoice", 1, ["simulated"])
    assert value["lines"][0]["price"] == 1.5
    assert answer(mock)[0].startswith("simulated answer ")


@pytest.mark.parametrize(
    "schema",
    [
        {"type": ["integer", "null"]},
        {"type": ["null", "string"]},
        {
            "allOf": [{"$ref": "#/$defs/A"}],
            "$defs": {"A": {"type": "object", "properties": {"x": {"type": "integer"}}}},
        },
        {"type": "array", "items": True},
        {"type": "object", "properties": {"any": True}},
        {"$ref": "#/$defs/gone"},
    ],
)
def test_schemas_as_other_tools_write_them(mock: BaseLLM, schema: dict[str, Any]) -> None:
    value = json.loads(answer(mock, output_schema=schema)[0])
    if "gone" not in str(schema):
        jsonschema.validate(value, schema)


def test_a_model_that_the_workspace_adds(workspace: Path) -> None:
    mock = with_options(workspace, llm_models=[{"name": "mine", "cost_input": 1}])
    text, usage = answer(mock, "mine")
    assert text.startswith("simulated answer ")
    assert usage.latency_ms == 300 + 5 * (usage.output or 0)


@pytest.mark.parametrize(
    ("mock", "expected"),
    [
        ({"options": {"sede": 1}}, 'options.sede: unknown key "sede". Did you mean seed?'),
        (
            {"llm_models": [{"name": "careful", "options": {"behaviours": {"corect": 1}}}]},
            "llm_models[careful].options.behaviours.corect: Input should be 'correct'",
        ),
        (
            {"llm_models": [{"name": "careful", "options": {"behaviours": {"correct": 0}}}]},
            "llm_models[careful].options.behaviours.correct: Input should be greater than 0",
        ),
    ],
)
def test_mistakes_in_options(workspace: Path, mock: dict[str, Any], expected: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        with_options(workspace, **mock)
    assert expected in caught.value.message
    assert "\n" not in caught.value.message


@pytest.mark.parametrize("content", [None, '{"id": "a"}', "nonsense"])
def test_a_script_that_cannot_be_used(workspace: Path, tmp_path: Path, content: str | None, ask: Ask) -> None:
    script = tmp_path / "script.jsonl"
    if content is not None:
        script.write_text(content)
    mock = with_options(workspace, options={"scripts": {"t": str(script)}})
    with pytest.raises(ConfigurationError, match="not a usable script"):
        ask(mock, Request("mock", "careful", chat("hi"), tags={"task": "t", "sample_id": "a"}))


def test_a_script_may_hold_any_text(workspace: Path, tmp_path: Path) -> None:
    script = tmp_path / "script.jsonl"
    script.write_text('{"id": "a", "answer": "one\u2028line"}\n\n', "utf-8")
    mock = with_options(workspace, options={"scripts": {"t": str(script)}})
    assert answer(mock, task="t", sample_id="a")[0] == "one\u2028line"
