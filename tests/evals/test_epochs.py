"""Samples asked several times: epochs in calls, rows, scores and intervals."""

from __future__ import annotations

from typing import Any

import pytest

from llm_tester import LLMTester
from llm_tester.evals.stats import clustered, interval
from tests.evals.conftest import Bench
from tests.evals.drop_ins import LOGGING, calls

# Right in the second epoch only, but for s1, which is always right, and s4, which never is.
FICKLE = """
from llm_tester import BaseLLM

class Fickle(BaseLLM):
    def _call_llm_api(self, prompt, system_prompt, model_name, model_config):
        sample, epoch = model_config.tags["sample_id"], model_config.tags["epoch"]
        is_right = sample != "s4" and (sample == "s1" or epoch == 2)
        return str(int(prompt.split()[0]) + (1 if is_right else 5)), {"input": 10, "output": 1}
"""


def only(bench: Bench, *arguments: str) -> dict[str, Any]:
    """The single row of a run's figures."""
    ended = bench.cli("run", "sums", "-m", "drop:m", "--json", *arguments)
    assert ended.code == 0, ended
    (row,) = ended.json["models"]
    return row  # type: ignore[no-any-return]


def test_each_sample_is_asked_once_per_epoch_and_counts_once(bench: Bench) -> None:
    bench.task(samples=4)
    bench.provider("drop", FICKLE)
    row = only(bench, "--epochs", "3")
    assert (row["samples"], row["planned"], row["answers"]) == (4, 4, 12)
    # s1 is right 3 times of 3, s2 and s3 once of 3, s4 never.
    assert row["score"] == pytest.approx((1 + 1 / 3 + 1 / 3 + 0) / 4)
    expected = clustered([[1, 1, 1], [0, 1, 0], [0, 1, 0], [0, 0, 0]])
    assert expected is not None
    assert row["ci95"] == pytest.approx(expected[1:])
    assert row["outcomes"] == {"correct": 5, "wrong": 7}
    assert row["usage"]["input"] == 120


def test_epochs_do_not_pass_for_more_samples(bench: Bench) -> None:
    bench.task(samples=4)
    bench.provider("drop", FICKLE)
    once, often = only(bench), only(bench, "--epochs", "50")
    # One sample right, three wrong; asked 50 times, still four samples.
    assert once["ci95"] == pytest.approx(interval([1, 0, 0, 0]))
    width = often["ci95"][1] - often["ci95"][0]
    assert width > 0.5


def test_rows_name_their_epoch(bench: Bench) -> None:
    bench.task(samples=2)
    bench.provider("drop", FICKLE)
    assert bench.cli("run", "sums", "-m", "drop:m", "--epochs", "2").code == 0
    rows = bench.report()["results"]
    assert sorted((row["sample_id"], row["epoch"], row["outcome"]) for row in rows) == [
        ("s1", 1, "correct"),
        ("s1", 2, "correct"),
        ("s2", 1, "wrong"),
        ("s2", 2, "correct"),
    ]
    shown = bench.cli("show", "last", "s2").out
    assert "drop:m: wrong, score 0.000" in shown
    assert "drop:m (epoch 2): correct, score 1.000" in shown
    assert bench.cli("report", "last", "--format", "csv").out.count("\n") == 1 + 4
    page = next((bench.root / "reports").glob("*.html")).read_text("utf-8")
    assert ">Epochs</" in page


def test_a_call_s_id_holds_its_epoch(bench: Bench) -> None:
    bench.task(samples=2)
    bench.provider("drop", FICKLE)
    assert bench.cli("run", "sums", "-m", "drop:m", "--epochs", "2").code == 0
    assert bench.sql("SELECT count(DISTINCT call_id), group_concat(DISTINCT epoch) FROM calls") == [(4, "1,2")]


def test_a_run_with_epochs_goes_on_where_it_stopped(bench: Bench) -> None:
    bench.task(samples=3)
    failing = LOGGING + (
        "class Failing(BaseLLM):\n"
        "    def _call_llm_api(self, prompt, system_prompt, model_name, config):\n"
        "        log(sample=config.tags['sample_id'], epoch=config.tags['epoch'])\n"
        "        return right(prompt)\n"
    )
    bench.provider("drop", failing)
    assert bench.cli("run", "sums", "-m", "drop:m", "--epochs", "2").code == 0
    bench.sql("DELETE FROM scores WHERE call IN (SELECT call FROM calls WHERE epoch = 2)")
    bench.sql("UPDATE calls SET state = 'claimed' WHERE epoch = 2 AND position = 1")
    bench.sql("DELETE FROM answers WHERE call IN (SELECT call FROM calls WHERE state = 'claimed')")
    bench.sql("DELETE FROM costs WHERE call IN (SELECT call FROM calls WHERE state = 'claimed')")
    bench.sql("UPDATE runs SET status = 'stopped'")
    ended = bench.cli("resume", "last")
    assert ended.code == 0, ended
    asked = [(line["sample"], line["epoch"]) for line in calls(bench)]
    # Only what was lost is asked again; the answers without a score are scored as they are.
    assert len(asked) == 6 + 1
    assert asked[-1][1] == 2
    assert {row["outcome"] for row in bench.report()["results"]} == {"correct"}


def test_epochs_from_config_and_from_python(bench: Bench) -> None:
    bench.task(samples=2)
    bench.provider("drop", FICKLE)
    bench.write("config.json", {"run": {"epochs": 3, "canary": False}})
    assert only(bench)["answers"] == 6
    run = LLMTester(workspace=bench.root).run(["sums"], ["drop:m"], epochs=2)
    assert len(list(run.results())) == 4
    (standing,) = run.standings()
    assert (standing.moments.n, standing.scored, standing.planned) == (2, 4, 4)


@pytest.mark.parametrize("epochs", ["0", "-1", "1001", "x"])
def test_numbers_of_epochs_that_make_no_sense(bench: Bench, epochs: str) -> None:
    assert "--epochs" in bench.cli("run", "sums", "-m", "drop:m", "--epochs", epochs).err
