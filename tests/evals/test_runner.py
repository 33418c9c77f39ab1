"""Runs on drop-in providers: what reaches them, how many calls at once, and which calls are made."""

from __future__ import annotations

import gc
from pathlib import Path
from typing import Any

import pytest

from tests.evals.conftest import Bench
from tests.evals.drop_ins import LOGGING, NO_RETRY, PLAIN, calls

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
    bench.write("config.json", {"run": {"canary": False, "tasks": ["sums"], "entrants": ["drop:m", entrant]}})
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
        "workspace's run": {"run": {"canary": False, "max_connections": 4}},
        "workspace's provider": {"providers": {"drop": {"max_connections": 4}}},
    }
    bench.write("config.json", {**NO_RETRY, **settings[said]})
    assert bench.cli("run", "sums", "-m", "drop:m").code == 0
    assert max(call["most"] for call in calls(bench)) == 4


# --- which calls are made


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
    assert "secret" not in ended.out + bench.cli("report", "last", "--format", "md").out


def test_garbage_is_looked_for_rarely_during_a_run_and_as_before_after_it(bench: Bench) -> None:
    folder = bench.task("sums", 2, scorer={"type": "python:own:score"})
    seen = folder / "seen.txt"
    code = f"import gc\nfrom pathlib import Path\nSEEN = Path({str(seen)!r})\n\n\n"
    code += "def score(answer, target):\n    SEEN.write_text(str(gc.get_threshold()[0]))\n    return True\n"
    (folder / "own.py").write_text(code)
    bench.replay("fake", {"m": {"s1": "1", "s2": "2"}})
    before = gc.get_threshold()
    assert bench.cli("run", "sums", "-m", "fake:m").code == 0
    assert int(seen.read_text()) == max(before[0], 5000)
    assert gc.get_threshold() == before
