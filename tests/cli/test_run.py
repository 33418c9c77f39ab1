"""`run`: what it prints, its options, its exit codes, and when it asks."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import subprocess
import sys

import pytest

from llm_tester.version import __version__
from tests.cli.conftest import GOOD, PAID, line
from tests.evals.conftest import Bench

# --- what is printed


def test_json_is_one_object_of_the_promised_shape(ready: Bench) -> None:
    ended = ready.process("run", "sums", "-m", "rep:poor", "-m", "rep:good", "--json")
    assert ended.code == 0, ended
    found = ended.json
    assert list(found) == ["run", "status", "models"]
    assert re.fullmatch(r"\d{8}-\d{6}-[0-9a-f]{6}", found["run"])
    assert found["status"] == "complete"
    poor, good = found["models"]
    assert good == {
        "entrant": "rep:good",
        "model": "rep:good",
        "task": "sums",
        "samples": 3,
        "planned": 3,
        "score": 1.0,
        "ci95": [pytest.approx(0.4385, abs=1e-4), 1.0],
        "outcomes": {"correct": 3},
        "schema_violations": 0,
        "usage": {"input": 30, "output": 6},
        "cost_usd": "0.000042",
        "cost_unknown_calls": 0,
        "spent_usd": "0",
        "simulated": True,
        "latency_ms": None,
    }
    assert list(poor) == list(good)
    assert (poor["score"], poor["outcomes"]) == (pytest.approx(1 / 3), {"correct": 1, "wrong": 1, "invalid": 1})
    assert "Run " in ended.err
    assert f"{found['run']}: sums; 2 entrants, 6 calls" in ended.err


def test_the_screen_shows_who_is_best_and_what_is_next(ready: Bench) -> None:
    ended = ready.cli(*GOOD, "-m", "rep:poor", "--name", "mine")
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.startswith("Run mine: sums; 2 entrants, 6 calls\n")
    assert "rep:good scores best (1.000, $0.000042); not surely better than rep:poor on 3 shared samples." in ended.out
    run = ready.report()["run"]
    assert f"Report  {ready.root / 'reports' / run}.html\n" in ended.out
    assert "Next    llm-tester show last --wrong   what went wrong\n" in ended.out


def test_one_entrant_and_one_call_are_told_in_the_singular(ready: Bench) -> None:
    assert ": sums; 1 entrant, 1 call\n" in ready.cli(*GOOD, "--limit", "1").out


def test_the_next_commands_lead_into_a_workspace_that_is_elsewhere(ready: Bench) -> None:
    root = ready.root.rename(ready.root.parent / "my place")
    ended = ready.elsewhere(root.parent, *GOOD, "--workspace", "my place")
    assert ended.code == 0, ended
    assert "Next    cd 'my place' && llm-tester show last --wrong" in ended.out


def test_an_entrant_without_prices_is_told(bench: Bench) -> None:
    bench.task(samples=1)
    bench.replay("rep", {"m": {"s1": line("2")}}, llm_models=[{"name": "m", "answers": "m.jsonl"}])
    ended = bench.cli("run", "sums", "-m", "rep:m")
    assert "rep:m has no prices: its cost will be unknown" in ended.out
    assert (ended.code, bench.report()["models"][0]["cost_usd"]) == (0, None)


def test_live_rows_are_drawn_on_a_terminal(ready: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    ended = ready.cli(*GOOD)
    assert ended.code == 0
    assert "Score so far" in ended.out


# --- options


def test_limit_takes_the_beginning_of_the_order(ready: Bench) -> None:
    whole = [row["sample_id"] for row in (ready.cli(*GOOD), ready.report()["results"])[1]]
    assert ready.cli(*GOOD, "--limit", "2").code == 0
    assert [row["sample_id"] for row in ready.report()["results"]] == whole[:2]


def test_the_workspace_says_what_the_command_line_does_not(ready: Bench) -> None:
    ready.write("config.json", {"run": {"tasks": ["sums"], "entrants": ["rep:good"], "seed": 3}})
    assert ready.cli("run").code == 0
    assert [model["model"] for model in ready.report()["models"]] == ["rep:good"]
    assert ready.cli("run", "-m", "rep:poor").code == 0
    assert [model["model"] for model in ready.report()["models"]] == ["rep:poor"]


def test_a_name_refers_to_the_run_and_is_given_once(ready: Bench) -> None:
    assert ready.cli(*GOOD, "--name", "mine").code == 0
    before = ready.snapshot()
    assert ready.cli(*GOOD, "--name", "mine").error().startswith('there is a run named "mine" already\n')
    run = ready.report("mine")["run"]
    assert "already" in ready.cli(*GOOD, "--name", run).error()
    assert ready.snapshot() == before


@pytest.mark.parametrize("name", ["", "last"])
def test_a_name_that_means_something_else_is_refused(ready: Bench, name: str) -> None:
    assert ready.cli(*GOOD, "--name", name).error().startswith(f'a run cannot be named "{name}"')
    assert not (ready.root / ".llm_tester").exists()


@pytest.mark.parametrize(("threshold", "code"), [("0.33", 0), ("0.34", 1), ("0", 0), ("1", 1)])
def test_fail_under_ends_with_1_and_names_who_is_below(ready: Bench, threshold: str, code: int) -> None:
    ended = ready.cli(*GOOD, "-m", "rep:poor", "--fail-under", threshold)
    assert ended.code == code
    assert ended.err == (f"Below --fail-under {threshold}: rep:poor on sums (0.333)\n" if code else "")


def test_answers_that_did_not_come_end_with_3(ready: Bench) -> None:
    ended = ready.cli("run", "sums", "-m", "rep:partly", "-m", "rep:good", "--json")
    assert (ended.code, ended.json["status"]) == (3, "incomplete")
    assert ended.json["models"][0]["outcomes"] == {"correct": 1, "error": 2}
    assert ready.cli("run", "sums", "-m", "rep:partly", "--fail-under", "0.5").code == 3


def test_a_model_may_be_named_with_a_slash(ready: Bench) -> None:
    assert ready.cli("run", "sums", "-m", "rep/good", "--json").json["models"][0]["entrant"] == "rep:good"


def test_a_task_may_be_named_by_its_folder(ready: Bench) -> None:
    assert ready.cli("run", str(ready.root / "tasks" / "sums"), "-m", "rep:good").code == 0


def test_the_plan_is_kept_with_what_it_ran_under(ready: Bench) -> None:
    ready.cli(*GOOD, "--limit", "2", "--max-connections", "3")
    ((settings,),) = ready.sql("SELECT settings FROM runs")
    kept = json.loads(settings)
    assert (kept["limit"], kept["max_connections"], kept["version"]) == (2, 3, __version__)


# --- asking, on a terminal


def on_a_terminal(bench: Bench, *arguments: str, typed: str = "") -> tuple[int, str]:
    """The program on a terminal of its own: exit code and what it showed."""
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "100", "LINES": "40"}
    with subprocess.Popen(
        [sys.executable, "-m", "llm_tester.cli.main", *arguments],
        cwd=bench.root,
        env=environment,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    ) as program:
        os.close(theirs)
        os.write(ours, typed.encode())
        shown = b""
        while select.select([ours], [], [], 30)[0]:
            try:
                shown += os.read(ours, 65536)
            except OSError:  # the other end is closed
                break
        os.close(ours)
    return program.returncode, shown.decode()


@pytest.fixture
def dear(bench: Bench) -> Bench:
    """A model that can cost real money, and much of it."""
    bench.provider("paid", PAID, llm_models=[{"name": "m", "cost_input": 1000, "cost_output": 500_000}])
    bench.task(samples=1, parameters={"max_tokens": 2})
    return bench


def test_above_a_dollar_a_person_is_asked(dear: Bench) -> None:
    code, shown = on_a_terminal(dear, "run", "sums", "-m", "paid:m", typed="n\n")
    # (6 bytes + 64) x 1000 + 2 x 500,000 millionths of a dollar
    assert "1 call can cost up to $1.07. Go on? [y/N]" in shown
    assert code == 1
    assert not (dear.root / ".llm_tester").exists()
    code, shown = on_a_terminal(dear, "run", "sums", "-m", "paid:m", typed="y\n")
    assert (code, "paid:m scores 1.000" in shown) == (0, True)
    assert dear.report()["models"][0]["spent_usd"] == "0.51"


def test_what_no_price_bounds_is_asked_and_yes_answers(dear: Bench) -> None:
    dear.task(samples=1)
    code, shown = on_a_terminal(dear, "run", "sums", "-m", "paid:m", typed="n\n")
    assert (
        "1 call can cost an amount that nothing bounds, as no max_tokens is set or a price is missing. Go on?" in shown
    )
    code, shown = on_a_terminal(dear, "run", "sums", "-m", "paid:m", "--yes")
    assert (code, "Go on?" in shown) == (0, False)


def test_simulated_models_are_never_asked_about(ready: Bench) -> None:
    code, shown = on_a_terminal(ready, *GOOD)
    assert (code, "Go on?" in shown, "Score so far" in shown) == (0, False, True)
