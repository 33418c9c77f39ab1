"""What was asked and what was sent or served differ only visibly: dropped parameters, and other models that answer."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from llm_tester import ConfigurationError, ProviderManager, ProviderRegistry, Workspace
from llm_tester.records import is_other_model
from llm_tester.testing import LoopbackServer, Play
from tests.evals.conftest import Bench

MODEL = {"name": "gpt-4o", "cost_input": 1, "cost_output": 2, "unsupported_params": ["temperature"]}


@pytest.fixture
def served(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Iterator[LoopbackServer]:
    """A task that asks for a temperature, and a model, served by the loopback server, that does not take one."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-canary-0815")
    bench.task(parameters={"max_tokens": 5, "temperature": 0})
    with LoopbackServer(Play("2")) as running:
        settings(bench, running)
        yield running


def settings(bench: Bench, server: LoopbackServer, **more: Any) -> None:
    there = {"base_url": f"{server.url}/v1", "llm_models": [MODEL]}
    bench.write("config.json", json.dumps({"providers": {"openai": there}, "retry": {"max_retries": 0}, **more}))


def ran(bench: Bench) -> str:
    """The Markdown report of a run."""
    assert bench.cli("run", "sums", "-m", "openai:gpt-4o", "--yes").code == 0
    return bench.cli("report", "last", "--format", "md").out


def test_a_parameter_that_is_left_out_is_noted(bench: Bench, served: LoopbackServer) -> None:
    assert "parameters not applied as asked: temperature" in ran(bench)
    assert all("temperature" not in received.body for received in served.received)


def test_with_drop_it_is_told_in_the_rows_only(bench: Bench, served: LoopbackServer) -> None:
    settings(bench, served, on_unsupported="drop")
    assert "not applied" not in ran(bench)
    rows = json.loads(bench.cli("report", "last", "--format", "json").out)["results"]
    assert {tuple(row["not_applied"]) for row in rows} == {("temperature",)}


def test_with_error_nothing_is_planned_or_sent(bench: Bench, served: LoopbackServer) -> None:
    settings(bench, served, on_unsupported="error")
    ended = bench.cli("run", "sums", "-m", "openai:gpt-4o", "--yes")
    assert ended.code == 2
    assert "openai:gpt-4o does not take as asked: temperature" in ended.err
    assert (served.count, (bench.root / ".llm_tester").exists()) == (0, False)


def test_with_error_a_single_call_is_not_sent_either(bench: Bench, served: LoopbackServer) -> None:
    settings(bench, served, on_unsupported="error")
    manager = ProviderManager(registry=ProviderRegistry(Workspace.open(bench.root)))
    asked = manager.provider("openai").request("hi", "gpt-4o", parameters={"temperature": 0})
    with pytest.raises(ConfigurationError, match="temperature"):
        manager.respond(asked)
    assert served.count == 0


def test_another_model_that_answers_is_named_and_priced_as_asked(bench: Bench, served: LoopbackServer) -> None:
    served.play(Play("2", model="gpt-3.5-turbo", usage={"input": 100, "output": 10}))
    assert "openai:gpt-4o: another model answered than was asked for: gpt-3.5-turbo (3 answers)." in ran(bench)
    rows = json.loads(bench.cli("report", "last", "--format", "json").out)["results"]
    assert {(row["model"], row["served_model"], row["cost_usd"]) for row in rows} == {
        ("openai:gpt-4o", "gpt-3.5-turbo", "0.00012")
    }


def test_a_dated_snapshot_is_no_other_model(bench: Bench, served: LoopbackServer) -> None:
    served.play(Play("2", model="gpt-4o-2024-08-06"))
    assert "another model" not in ran(bench)


@pytest.mark.parametrize(
    ("asked", "served_model", "other"),
    [
        ("gpt-4o", "gpt-4o", False),
        ("gpt-4o", "gpt-4o-2024-08-06", False),
        ("claude-haiku-4-5", "claude-haiku-4-5-20251001", False),
        ("openai/gpt-4o", "gpt-4o-2024-08-06", False),
        ("mistral-large-latest", "mistral-large-2411", False),
        ("gpt-4o", "gpt-4o-mini", True),
        ("gpt-4o", "gpt-4o-mini-2024-07-18", True),
        ("gpt-4o-2024-08-06", "gpt-4o-2024-05-13", True),
        ("gpt-4o", "", True),
    ],
)
def test_which_names_are_another_model(asked: str, served_model: str, other: bool) -> None:
    assert is_other_model(asked, served_model) is other


def test_prices_that_differ_from_genai_prices_stand_in_the_run_s_header(bench: Bench, served: LoopbackServer) -> None:
    printed = bench.cli("run", "sums", "-m", "openai:gpt-4o", "--yes").out
    assert (
        "openai:gpt-4o: the prices of config.json differ from genai-prices' (USD per 1M): input 1 here"
        in printed.partition("Report")[0]
    )
