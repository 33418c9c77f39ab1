"""Rough use of the program: providers that misbehave, a ledger that vanishes, screens that are too small."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from rich.console import Console

from llm_tester.evals.ledger import Ledger
from llm_tester.reporting.report import build_report
from llm_tester.reporting.tables import leaderboard

if TYPE_CHECKING:
    from tests.evals.conftest import Bench

HEAD = "import asyncio\nimport shutil\nfrom pathlib import Path\n\nfrom llm_tester import BaseLLM\n\n\n"


def provider(body: str, *, asynchronous: bool = False) -> str:
    start = "    async def" if asynchronous else "    def"
    return f"{HEAD}class Odd(BaseLLM):\n{start} _call_llm_api(self, prompt, system_prompt, model_name, config):\n{body}"


@pytest.mark.parametrize("raised", ["asyncio.CancelledError", "KeyboardInterrupt", "GeneratorExit"])
def test_what_an_async_provider_raises_fails_its_call_and_no_other(bench: Bench, raised: str) -> None:
    bench.task(samples=30)
    body = f"        if prompt.startswith('7 '):\n            raise {raised}\n        return 'A: 2', {{}}\n"
    bench.provider("odd", provider(body, asynchronous=True), max_connections=2)
    ended = bench.cli("run", "sums", "-m", "odd:m")
    assert ended.code == 3
    outcomes = [row["outcome"] for row in bench.report()["results"]]
    assert (outcomes.count("error"), len(outcomes)) == (1, 30)
    assert "unknown" not in outcomes


@pytest.mark.parametrize("returned", ["None", "7", "b'x'", "('a', {}, 1)"])
def test_a_call_that_came_back_malformed_may_have_cost(bench: Bench, returned: str) -> None:
    bench.task(samples=2, parameters={"max_tokens": 5})
    bench.provider("odd", provider(f"        return {returned}\n"))
    [model] = bench.cli("run", "sums", "-m", "odd:m", "--json").json["models"]
    assert (model["cost_usd"], model["cost_unknown_calls"]) == (None, 2)
    [line] = bench.cli("costs", "--format", "json").json
    assert (line["calls"], line["unknown_calls"], line["spent_usd"]) == (2, 2, "0")


def test_what_a_provider_prints_is_not_in_the_json(bench: Bench) -> None:
    bench.task(samples=2)
    bench.provider("odd", "print('imported')\n" + provider("        print('junk')\n        return 'A: 2', {}\n"))
    ended = bench.process("run", "sums", "-m", "odd:m", "--json")
    assert ended.json["status"] == "complete"
    assert "imported" in ended.err
    assert "junk" in ended.err


def test_a_ledger_that_vanishes_is_no_success(bench: Bench) -> None:
    bench.task(samples=3)
    folder = bench.root / ".llm_tester"
    bench.provider("odd", provider(f"        shutil.rmtree({str(folder)!r})\n        return 'A: 2', {{}}\n"))
    ended = bench.cli("run", "sums", "-m", "odd:m", "--max-connections", "1")
    assert ended.code == 3
    assert "was removed or replaced" in ended.err


def test_an_empty_model_is_one_clear_error(bench: Bench) -> None:
    bench.task()
    assert "a model's name is empty" in bench.cli("run", "sums", "-m", "").error()


@pytest.mark.parametrize("name", ["x" * 101, "a\x1b[31mb", "two\nlines"])
def test_a_run_s_name_is_plain(bench: Bench, name: str) -> None:
    bench.task()
    assert "--name" in bench.cli("run", "sums", "-m", "stub:stub", "--name", name).error()


def test_something_in_the_ledger_s_place_is_named(bench: Bench) -> None:
    (bench.root / ".llm_tester" / "ledger.sqlite3").mkdir(parents=True)
    assert "is not a file" in bench.cli("runs", "list").error()


def test_a_damaged_ledger_is_not_taken_for_a_full_disk(bench: Bench) -> None:
    bench.task()
    assert bench.cli("run", "sums", "-m", "stub:stub").code == 0
    bench.sql("DROP TABLE runs")
    assert "damaged" in bench.cli("runs", "list").error()


def test_output_that_cannot_be_written_is_one_clear_error(bench: Bench) -> None:
    bench.task()
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "llm_tester.cli.main", "tasks", "list"],
            cwd=bench.root,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "No space left" in done.stderr


def test_the_reason_why_nothing_was_scored_is_on_the_screen(bench: Bench) -> None:
    bench.task(samples=2)
    bench.provider("odd", provider("        raise ValueError('no such deployment')\n"))
    ended = bench.cli("run", "sums", "-m", "odd:m")
    assert "2 x odd:m: ProviderError: Odd (provider.py:10): ValueError: no such deployment" in ended.out


def test_equals_are_not_ranked(bench: Bench) -> None:
    bench.task(samples=2)
    ended = bench.cli("run", "sums", "-m", "stub:stub", "-m", "null:null")
    assert "stub:stub and null:null all score 0.000." in " ".join(ended.out.split())


@pytest.mark.parametrize("width", [40, 60, 80, 92, 100])
def test_no_figure_is_cut_on_a_small_screen(bench: Bench, width: int) -> None:
    bench.task(samples=3)
    bench.replay(
        "an_extremely_long_name_of_a_provider_that_goes_on", {"a_long_model": {"s1": "2", "s2": "9", "s3": ""}}
    )
    assert bench.cli("run", "sums", "-m", "an_extremely_long_name_of_a_provider_that_goes_on:a_long_model").code == 0
    with Ledger.existing(bench.root / ".llm_tester" / "ledger.sqlite3") as ledger:
        report = build_report(ledger, ledger.run("last"))
    screen = Console(file=io.StringIO(), width=width, record=True)
    screen.print(leaderboard(report))
    text = screen.export_text()
    assert "…" not in text
    assert "0.333" in text
    assert "3/3" in text
    assert max(map(len, text.splitlines())) <= width
