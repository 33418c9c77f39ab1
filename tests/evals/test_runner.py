"""Runs on drop-in providers: what reaches them, in which order, how many at once, and what their failures lead to."""

from __future__ import annotations

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from llm_tester import LLMTester
from llm_tester.config import EntrantConfig
from llm_tester.evals.samples import Outcome

if TYPE_CHECKING:
    from tests.evals.conftest import Bench

LOGGING = """
import json
import sqlite3
import threading
from pathlib import Path

from llm_tester import BaseLLM

HERE = Path(__file__).parent
LOCK = threading.Lock()

def log(**line):
    with LOCK, (HERE / "calls.jsonl").open("a") as file:
        file.write(json.dumps(line) + "\\n")

def right(prompt):
    return str(int(prompt.split()[0]) + 1), {"input": 10, "output": 1}
"""
NO_RETRY = {"retry": {"max_retries": 0}}


def calls(bench: Bench, provider: str = "drop") -> list[dict[str, Any]]:
    """What the provider wrote down of its calls."""
    file = bench.root / "providers" / provider / "calls.jsonl"
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


# --- what reaches the provider

ECHO = (
    LOGGING
    + """
class Echo(BaseLLM):
    applies = frozenset({"temperature"})

    def _call_llm_api(self, prompt, system_prompt, model_name, model_config):
        log(prompt=prompt, system=system_prompt, model=model_name, name=model_config.name,
            parameters=dict(model_config.parameters), schema=model_config.output_schema, tags=dict(model_config.tags),
            roles=[message.role for message in model_config.messages])
        return right(prompt)
"""
)


@pytest.mark.parametrize("signature", ["def", "async def"])
def test_all_that_a_task_and_an_entrant_say_reaches_the_provider(bench: Bench, signature: str) -> None:
    schema = {"type": "number"}
    bench.write("tasks/sums/schema.json", schema)
    bench.task(
        samples=1,
        system_prompt="Be brief.",
        prompts={"b": "{{ input }} (b)"},
        output={"schema": "schema.json"},
        parameters={"temperature": 0, "top_p": 0.5},
    )
    bench.provider("drop", ECHO.replace("def _call", f"{signature} _call"), models=["m", "n"])
    entrant = {"name": "hot", "model": "drop:n", "parameters": {"temperature": 1}, "prompt": "b"}
    bench.write("config.json", {"run": {"tasks": ["sums"], "entrants": ["drop:m", entrant]}})
    assert bench.cli("run").code == 0
    first, second = sorted(calls(bench), key=lambda call: str(call["model"]))
    assert first == {
        "prompt": "1 + 1?",
        "system": "Be brief.",
        "model": "m",
        "name": "m",
        "parameters": {"temperature": 0, "top_p": 0.5},
        "schema": schema,
        "tags": {"task": "sums", "sample_id": "s1", "epoch": 1, "attempt": 1},
        "roles": ["system", "user"],
    }
    assert (second["prompt"], second["parameters"]) == ("1 + 1? (b)", {"temperature": 1, "top_p": 0.5})
    assert bench.sql("SELECT DISTINCT not_applied FROM answers") == [('["top_p"]',)]
    shown = bench.cli("show", "last", "s1").out
    assert 'Prompt\nBe brief.\n\n1 + 1?\n\nPrompt "b"\nBe brief.\n\n1 + 1? (b)\n' in shown


# --- claims, answers, scores

CLAIM = """SELECT c.state, c.ended_at, c.at_most FROM calls c JOIN plan p USING (run, position)
WHERE p.sample_id = ? AND c.purpose = 'sample'"""
CLAIMS = (
    LOGGING
    + f'CLAIM = """{CLAIM}"""\n'
    + """

class Looking(BaseLLM):
    def _call_llm_api(self, prompt, system_prompt, model_name, model_config):
        file = HERE.parent.parent / ".llm_tester" / "ledger.sqlite3"
        ledger = sqlite3.connect(f"file:{file}?mode=ro", uri=True)
        try:
            log(found=ledger.execute(CLAIM, (model_config.tags["sample_id"],)).fetchall())
        finally:
            ledger.close()
        return right(prompt)
"""
)


