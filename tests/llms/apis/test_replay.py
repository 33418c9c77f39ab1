from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from llm_tester.config import Workspace
from llm_tester.errors import BadRequestError, BadResponseError, ConfigurationError, ProviderError
from llm_tester.llms.apis.replay import AnswerFile
from llm_tester.llms.base import BaseLLM
from llm_tester.llms.provider_factory import create_provider
from llm_tester.records import Request, Response, UsageData, chat

Ask = Callable[[BaseLLM, Request], Response]


@pytest.fixture
def replay(workspace: Path, add_provider: Callable[..., Path]) -> Callable[[bytes], BaseLLM]:
    """The provider whose only model has these answers."""

    def make(content: bytes) -> BaseLLM:
        models = [{"name": "m", "answers": "a.jsonl", "cost_input": 1, "cost_output": 2}]
        folder = add_provider("recorded", api="replay", llm_models=models)
        (folder / "a.jsonl").write_bytes(content)
        return create_provider("recorded", Workspace.open(workspace, {}))

    return make


def lines(*answers: dict[str, Any]) -> bytes:
    return "\n".join(json.dumps(answer, ensure_ascii=False) for answer in answers).encode()


def request(sample: str) -> Request:
    return Request("recorded", "m", chat("hi"), {"temperature": 0}, tags={"task": "t", "sample_id": sample, "epoch": 1})


def test_answers_are_served_by_sample_id(replay: Callable[[bytes], BaseLLM], ask: Ask) -> None:
    provider = replay(
        lines(
            {"id": "a", "answer": "Ä ok", "usage": {"input": 1000, "output": 500, "cached_input": 0}, "finish": "stop"},
            {"id": "b", "answer": "", "finish": "length", "model": "whatever else was recorded"},
            {"id": "c", "answer": "text\u2028in one line"},
        )
    )
    provider.prepare("m")
    first, second, third = (ask(provider, request(sample)) for sample in "abc")
    assert (first.text, first.finish_reason, first.cost.usd) == ("Ä ok", "stop", Decimal("0.002"))
    assert (first.simulated, first.latency_ms, first.not_applied) == (True, None, ())
    assert (second.text, second.finish_reason, second.usage) == ("", "length", UsageData(finish_reason="length"))
    assert (third.text, third.finish_reason, third.cost.usd) == ("text\u2028in one line", None, None)


def test_files_as_editors_leave_them(replay: Callable[[bytes], BaseLLM], ask: Ask) -> None:
    content = b'\xef\xbb\xbf{"id": "a", "answer": "1"}\r\n\r\n  \n{"id": "b", "answer": "2"}\r\n'
    provider = replay(content)
    assert [ask(provider, request(sample)).text for sample in "ba"] == ["2", "1"]


