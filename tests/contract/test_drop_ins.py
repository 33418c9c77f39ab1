"""The four kinds of drop-in in one run: listed, checked, priced, tried again and held to deadlines alike."""

from __future__ import annotations

import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from llm_tester.testing import LoopbackServer, Play, Received
from tests.evals.conftest import Bench, bench
from tests.llms.packages import forget, install

__all__ = ["bench"]

DEADLINE = 0.3
KINDS = {
    "folder": "workspace",
    "inside": "workspace",
    "outside": "external_providers.json",
    "package": "installed: drop-ins-llm 1.2",
}
COSTS = {"cost_input": 3, "cost_output": 15}
CATALOGUE: dict[str, Any] = {"timeout": DEADLINE, "llm_models": [{"name": "m", **COSTS}]}
HEAD = """
import asyncio
import time

from llm_tester import BaseLLM, error_for_status

FAILED = []

class Refused(Exception):
    status_code = 429

def answer(prompt):
    first = int(prompt.split()[0])
    return str(first + 1), {"input": 100 * first, "output": 7}
"""
SYNC = (
    HEAD
    + """
class Mine(BaseLLM):
    def _call_llm_api(self, prompt, system_prompt, model_name, model_config):
        if prompt.startswith("2") and not FAILED:
            FAILED.append(prompt)
            raise FAILURE
        if prompt.startswith("3"):
            time.sleep(1)
        return answer(prompt)
"""
)
ASYNC = SYNC.replace("def _call", "async def _call").replace("time.sleep", "await asyncio.sleep")

BUSY, LIMITED = "error_for_status(503, 'busy')", "Refused('slow down')"


def plays() -> Any:
    failed: list[str] = []

    def play(received: Received) -> Play:
        prompt = received.body["messages"][-1]["content"]
        first = int(prompt.split()[0])
        if first == 2 and not failed:
            failed.append(prompt)
            return Play(status=503)
        if first == 3:
            return Play(fault="hang")
        return Play(str(first + 1), usage={"input": 100 * first, "output": 7})

    return play


@pytest.fixture
def four(bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A workspace with one drop-in of each kind, and a server for the one that has no code."""
    site = tmp_path / "site"
    site.mkdir()
    monkeypatch.setattr("sys.path", [str(site), *sys.path])
    bench.task(parameters={"max_tokens": 5})
    bench.write("config.json", {"run": {"canary": False}, "retry": {"max_retries": 1, "initial_delay": 0}})
    bench.provider("inside", SYNC.replace("FAILURE", BUSY), **CATALOGUE)
    bench.write("outside_llm.py", ASYNC.replace("FAILURE", LIMITED))
    bench.write("outside.json", {"name": "outside", **CATALOGUE})
    entry = {"module": "outside_llm", "class": "Mine", "config_path": "outside.json"}
    bench.write("external_providers.json", {"outside": entry})
    code = {"config.json": {"name": "package", **CATALOGUE}, "llm.py": SYNC.replace("FAILURE", LIMITED)}
    install(site, "drop_ins_llm", {"package": "drop_ins_llm.llm:Mine"}, code)
    with LoopbackServer(plays()) as server:
        listed = {"name": "folder", "api": "openai", "base_url": server.url, **CATALOGUE}
        bench.write("providers/folder/config.json", listed)
        yield bench
    forget("drop_ins_llm", "outside_llm")


def test_they_are_listed_and_pass_their_check(four: Bench) -> None:
    rows = {row["name"]: row for row in four.cli("providers", "list", "--json").json}
    assert {name: rows[name]["source"] for name in KINDS} == KINDS
    assert {rows[name]["state"] for name in KINDS} == {"ok"}
    (folder,) = four.cli("providers", "check", "folder", "--json").json
    assert folder["passed"], folder


def test_a_run_treats_them_alike(four: Bench) -> None:
    models = [argument for name in KINDS for argument in ("-m", f"{name}:m")]
    ended = four.cli("run", "sums", *models, "--yes")
    assert ended.code in (0, 3), ended
    rows = four.results()
    for name in KINDS:
        answered = [rows[f"s{n}", f"{name}:m"] for n in (1, 2)]
        assert [row["outcome"] for row in answered] == ["correct", "correct"], name
        assert [Decimal(row["cost_usd"]) for row in answered] == [Decimal("0.000405"), Decimal("0.000705")]
        late = rows["s3", f"{name}:m"]
        assert late["outcome"] == "error"
        whole = "whole " * (name == "folder")
        assert late["error"].startswith(f"ProviderTimeoutError: no {whole}answer within {DEADLINE} s")
    tried = "SELECT e.provider, count(*) FROM attempts JOIN calls USING (call) JOIN entrants e USING (entrant)"
    counts = four.sql(f"{tried} GROUP BY call ORDER BY 1, 2")
    assert counts == [(name, count) for name in sorted(KINDS) for count in (1, 2, 2)]


@pytest.mark.parametrize("name", KINDS)
def test_they_can_be_asked(four: Bench, name: str) -> None:
    found = four.cli("ask", "1 + 1?", "-m", f"{name}:m", "--json").json
    assert (found["text"], found["cost_usd"]) == ("2", "0.000405")