def test_a_claim_is_durable_before_its_call_is_made(bench: Bench) -> None:
    bench.task(samples=10, parameters={"max_tokens": 5})
    bench.provider("drop", CLAIMS)
    assert bench.cli("run", "sums", "-m", "drop:m").code == 0
    # At most: (6 or 7 bytes + 64 of framing) x 1 + 5 x 2 millionths of a dollar.
    claims = sorted(line["found"] for line in calls(bench))
    assert claims == [[["claimed", None, 80_000_000]]] * 9 + [[["claimed", None, 81_000_000]]]
    assert bench.sql("SELECT DISTINCT state FROM calls") == [("answered",)]


PLAIN = (
    LOGGING
    + """
class Plain(BaseLLM):
    def _call_llm_api(self, prompt, system_prompt, model_name, model_config):
        log(sample=model_config.tags["sample_id"], model=model_name)
        return right(prompt)
"""
)


def prepared(bench: Bench, samples: int = 20) -> None:
    """A workspace whose ledger exists already, so that a trigger can be put into it."""
    bench.task("other", 1)
    bench.replay("rep", {"m": {"s1": "2"}})
    bench.cli("run", "other", "-m", "rep:m")
    bench.task(samples=samples)
    bench.provider("drop", PLAIN, max_connections=3)


def test_an_answer_is_written_before_its_score(bench: Bench) -> None:
    prepared(bench)
    bench.sql(
        "CREATE TRIGGER early BEFORE INSERT ON scores WHEN NOT EXISTS (SELECT 1 FROM answers JOIN calls USING (call)"
        " WHERE call = new.call AND state = 'answered') BEGIN SELECT RAISE(ABORT, 'scored too early'); END"
    )
    assert bench.cli("run", "sums", "-m", "drop:m").code == 0
    assert bench.sql("SELECT count(*) FROM scores") == [(21,)]


def test_a_ledger_that_refuses_an_answer_stops_the_run_and_it_can_go_on(bench: Bench) -> None:
    prepared(bench)
    bench.sql(
        "CREATE TRIGGER full BEFORE INSERT ON answers WHEN (SELECT count(*) FROM answers) >= 8"
        " BEGIN SELECT RAISE(ABORT, 'no room for this'); END"
    )
    ended = bench.process("run", "sums", "-m", "drop:m", "--name", "stuck")
    assert "no room for this" in ended.error(code=3)
    assert ended.err.count("\n") == 3
    run = bench.cli("runs", "list", "--json").json[0]
    assert (run["name"], run["status"]) == ("stuck", "stopped")
    assert f"The run can go on: llm-tester resume {run['run']}" in ended.err
    stored = {
        sample
        for (sample,) in bench.sql(
            "SELECT sample_id FROM plan JOIN calls USING (run, position) WHERE state = 'answered' AND run = 2"
        )
    }
    assert len(stored) == 7
    before = len(calls(bench))
    assert "no room for this" in bench.cli("resume", "stuck").error(code=3)
    bench.sql("DROP TRIGGER full")
    ended = bench.cli("resume", "stuck")
    assert ended.code == 0, ended
    assert "of unknown fate, sent again:" in ended.out
    (model,) = bench.report("stuck")["models"]
    assert (model["samples"], model["score"]) == (20, 1.0)
    assert stored.isdisjoint(call["sample"] for call in calls(bench)[before:])


def test_a_ledger_that_refuses_scores_loses_no_answer(bench: Bench) -> None:
    prepared(bench)
    bench.sql("CREATE TRIGGER full BEFORE INSERT ON scores BEGIN SELECT RAISE(ABORT, 'no room for this'); END")
    ended = bench.process("run", "sums", "-m", "drop:m")
    assert "no room for this" in ended.error(code=3)
    assert len(calls(bench)) == 20
    assert bench.report()["models"][0]["outcomes"] == {"not_run": 20}
    bench.sql("DROP TRIGGER full")
    assert bench.cli("resume").code == 0
    assert bench.report()["models"][0]["score"] == 1.0
    assert len(calls(bench)) == 20


