"""`llm-tester ask`, and the calls in one line, against the loopback server."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import llm_tester
from llm_tester.cli.main import main
from llm_tester.testing import LoopbackServer, Play

Program = Callable[..., tuple[int, str, str]]


@pytest.fixture
def server(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LoopbackServer]:
    """The workspace is the current folder, and its openai is the loopback server."""
    with LoopbackServer(Play("Hello.", usage={"input": 1000, "output": 100})) as running:
        there = {"base_url": f"{running.url}/v1", "llm_models": [{"name": "m", "cost_input": 1, "cost_output": 2}]}
        settings = {"providers": {"openai": {**there, "default_model": "m"}}, "retry": {"max_retries": 0}}
        (workspace / "config.json").write_text(json.dumps(settings))
        monkeypatch.setenv("OPENAI_API_KEY", "sk-canary-0815")
        monkeypatch.chdir(workspace)
        yield running


@pytest.fixture
def ask(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Program:
    def call(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["llm-tester", "ask", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        return int(ended.value.code or 0), *capsys.readouterr()

    return call


def test_an_answer_with_its_tokens_and_cost(server: LoopbackServer, ask: Program) -> None:
    code, out, err = ask("hi", "-m", "openai:m", "--system", "Be brief.", "-p", "max_tokens=50")
    assert (code, out) == (0, "Hello.\n")
    assert "1,000 in, 100 out" in err
    assert "$0.0012" in err
    [received] = server.received
    assert received.stream
    assert received.body["max_tokens"] == 50
    assert [turn["content"] for turn in received.body["messages"]] == ["Be brief.", "hi"]


def test_json_is_one_document(server: LoopbackServer, ask: Program) -> None:
    code, out, _ = ask("hi", "-m", "openai", "--json")
    answer = json.loads(out)
    assert (code, answer["text"], answer["model"], answer["cost_usd"]) == (0, "Hello.", "openai:m", "0.0012")


def test_the_question_comes_from_standard_input(
    server: LoopbackServer, ask: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("piped"))
    assert ask("-", "-m", "openai:m")[0] == 0
    assert server.received[0].body["messages"] == [{"role": "user", "content": "piped"}]


def test_terminal_codes_of_a_model_are_not_printed(server: LoopbackServer, ask: Program) -> None:
    server.play(Play("\x1b]52;c;ZXZpbA==\x07red\x1b[31m", chunks=1))
    assert ask("hi", "-m", "openai:m")[1] == "red\n"


def test_a_broken_stream_shows_what_came_and_fails(server: LoopbackServer, ask: Program) -> None:
    server.play(Play("The quick brown fox", fault="cut_stream", pace=0.01))
    code, out, err = ask("hi", "-m", "openai:m")
    assert code == 1
    assert "The quick brown fox".startswith(out.strip())
    assert err.startswith("Error: ")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("", "-m", "openai:m"), "the question is empty"),
        (("hi", "-m", "openai:nope"), 'openai has no model "nope"'),
        (("hi", "-m", "anthropic"), "ANTHROPIC_API_KEY"),
        (("hi", "-m", "openai:m", "-p", "max_tokens"), "expected NAME=VALUE"),
    ],
)
def test_what_cannot_be_asked_is_said_before_a_call(
    server: LoopbackServer, ask: Program, arguments: tuple[str, ...], said: str
) -> None:
    code, out, err = ask(*arguments)
    assert (code, out, server.count) == (2, "", 0)
    assert said in err


# --- in Python


def test_calls_in_one_line_go_to_the_provider_that_has_a_key(server: LoopbackServer) -> None:
    assert llm_tester.complete("hi") == "Hello."
    assert asyncio.run(llm_tester.acomplete("hi", provider_type="OpenAI")) == "Hello."
    assert "".join(llm_tester.stream("hi")) == "Hello."
    assert asyncio.run(llm_tester.generate("hi")) == "Hello."

    async def pieces() -> list[str]:
        direct = [piece async for piece in llm_tester.astream("hi")]
        return direct + [piece async for piece in await llm_tester.generate_stream("hi")]

    assert "".join(asyncio.run(pieces())) == "Hello.Hello."
    assert {received.model for received in server.received} == {"m"}


def test_the_environment_chooses_provider_and_model(server: LoopbackServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLM_TESTER_PROVIDER", "stub")
    assert llm_tester.complete("hi").startswith("stub answer")
    monkeypatch.delenv("LLM_TESTER_PROVIDER")
    monkeypatch.setenv("OPENAI_MODEL", "gpt-4o")
    llm_tester.reset_provider_cache()
    assert llm_tester.complete("hi") == "Hello."
    assert server.received[-1].model == "gpt-4o"


def test_without_any_key_the_safe_default_answers_with_a_warning(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(workspace)
    with pytest.warns(UserWarning, match="no provider's key is set"):
        assert llm_tester.complete("hi").startswith("stub answer")
    with pytest.raises(llm_tester.ConfigurationError, match="no provider's key is set"):
        llm_tester.complete("hi", fallback=False)
    with pytest.raises(llm_tester.MissingKeyError, match="OPENAI_API_KEY"):
        llm_tester.complete("hi", provider_type="openai")


def test_a_provider_that_is_not_there_is_named(server: LoopbackServer, ask: Program) -> None:
    code, _, err = ask("hi", "-m", "opnai")
    assert code == 2
    assert 'there is no provider "opnai"' in err
    assert "Did you mean openai" in err


def test_a_list_of_providers_that_cannot_be_read_may_hold_it(server: LoopbackServer, ask: Program) -> None:
    Path("external_providers.json").write_text('{"legal": {"path": "x"},}')
    code, _, err = ask("hi", "-m", "legal")
    assert (code, err.count("Error")) == (2, 1)
    assert 'there is no provider "legal"' in err
    assert "external_providers.json:1: not valid JSON" in err
    assert "Known" not in err
