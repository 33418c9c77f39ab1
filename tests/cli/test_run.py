"""`run`: what it prints, its exit codes, and the inputs that it refuses."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import subprocess
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from llm_tester.version import __version__

if TYPE_CHECKING:
    from tests.evals.conftest import Bench

USAGE = {"prompt_tokens": 10, "completion_tokens": 2}


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


GOOD = ("run", "sums", "-m", "rep:good")


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
    assert f"Report  {ready.root / 'reports' / run}.md\n" in ended.out
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


PAID = """
from llm_tester import BaseLLM

class Paid(BaseLLM):
    def _call_llm_api(self, prompt, system_prompt, model_name, model_config):
        return str(int(prompt.split()[0]) + 1), {"input": 10, "output": 1}
"""


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
    assert "1 call can cost an amount that no price list bounds. Go on?" in shown
    code, shown = on_a_terminal(dear, "run", "sums", "-m", "paid:m", "--yes")
    assert (code, "Go on?" in shown) == (0, False)


def test_simulated_models_are_never_asked_about(ready: Bench) -> None:
    code, shown = on_a_terminal(ready, *GOOD)
    assert (code, "Go on?" in shown, "Score so far" in shown) == (0, False, True)


# --- what is refused

Spoil = Callable[["Bench"], object]
MODELS = [{"name": "good", "answers": "good.jsonl"}]


def provider_file(text: str) -> Spoil:
    return lambda bench: bench.write("providers/rep/config.json", text)


def provider(**changes: Any) -> Spoil:
    return provider_file(json.dumps({"name": "rep", "api": "replay", "llm_models": MODELS, **changes}))


def workspace_file(text: str) -> Spoil:
    return lambda bench: bench.write("config.json", text)


def workspace_models(*models: dict[str, Any], **more: Any) -> Spoil:
    return workspace_file(json.dumps({"providers": {"rep": {"llm_models": models, **more}}}))


def samples(text: str) -> Spoil:
    return lambda bench: bench.write("tasks/sums/samples.jsonl", text)


def gold_off_schema(bench: Bench) -> None:
    bench.write("tasks/sums/schema.json", {"maximum": 3})
    bench.task(output={"schema": "schema.json"})


def reports_is_a_file(bench: Bench) -> None:
    bench.write("reports", "x")


def ledger_folder_is_a_file(bench: Bench) -> None:
    bench.write(".llm_tester", "x")


REFUSED: list[tuple[str, Spoil, tuple[str, ...], list[str]]] = [
    ("malformed workspace file", workspace_file('{\n"run": {,}\n}'), GOOD, ["/config.json:2: not valid JSON"]),
    ("malformed provider file", provider_file("{\n\n]"), GOOD, ["/rep/config.json:3: not valid JSON"]),
    (
        "unknown key in the workspace file",
        workspace_file('{"rnu": {}, "run": {"seeed": 1}}'),
        GOOD,
        ['rnu: unknown key "rnu". Did you mean run?', 'run.seeed: unknown key "seeed". Did you mean seed?'],
    ),
    (
        "unknown key in the provider file",
        provider(base_ulr="x", llm_models=[{**MODELS[0], "cost_imput": 1}]),
        GOOD,
        ['unknown key "base_ulr". Did you mean base_url?', 'llm_models[0].cost_imput: unknown key "cost_imput".'],
    ),
    (
        "duplicate key in the workspace file",
        workspace_file('{"run": {},\n "run": {}}'),
        GOOD,
        ['/config.json:2: the key "run" stands twice'],
    ),
    (
        "duplicate key in the provider file",
        provider_file('{"name": "rep",\n"api": "replay",\n"name": "rep"}'),
        GOOD,
        ['/rep/config.json:3: the key "name" stands twice'],
    ),
    (
        "duplicate model in the workspace file",
        workspace_models({"name": "m"}, {"name": "m"}),
        GOOD,
        ["providers.rep.llm_models: the model m is listed more than once"],
    ),
    (
        "duplicate model in the provider file",
        provider(llm_models=[*MODELS, *MODELS]),
        GOOD,
        ["llm_models: the model good is listed more than once"],
    ),
    (
        "negative price in the workspace file",
        workspace_models({"name": "good", "cost_input": -1}),
        GOOD,
        ["providers.rep.llm_models[0].cost_input: ", "(found -1)"],
    ),
    (
        "negative price in the provider file",
        provider(llm_models=[{**MODELS[0], "cost_output": -0.5}]),
        GOOD,
        ["llm_models[0].cost_output: ", "(found -0.5)"],
    ),
    ("unknown model", lambda _: None, ("run", "sums", "-m", "rep:godo"), ['rep has no model "godo"', "mean good?"]),
    ("unknown provider", lambda _: None, ("run", "sums", "-m", "rpe:good"), ['no provider "rpe"', "mean rep?"]),
    ("unknown task", lambda _: None, ("run", "smus", "-m", "rep:good"), ['no task "smus"', "mean sums?"]),
    ("no model", lambda _: None, ("run", "sums"), ["no model is named", "-m provider:model"]),
    ("no task", lambda _: None, ("run", "-m", "rep:good"), ["no task is named", "llm-tester tasks list"]),
    ("one task twice", lambda _: None, ("run", "sums", "sums", "-m", "rep:good"), ['the task "sums" is named twice']),
    ("one model twice", lambda _: None, (*GOOD, "-m", "rep:good"), ['two entrants are called "rep:good"']),
    (
        "a gold that breaks its schema",
        gold_off_schema,
        GOOD,
        ['samples.jsonl: sample "s3": the target breaks the output schema: (the whole): 4 is greater than'],
    ),
    ("empty samples file", samples(""), GOOD, ["samples.jsonl: holds no samples"]),
    (
        "a sample without a target",
        samples('{"id": "a", "input": "1 + 1?", "target": 2}\n{"id": "b", "input": "q"}\n'),
        GOOD,
        ["samples.jsonl:2: the sample has no target"],
    ),
    ("reports is a file", reports_is_a_file, GOOD, ["/reports is a file, but reports are written into a folder"]),
    (".llm_tester is a file", ledger_folder_is_a_file, GOOD, ["/.llm_tester is a file, but a folder is needed"]),
]


@pytest.mark.parametrize(
    ("spoil", "arguments", "said"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED]
)
def test_a_bad_input_is_one_clear_error_and_nothing_is_written(
    ready: Bench, spoil: Spoil, arguments: tuple[str, ...], said: list[str]
) -> None:
    spoil(ready)
    before = ready.snapshot()
    ended = ready.cli(*arguments)
    message = ended.error(code=2)
    assert [part for part in said if part not in message] == []
    assert ended.out == ""
    assert ready.snapshot() == before
    as_json = ready.cli(*arguments, "--json")
    assert (as_json.error(code=2), as_json.out) == (message, "")
    assert ready.snapshot() == before


def test_a_bad_input_in_a_process_of_its_own(ready: Bench) -> None:
    """As a shell sees it: one message, the exit code, and not one file more."""
    for arguments in (("run", "sums", "-m", "rep:godo"), ("run", "smus", "-m", "rep:good")):
        before = ready.snapshot()
        ended = ready.process(*arguments)
        assert ended.error(code=2).count("\n") == 2
        assert ended.out == ""
        assert ready.snapshot() == before


def test_a_bad_input_leaves_earlier_runs_as_they_are(ready: Bench) -> None:
    assert ready.cli(*GOOD).code == 0
    before = ready.snapshot()
    ready.cli("run", "sums", "-m", "rep:godo", "--name", "x").error()
    assert ready.snapshot() == before


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ("{", "other/config.json:1: not valid JSON"),
        ('{"name": "other", "api": "replay", "llm_modles": []}', 'unknown key "llm_modles". Did you mean llm_models?'),
        ('{"name": "another", "api": "replay"}', "is not the folder's name"),
    ],
)
def test_a_broken_provider_that_is_not_named_is_told_and_stops_nothing(ready: Bench, config: str, said: str) -> None:
    ready.write("providers/other/config.json", config)
    ended = ready.cli(*GOOD)
    assert (ended.code, ended.err) == (0, "")
    header = ended.out.partition("\n\n")[0]
    assert "broken provider, not used: other: " in header
    assert said in header


def test_a_disabled_provider_is_not_used(ready: Bench) -> None:
    ready.write("config.json", {"providers": {"rep": {"enabled": False}}})
    assert 'the provider "rep" is disabled' in ready.cli(*GOOD).error()


def test_a_missing_key_is_named_before_any_call(ready: Bench) -> None:
    ready.provider("paid", PAID, env_key="PAID_API_KEY")
    said = ready.cli("run", "sums", "-m", "rep:good", "-m", "paid:m").error()
    assert said.startswith("paid needs a key, and PAID_API_KEY is not set")
    assert not (ready.root / ".llm_tester").exists()
    assert ready.process("run", "sums", "-m", "paid:m", PAID_API_KEY="secret-value").code == 0
    assert b"secret-value" not in b"".join(content or b"" for content in ready.snapshot().values())


def test_a_file_that_is_no_ledger_is_told(ready: Bench) -> None:
    ready.write(".llm_tester/ledger.sqlite3", "not a database at all, but some text that is long enough" * 10)
    assert "This file is not one of ours; move it away." in ready.cli(*GOOD).error()
