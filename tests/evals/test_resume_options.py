"""`resume --retry-errors` and `--keep-unknown`: what is done with calls that failed, and with those of unknown fate."""

from __future__ import annotations

import pytest

from llm_tester.testing import LoopbackServer, Play
from tests.evals.conftest import Bench
from tests.evals.drop_ins import LOGGING, calls

# Fails for s2 as long as there is a file named "down".
MOODY = LOGGING + (
    "from llm_tester import BadRequestError\n"
    "class Moody(BaseLLM):\n"
    "    def _call_llm_api(self, prompt, system_prompt, model_name, config):\n"
    "        log(sample=config.tags['sample_id'])\n"
    "        if config.tags['sample_id'] == 's2' and (HERE / 'down').exists():\n"
    "            raise BadRequestError('not today')\n"
    "        return right(prompt)\n"
)


@pytest.fixture
def failed(bench: Bench) -> Bench:
    """A run of three samples, of which one ended in an error."""
    bench.task(samples=3)
    folder = bench.provider("drop", MOODY)
    (folder / "down").touch()
    assert bench.cli("run", "sums", "-m", "drop:m").code == 3
    (folder / "down").unlink()
    return bench


def outcomes(bench: Bench) -> dict[str, str]:
    return {row["sample_id"]: row["outcome"] for row in bench.report()["results"]}


def test_errors_stay_as_they_are_unless_they_are_to_be_tried_again(failed: Bench) -> None:
    assert failed.cli("resume", "last").code == 3
    assert outcomes(failed) == {"s1": "correct", "s2": "error", "s3": "correct"}
    assert len(calls(failed)) == 3
    ended = failed.cli("resume", "last", "--retry-errors", "--json")
    assert (ended.code, ended.json["status"]) == (0, "complete")
    assert outcomes(failed) == {"s1": "correct", "s2": "correct", "s3": "correct"}
    assert [line["sample"] for line in calls(failed)][3:] == ["s2"]
    assert "asked samples again that had ended in an error" in failed.cli("report", "last", "--format", "md").out


def test_the_failed_call_stays_in_the_ledger(failed: Bench) -> None:
    assert failed.cli("resume", "last", "--retry-errors").code == 0
    states = (
        "SELECT attempt_group, c.state FROM calls c JOIN plan USING (run, position) WHERE sample_id = 's2' ORDER BY 1"
    )
    assert failed.sql(states) == [(1, "failed"), (2, "answered")]


def test_what_a_failed_call_can_have_cost_stays_unknown_once_another_one_is_answered(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-canary-0815")
    bench.task(samples=2, parameters={"max_tokens": 10})
    with LoopbackServer(Play(fault="cut_stream")) as server:
        there = {
            "base_url": f"{server.url}/v1",
            "llm_models": [{"name": "m", "cost_input": 1, "cost_output": 1}],
            "max_connections": 1,
        }
        retry = {"max_retries": 0}
        bench.write("config.json", {"run": {"canary": False}, "providers": {"openai": there}, "retry": retry})
        assert bench.cli("run", "sums", "-m", "openai:m").code == 3
        server.play(Play("2", usage={"input": 10, "output": 5}))
        assert bench.cli("resume", "last", "--retry-errors").code == 0
    (model,) = bench.report()["models"]
    assert model["cost_unknown_calls"] == 2
    assert "The cost of 2 calls is unknown" in bench.cli("show", "last").out
    (row,) = bench.cli("costs", "--format", "json").json
    assert row["unknown_calls"] == 2


@pytest.fixture
def lost(bench: Bench) -> Bench:
    """A run that was killed while it waited for the answer to one call."""
    bench.task(samples=3)
    bench.provider("drop", MOODY)
    assert bench.cli("run", "sums", "-m", "drop:m").code == 0
    bench.sql("DELETE FROM scores WHERE call = 2")
    bench.sql("DELETE FROM answers WHERE call = 2")
    bench.sql("DELETE FROM costs WHERE call = 2")
    bench.sql("UPDATE calls SET state = 'claimed' WHERE call = 2")
    bench.sql("UPDATE runs SET status = 'running', owner = 'elsewhere/1/5', lease_until = 5")
    return bench


def test_what_an_incomplete_run_lacks_is_offered(failed: Bench) -> None:
    told = failed.cli("resume", "last").out
    run = failed.cli("runs", "list", "--json").json[0]["run"]
    assert f"Next    llm-tester resume {run} --retry-errors   asks again what ended in an error\n" in told
    assert "--retry-errors" not in failed.cli("resume", "last", "--retry-errors").out


def test_calls_of_unknown_fate_are_sent_again_or_kept(lost: Bench) -> None:
    ended = lost.cli("resume", "last", "--keep-unknown")
    assert ended.code == 3, ended
    assert "sent again" not in ended.out
    assert len(calls(lost)) == 3
    assert sorted(outcomes(lost).values()) == ["correct", "correct", "unknown"]
    assert lost.cli("runs", "list", "--json").json[0]["status"] == "incomplete"
    assert "left calls of unknown fate as they were" in lost.cli("report", "last", "--format", "md").out
    assert lost.cli("resume", "last").code == 0
    assert len(calls(lost)) == 4
    assert set(outcomes(lost).values()) == {"correct"}
