"""The workspace and the program of tests/evals, what `run` is tried on, and catalogues to sync."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from genai_prices.types import ModelPrice

from llm_tester.cli.main import COMMANDS, Entry, main
from tests.evals.conftest import Bench, bench
from tests.llms.catalogue_data import D, acme, model, per_token

__all__ = ["bench"]

USAGE = {"prompt_tokens": 10, "completion_tokens": 2}
GOOD = ("run", "sums", "-m", "rep:good")
PAID = """
from llm_tester import BaseLLM

class Paid(BaseLLM):
    applies = frozenset({"max_tokens"})

    def _call_llm_api(self, prompt, system_prompt, model_name, model_config):
        return str(int(prompt.split()[0]) + 1), {"input": 10, "output": 1}
"""


def line(text: str) -> dict[str, Any]:
    return {"answer": text, "usage": USAGE}


@pytest.fixture
def ready(bench: Bench) -> Bench:
    """A workspace with a task of three samples and a provider of a good and a poor model."""
    bench.task(parameters={"max_tokens": 5})
    bench.replay(
        "rep",
        {
            "good": {"s1": line("2"), "s2": line("3"), "s3": line("4")},
            "poor": {"s1": line("2"), "s2": line("5"), "s3": line("none")},
            "partly": {"s1": line("2")},
        },
    )
    return bench


# --- for `models` and `prices`

Program = Callable[..., tuple[int, str, str]]
BIG = per_token("2", "8", cache_read_mtok=D("0.5"))


@pytest.fixture
def program(workspace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Program:
    """The program in the workspace, with genai-prices' data made here; returns exit code, output and errors."""
    models = [model("big", BIG), model("small", per_token("0.1", "0.4")), model("voice", ModelPrice(audio_hours=D(3)))]
    monkeypatch.setattr("genai_prices.data.providers", [acme(*models)])
    monkeypatch.setitem(COMMANDS, "models", Entry("models", ""))
    monkeypatch.setitem(COMMANDS, "prices", Entry("prices", ""))
    monkeypatch.chdir(workspace)

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["llm-tester", *arguments])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        printed = capsys.readouterr()
        return ended.value.code if isinstance(ended.value.code, int) else 0, printed.out, printed.err

    return run


@pytest.fixture
def own(add_provider: Callable[..., Path]) -> Path:
    """The config.json of a provider of the workspace's own."""
    models = [{"name": "big", "default": True, "cost_input": 3, "cost_output": 8}, {"name": "x", "cost_input": 1}]
    return add_provider("acme", api="openai", base_url="https://api.acme.example/v1", llm_models=models) / "config.json"