@pytest.mark.parametrize("finish", ["stop", "length", "refusal"])
def test_finish_values(replay: Callable[[bytes], BaseLLM], ask: Ask, finish: str) -> None:
    assert ask(replay(lines({"id": "a", "answer": "", "finish": finish})), request("a")).finish_reason == finish


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        pytest.param(b"", "a.jsonl: holds no answers", id="empty"),
        pytest.param(b"\n \n", "a.jsonl: holds no answers", id="blank"),
        pytest.param(
            lines({"id": "a", "answer": ""}, {"id": "a", "answer": ""}),
            'a.jsonl:2: a second answer for the sample "a"',
            id="twice",
        ),
        pytest.param(
            lines({"id": "a", "answer": ""}, {"answer": ""}), "a.jsonl:2: id: this key is required", id="no id"
        ),
        pytest.param(lines({"id": "", "answer": ""}), "a.jsonl:1: id: String should have at least 1", id="empty id"),
        pytest.param(
            lines({"id": 7, "answer": ""}), "a.jsonl:1: id: Input should be a valid string (found 7)", id="number as id"
        ),
        pytest.param(lines({"id": "a"}), "a.jsonl:1: answer: this key is required", id="no answer"),
        pytest.param(
            lines({"id": "a", "answer": {"x": 1}}), "a.jsonl:1: answer: Input should be a valid string", id="object"
        ),
        pytest.param(
            lines({"id": "a", "answer": "", "usage": 3}), "a.jsonl:1: usage: expected a JSON object", id="usage"
        ),
        pytest.param(
            lines({"id": "a", "answer": "", "finish": "bored"}),
            "a.jsonl:1: finish: Input should be 'stop'",
            id="finish",
        ),
        pytest.param(b'{"id": "a", "answer": ""}\n{"id": "b"', "a.jsonl:2: not valid JSON", id="cut short"),
        pytest.param(b'{"id": "a", "id": "a", "answer": ""}', 'a.jsonl:1: the key "id" stands twice', id="a key twice"),
        pytest.param(b'{"id": "a", "answer": ""}\n{"id": "\xff"}', "a.jsonl:2: not UTF-8 text", id="no UTF-8"),
        pytest.param('{"id": "a"}'.encode("utf-16"), "a.jsonl:1: not UTF-8 text", id="UTF-16"),
    ],
)
def test_mistakes_in_the_file_are_found_before_any_call(
    replay: Callable[[bytes], BaseLLM], content: bytes, expected: str
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        replay(content).prepare("m")
    assert expected in caught.value.message
    assert "\n" not in caught.value.message


def test_a_sample_without_an_answer_is_a_final_failure(replay: Callable[[bytes], BaseLLM], ask: Ask) -> None:
    with pytest.raises(BadRequestError, match='no recorded answer for the sample "z"') as caught:
        ask(replay(lines({"id": "a", "answer": ""})), request("z"))
    assert len(caught.value.attempts) == 1


def test_usage_with_a_wrong_key_is_no_answer(replay: Callable[[bytes], BaseLLM], ask: Ask) -> None:
    with pytest.raises(BadResponseError, match='unknown key "inputs"'):
        ask(replay(lines({"id": "a", "answer": "", "usage": {"inputs": 1}})), request("a"))


def test_impossible_usage_is_flagged(replay: Callable[[bytes], BaseLLM], ask: Ask) -> None:
    response = ask(replay(lines({"id": "a", "answer": "", "usage": {"input": -1, "output": 2.5}})), request("a"))
    assert response.usage.inconsistent == ("input is -1", "output is 2.5")
    assert (response.usage.counts(), response.cost.usd) == ({}, None)


def test_a_file_that_is_not_there(replay: Callable[[bytes], BaseLLM], workspace: Path) -> None:
    provider = replay(b"")
    (workspace / "providers" / "recorded" / "a.jsonl").unlink()
    with pytest.raises(ConfigurationError, match="the file of recorded answers cannot be read: No such file") as caught:
        provider.prepare("m")
    assert "answers" in caught.value.hint


def test_a_file_that_changes_in_use_serves_nobody_elses_answer(
    replay: Callable[[bytes], BaseLLM], ask: Ask, workspace: Path
) -> None:
    provider = replay(lines({"id": "a", "answer": "1"}, {"id": "b", "answer": "2"}))
    provider.prepare("m")
    file = workspace / "providers" / "recorded" / "a.jsonl"
    file.write_bytes(lines({"id": "b", "answer": "2"}, {"id": "a", "answer": "1"}))
    with pytest.raises(ConfigurationError, match="changed while its answers are in use"):
        ask(provider, request("a"))
    file.unlink()
    with pytest.raises(ProviderError, match="FileNotFoundError"):
        ask(provider, request("a"))


def test_every_model_must_name_its_answers(workspace: Path, add_provider: Callable[..., Path]) -> None:
    add_provider("recorded", api="replay")
    with pytest.raises(ConfigurationError, match='the model "m" names no file of recorded answers'):
        create_provider("recorded", Workspace.open(workspace, {}))


def test_only_places_are_kept_in_memory(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    file.write_bytes(lines(*({"id": str(number), "answer": f"answer {number}"} for number in range(500))))
    answers = AnswerFile(file)
    found = answers.find("321")
    assert found is not None
    assert found.answer == "answer 321"
    assert answers.find("500") is None
