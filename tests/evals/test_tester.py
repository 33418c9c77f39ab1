"""Runs from Python."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

import pytest

from llm_tester import LLMTester
from llm_tester.config import EntrantConfig
from llm_tester.evals.samples import Outcome
from tests.evals.conftest import Bench
from tests.evals.drop_ins import PLAIN


def test_a_run_in_a_thread_leaves_signals_alone(bench: Bench) -> None:
    bench.task()
    bench.provider("drop", PLAIN)
    tester = LLMTester(workspace=bench.root)
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(tester.run, ["sums"], ["drop:m"]).result().status == "complete"


def test_a_run_from_python(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.task()
    bench.provider("drop", PLAIN)
    hot = EntrantConfig(name="hot", model="drop:m", parameters={"temperature": 1})
    run = LLMTester(["drop"], workspace=bench.root).run(["sums"], ["drop:m", hot], limit=2, name="mine", project="p")
    assert run.status == "complete"
    assert [(found.entrant, found.scored, found.score) for found in run.standings()] == [
        ("drop:m", 2, 1.0),
        ("hot", 2, 1.0),
    ]
    assert {row.outcome for row in run.results()} == {Outcome.CORRECT}
    listed = bench.cli("runs", "list", "--json").json
    assert [(row["run"], row["name"], row["project"]) for row in listed] == [(run.id, "mine", "p")]
    monkeypatch.chdir(bench.root)
    assert LLMTester().workspace.root == bench.root
    assert LLMTester(workspace=LLMTester().workspace).workspace.root == bench.root


def test_a_run_beside_a_running_event_loop_as_in_a_notebook(bench: Bench) -> None:
    bench.task()
    bench.provider("drop", PLAIN)

    async def cell() -> str:
        return LLMTester(workspace=bench.root).run(["sums"], ["drop:m"]).status

    assert asyncio.run(cell()) == "complete"