def test_a_ledger_that_refuses_claims_lets_no_call_out(bench: Bench) -> None:
    prepared(bench)
    bench.sql("CREATE TRIGGER full BEFORE INSERT ON calls BEGIN SELECT RAISE(ABORT, 'no room for this'); END")
    ended = bench.process("run", "sums", "-m", "drop:m")
    assert "no room for this" in ended.error(code=3)
    assert ended.err.count("\n") == 3
    assert calls(bench) == []


def test_a_finished_run_that_is_resumed_asks_nothing_again(bench: Bench) -> None:
    prepared(bench, 5)
    assert bench.cli("run", "sums", "-m", "drop:m").code == 0
    before = bench.report()
    assert bench.cli("resume").code == 0
    assert len(calls(bench)) == 5
    assert bench.report() == before


def test_a_resumed_run_keeps_the_prices_that_it_froze(bench: Bench) -> None:
    prepared(bench, 4)
    bench.sql("CREATE TRIGGER full BEFORE INSERT ON answers BEGIN SELECT RAISE(ABORT, 'no room'); END")
    assert bench.cli("run", "sums", "-m", "drop:m").code == 3
    bench.sql("DROP TRIGGER full")
    config = json.loads((bench.root / "providers/drop/config.json").read_text())
    config["llm_models"][0] |= {"cost_input": 100, "cost_output": 200}
    bench.write("providers/drop/config.json", config)
    assert bench.cli("resume").code == 0
    # 4 x (10 x 1 + 1 x 2) millionths, as when the run began.
    assert [row["cost_usd"] for row in bench.report()["results"]] == ["0.000012"] * 4


# --- how many at once

GATE = (
    LOGGING
    + """
STATE = {"now": 0, "most": 0}
GATE = threading.Barrier(SIZE)

class Gate(BaseLLM):
    '''Every call waits until SIZE calls are in flight: fewer would break the barrier, more are counted.'''

    def _call_llm_api(self, prompt, system_prompt, model_name, model_config):
        with LOCK:
            STATE["now"] += 1
            STATE["most"] = max(STATE["most"], STATE["now"])
        GATE.wait(10)
        with LOCK:
            STATE["now"] -= 1
        log(most=STATE["most"])
        return right(prompt)
"""
)
ASYNC_GATE = (
    LOGGING
    + """
import asyncio

STATE = {"now": 0, "most": 0}
GATE = asyncio.Barrier(SIZE)

class Gate(BaseLLM):
    async def _call_llm_api(self, prompt, system_prompt, model_name, model_config):
        STATE["now"] += 1
        STATE["most"] = max(STATE["most"], STATE["now"])
        await asyncio.wait_for(GATE.wait(), 10)
        STATE["now"] -= 1
        log(most=STATE["most"])
        return right(prompt)
"""
)


@pytest.mark.parametrize("code", [GATE, ASYNC_GATE], ids=["sync", "async"])
@pytest.mark.parametrize("models", [["m"], ["m", "n"]], ids=["one entrant", "two that share the limit"])
def test_as_many_calls_as_allowed_are_in_flight_and_never_more(bench: Bench, code: str, models: list[str]) -> None:
    bench.task(samples=12)
    bench.write("config.json", NO_RETRY)
    bench.provider("drop", code.replace("SIZE", "3"), models=models, max_connections=8)
    named = [part for model in models for part in ("-m", f"drop:{model}")]
    ended = bench.cli("run", "sums", *named, "--max-connections", "3", "--json")
    assert ended.code == 0, ended
    assert len(calls(bench)) == 12 * len(models)
    assert max(call["most"] for call in calls(bench)) == 3
    assert {model["score"] for model in ended.json["models"]} == {1.0}


