"""`llm-tester embed`, and the calls in one line, against the loopback server."""

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
    with LoopbackServer(Play(usage={"input": 1000})) as running:
        settings = {"providers": {"openai": {"base_url": f"{running.url}/v1"}}, "retry": {"max_retries": 0}}
        (workspace / "config.json").write_text(json.dumps(settings))
        monkeypatch.setenv("OPENAI_API_KEY", "sk-canary-0815")
        monkeypatch.chdir(workspace)
        yield running


@pytest.fixture
def embed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Program:
    def call(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["llm-tester", "embed", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        return int(ended.value.code or 0), *capsys.readouterr()

    return call


def test_vectors_with_their_tokens_and_cost(server: LoopbackServer, embed: Program) -> None:
    code, out, err = embed("one", "a text that is longer\nthan what is shown of it")
    assert code == 0
    first, second = out.splitlines()
    assert first.startswith("one  [")
    assert first.endswith("8 dimensions")
    assert second.startswith("a text that is longer than what is show…  [")
    assert "openai:text-embedding-3-small · 1,000 tokens · $0.00002" in err
    assert server.received[0].body["input"][0] == "one"


def test_json_has_all_of_it(server: LoopbackServer, embed: Program) -> None:
    code, out, _ = embed("one", "-m", "openai:text-embedding-3-large", "-p", "dimensions=3", "--json")
    answer = json.loads(out)
    assert code == 0
    assert (answer["model"], answer["dimensions"]) == ("openai:text-embedding-3-large", 3)
    assert (len(answer["vectors"]), len(answer["vectors"][0])) == (1, 3)
    assert (answer["cost_usd"], answer["price_source"], answer["attempts"]) == ("0.00013", "catalogue", 1)


def test_texts_come_from_standard_input(
    server: LoopbackServer, embed: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("one\n\ntwo\n"))
    assert embed("-", "-m", "openai")[0] == 0
    assert server.received[0].body["input"] == ["one", "two"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("",), "there is no text"),
        (("hi", "-m", "openai:nope"), 'openai has no model "nope"'),
        (("hi", "-m", "anthropic"), "anthropic makes no embeddings"),
        (("hi", "-m", "mistral"), "MISTRAL_API_KEY"),
        (("hi", "-p", "dimensions"), "expected NAME=VALUE"),
        (("hi", "-m", "groq"), "no embedding model of groq is known"),
        (("hi", "-m", "lmstudio"), "no embedding model of lmstudio is known"),
    ],
)
def test_what_cannot_be_done_is_said_before_a_call(
    server: LoopbackServer, embed: Program, arguments: tuple[str, ...], said: str
) -> None:
    code, out, err = embed(*arguments)
    assert (code, out, server.count) == (2, "", 0)
    assert said in err


def test_a_failure_of_the_provider_ends_with_1(server: LoopbackServer, embed: Program) -> None:
    server.play(Play(status=401))
    code, out, err = embed("hi")
    assert (code, out) == (1, "")
    assert err.startswith("Error: HTTP 401")


def test_without_a_key_nobody_stands_in(workspace: Path, monkeypatch: pytest.MonkeyPatch, embed: Program) -> None:
    monkeypatch.chdir(workspace)
    code, _, err = embed("hi")
    assert (code, "no key of a provider that makes embeddings is set" in err) == (2, True)
    assert embed("hi", "-m", "stub")[0] == 0


# --- in Python


def test_calls_in_one_line(server: LoopbackServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-canary-0816")
    [one] = llm_tester.embed("one")
    assert asyncio.run(llm_tester.aembed(["one", "two"], provider_type="OpenAI"))[0] == one
    assert {received.model for received in server.received} == {"text-embedding-3-small"}
    llm_tester.embed("one", model="text-embedding-3-large", dimensions=4)
    assert server.received[-1].body["dimensions"] == 4


def test_without_any_key_the_stand_in_makes_vectors_with_a_warning(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(workspace)
    with pytest.warns(llm_tester.SubstitutionWarning, match="`stub` answers"):
        first, second = llm_tester.embed(["one", "two"])
    assert first != second
    assert llm_tester.embed("one", provider_type="stub") == [first]
    assert llm_tester.embed("one", provider_type="null") == [[]]