@pytest.mark.parametrize("said", ["provider", "workspace's run", "workspace's provider"])
def test_the_limit_may_stand_in_the_configuration(bench: Bench, said: str) -> None:
    bench.task(samples=8)
    bench.provider("drop", GATE.replace("SIZE", "4"), max_connections=4 if said == "provider" else 2)
    settings: dict[str, dict[str, Any]] = {
        "provider": {},
        "workspace's run": {"run": {"max_connections": 4}},
        "workspace's provider": {"providers": {"drop": {"max_connections": 4}}},
    }
    bench.write("config.json", {**NO_RETRY, **settings[said]})
    assert bench.cli("run", "sums", "-m", "drop:m").code == 0
    assert max(call["most"] for call in calls(bench)) == 4


# --- failures

FAILING = (
    LOGGING
    + """
from llm_tester import OverloadedError, AuthenticationError

class Odd(BaseLLM):
    def _call_llm_api(self, prompt, system_prompt, model_name, model_config):
        sample, attempt = model_config.tags["sample_id"], model_config.tags["attempt"]
        log(sample=sample, attempt=attempt)
        if sample == "s1":
            return 1 / 0
        if sample == "s2":
            return "no usage"
        if sample == "s3":
            return "4", {"promt_tokens": 1}
        if sample == "s4" and attempt < 3:
            raise OverloadedError("busy", status=503)
        if sample == "s5":
            raise AuthenticationError("key \\ud83d refused", status=401)
        return right(prompt)
"""
)


@pytest.mark.parametrize("signature", ["def", "async def"])
def test_a_provider_s_failures_are_outcomes_and_the_run_goes_on(bench: Bench, signature: str) -> None:
    bench.task(samples=6)
    bench.write("config.json", {"retry": {"max_retries": 2, "initial_delay": 0}})
    bench.provider("drop", FAILING.replace("def _call", f"{signature} _call"))
    ended = bench.cli("run", "sums", "-m", "drop:m", "--json")
    assert ended.code == 3
    assert (ended.json["status"], ended.json["models"][0]["outcomes"]) == ("incomplete", {"correct": 2, "error": 4})
    rows = {sample: row for (sample, _), row in bench.results().items()}
    assert {sample: row.get("error") for sample, row in rows.items()} == {
        "s1": "ProviderError: Odd: ZeroDivisionError: division by zero",
        "s2": "BadResponseError: Odd._call_llm_api returned str, not (text, usage)",
        "s3": 'BadResponseError: the usage has an unknown key "promt_tokens"',
        "s4": None,
        "s5": "AuthenticationError: key ? refused",
        "s6": None,
    }
    assert {sample: row["attempts"] for sample, row in rows.items()} == {
        "s1": 1, "s2": 1, "s3": 1, "s4": 3, "s5": 1, "s6": 1,
    }  # fmt: skip
    shown = bench.cli("show", "last").out
    assert "1 x drop:m: ProviderError: Odd: ZeroDivisionError: division by zero" in shown
    assert "4 calls brought no answer and are left out of the scores" in shown
    tried = bench.sql(
        "SELECT number, a.status, a.error FROM attempts a JOIN calls USING (call) JOIN plan USING (run, position)"
        " WHERE sample_id = 's4' ORDER BY number"
    )
    assert tried == [
        (1, 503, "OverloadedError"),
        (2, 503, "OverloadedError"),
        (3, None, None),
    ]


def test_errors_are_not_asked_again_when_the_run_is_resumed(bench: Bench) -> None:
    bench.task(samples=6)
    bench.write("config.json", {"retry": {"max_retries": 2, "initial_delay": 0}})
    bench.provider("drop", FAILING)
    assert bench.cli("run", "sums", "-m", "drop:m").code == 3
    before = len(calls(bench))
    assert bench.cli("resume").code == 3
    assert len(calls(bench)) == before


SLOW = (
    LOGGING
    + """
class Slow(BaseLLM):
    def _call_llm_api(self, prompt, system_prompt, model_name, model_config):
        if model_config.tags["sample_id"] == "s1":
            threading.Event().wait(1)
        return right(prompt)
"""
)


def test_a_call_that_takes_too_long_is_an_error_of_unknown_cost(bench: Bench) -> None:
    bench.task(samples=3)
    bench.write("config.json", NO_RETRY)
    bench.provider("drop", SLOW, timeout=0.05)
    ended = bench.cli("run", "sums", "-m", "drop:m", "--json")
    assert ended.code == 3
    (model,) = ended.json["models"]
    assert (model["outcomes"], model["cost_unknown_calls"]) == ({"correct": 2, "error": 1}, 1)
    assert model["cost_usd"] == model["spent_usd"] == "0.000024"
    row = bench.results()["s1", "drop:m"]
    assert row["error"] == "ProviderTimeoutError: no answer within 0.05 s"
    assert row["latency_ms"] >= 50
    assert "The cost of 1 call is unknown; sums hold what is known." in bench.cli("show", "last").out


# --- from Python


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


def test_a_task_or_its_samples_that_changed_are_not_resumed(bench: Bench) -> None:
    prepared(bench, 4)
    bench.sql("CREATE TRIGGER full BEFORE INSERT ON answers BEGIN SELECT RAISE(ABORT, 'no room'); END")
    assert bench.cli("run", "sums", "-m", "drop:m").code == 3
    bench.sql("DROP TRIGGER full")
    hint = "Start a new run, or bring the files back to what they were."
    bench.task(samples=5)
    said = bench.cli("resume").error()
    assert said.startswith('the samples of the task "sums" changed since the run ')
    assert hint in said
    bench.task(samples=4, prompt="Q: {{ input }}")
    assert bench.cli("resume").error().startswith('the prompt, schema or scorer of the task "sums" changed')
    bench.write("tasks/sums/samples.jsonl", "broken")
    assert "cannot go on: " in bench.cli("resume").error()
    (bench.root / "tasks/sums").rename(bench.root / "tasks/gone")
    assert bench.cli("resume").error().startswith('the task "sums" is no longer at ')
    assert len(calls(bench)) > 0
    before = len(calls(bench))
    bench.task(samples=4)
    assert bench.cli("resume").code == 0
    assert bench.report()["models"][0]["score"] == 1.0
    assert len(calls(bench)) == before + 4


def test_two_tasks_of_one_content_are_both_asked(bench: Bench) -> None:
    bench.task("sums")
    bench.task("more")
    bench.provider("drop", PLAIN)
    assert bench.cli("run", "sums", "more", "-m", "drop:m").code == 0
    assert [model["score"] for model in bench.report()["models"]] == [1.0, 1.0]


def test_two_samples_of_one_content_are_both_asked(bench: Bench) -> None:
    bench.task(samples=[{"id": f"s{n}", "input": "1 + 1?", "target": 2} for n in range(3)])
    bench.provider("drop", PLAIN)
    assert bench.cli("run", "sums", "-m", "drop:m").code == 0
    assert sorted(call["sample"] for call in calls(bench)) == ["s0", "s1", "s2"]


def test_call_ids_differ_by_run_sample_and_entrant(bench: Bench) -> None:
    bench.task()
    bench.provider("drop", PLAIN, models=["m", "n"])
    for _ in range(2):
        assert bench.cli("run", "sums", "-m", "drop:m", "-m", "drop:n").code == 0
    ids = [call_id for (call_id,) in bench.sql("SELECT call_id FROM calls")]
    assert len(set(ids)) == len(ids) == 12


def test_a_host_is_named_in_the_header_without_its_credentials(bench: Bench, tmp_path: Path) -> None:
    bench.task(samples=1)
    bench.provider("drop", PLAIN, base_url="http://user:secret@localhost:9/v1")
    ended = bench.cli("run", "sums", "-m", "drop:m")
    assert "drop:m talks to localhost:9\n" in ended.out
    assert "secret" not in ended.out + bench.cli("report", "last").out
