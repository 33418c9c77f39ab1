"""Stored answers scored again, through the program: what changes, what is refused, what the bill and reports say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from llm_tester.evals.ledger import Ledger
from llm_tester.evals.rollups import differences
from tests.evals.conftest import Bench

ANSWERS = {"m": {"s1": "2", "s2": "Answer: 3.", "s3": "5"}, "n": {"s1": "two", "s2": "3", "s3": "4"}}


def ran(bench: Bench, **config: Any) -> Bench:
    bench.task("sums", 3, scorer={"type": "exact"}, **config)
    bench.replay("fake", ANSWERS)
    bench.cli("run", "sums", "-m", "fake:m", "-m", "fake:n", "--name", "first")
    return bench


def with_scorer(bench: Bench, scorer: Any, **config: Any) -> None:
    described = json.loads((bench.root / "tasks/sums/task.json").read_text())
    bench.write("tasks/sums/task.json", {**described, **config, "scorer": scorer})


def scores(bench: Bench) -> dict[tuple[str, str], Any]:
    return {key: row["score"] for key, row in bench.results().items()}


def test_answers_are_scored_by_the_scorer_of_today(bench: Bench) -> None:
    ran(bench)
    assert scores(bench)[("s2", "fake:m")] == 0
    with_scorer(bench, {"type": "numeric"})
    found = bench.cli("rescore", "first", "--json").json
    assert found["version"] == 2
    assert found["changes"][0] == {
        "task": "sums",
        "entrant": "fake:m",
        "answers": 3,
        "old_score": pytest.approx(1 / 3),
        "new_score": pytest.approx(2 / 3),
        "changed": 1,
        "flipped": [
            {"sample_id": "s2", "epoch": 1, "was": "wrong", "now": "correct", "old_score": 0.0, "new_score": 1.0}
        ],
    }
    assert [(flip["was"], flip["now"]) for flip in found["changes"][1]["flipped"]] == [("wrong", "invalid")]
    assert scores(bench)[("s2", "fake:m")] == 1
    assert bench.sql("SELECT version, count(*) FROM scores GROUP BY version") == [(1, 6), (2, 6)]
    assert bench.sql("SELECT count(*) FROM attempts") == [(6,)]
    assert "Rescored" in bench.cli("report", "last", "--output", "-").out


def test_it_can_be_done_again_and_back(bench: Bench) -> None:
    before = scores(ran(bench))
    with_scorer(bench, {"type": "numeric"})
    assert bench.cli("rescore", "last", "--json").json["version"] == 2
    again = bench.cli("rescore", "last")
    assert "Every score is as it was." in again.out
    assert bench.sql("SELECT max(version) FROM scores") == [(2,)]
    with_scorer(bench, {"type": "exact"})
    back = bench.cli("rescore", "last")
    assert "Kept as version 3" in back.out
    assert "correct         wrong" in " ".join(back.out.split("\n"))
    assert scores(bench) == before


def test_the_bill_knows_the_new_outcomes(bench: Bench) -> None:
    bench.task("sums", 3, scorer={"type": "exact"})
    bench.provider(
        "own",
        """
        from llm_tester import BaseLLM

        class Own(BaseLLM):
            def _call_llm_api(self, prompt, system_prompt, model_name, model_config):
                return "Answer: 2", {"prompt_tokens": 1, "completion_tokens": 1}
        """,
    )
    assert bench.cli("run", "sums", "-m", "own:m").code == 0
    with_scorer(bench, {"type": "numeric"})
    assert bench.cli("rescore", "last").code == 0
    rows = bench.cli("costs", "--by", "outcome", "--format", "json").json
    rows = rows if isinstance(rows, list) else rows["rows"]
    assert {row["outcome"]: row["calls"] for row in rows} == {"correct": 1, "wrong": 2}
    with Ledger(bench.root / ".llm_tester/ledger.sqlite3") as ledger:
        assert differences(ledger.store) == 0


def stored(bench: Bench) -> list[Any]:
    return [bench.sql(f"SELECT * FROM {table}") for table in ("scores", "tasks", "runs")]  # noqa: S608 - constants


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda b: b.task("sums", 4, scorer={"type": "numeric"}), 'the samples of the task "sums" changed'),
        (lambda b: (b.root / "tasks/sums").rename(b.root / "away"), 'the task "sums" is no longer at'),
        (lambda b: with_scorer(b, {"type": "fields"}), 'sample "s1": The fields scorer needs a JSON object'),
        (lambda b: with_scorer(b, {"type": "fild"}), "cannot be scored again"),
    ],
)
def test_what_models_were_not_asked_is_not_scored(bench: Bench, change: Any, problem: str) -> None:
    ran(bench)
    change(bench)
    before = bench.sql("SELECT * FROM scores"), bench.sql("SELECT * FROM tasks"), bench.sql("SELECT * FROM runs")
    assert problem in bench.cli("rescore", "last").error()
    assert (
        bench.sql("SELECT * FROM scores"),
        bench.sql("SELECT * FROM tasks"),
        bench.sql("SELECT * FROM runs"),
    ) == before


def test_one_task_of_a_run(bench: Bench) -> None:
    ran(bench)
    bench.task("more", 2, scorer={"type": "exact"})
    bench.cli("run", "sums", "more", "-m", "fake:m")
    with_scorer(bench, {"type": "numeric"})
    found = bench.cli("rescore", "last", "--task", "sums", "--json").json
    assert [change["task"] for change in found["changes"]] == ["sums"]
    assert bench.sql("SELECT count(*) FROM scores WHERE version = 2") == [(3,)]
    assert "Did you mean sums" in bench.cli("rescore", "last", "--task", "sum").error()


def test_a_run_that_its_scorer_stopped_goes_on_when_it_is_mended(bench: Bench) -> None:
    folder = bench.task("sums", 3, scorer={"type": "python:own:score"})
    code = folder / "own.py"
    code.write_text("def score(answer, target):\n    return 1 / (int(answer) - 2)\n")
    bench.replay("fake", ANSWERS)
    stopped = bench.cli("run", "sums", "-m", "fake:m", "--max-connections", "1")
    assert (stopped.code, stopped.err.count("own.py: score: sample")) == (3, 1)
    code.write_text("def score(answer, target):\n    return str(target) in answer\n")
    assert "first `llm-tester rescore" in bench.cli("resume").error()
    bought = bench.sql("SELECT count(*) FROM answers")
    assert bench.cli("rescore", "last").code == 0
    assert bench.sql("SELECT count(*) FROM answers") == bought
    assert bench.cli("resume").code == 0
    assert scores(bench) == {("s1", "fake:m"): 1.0, ("s2", "fake:m"): 1.0, ("s3", "fake:m"): 0.0}
    assert bench.sql("SELECT count(*) FROM answers") == [(3,)]


def test_a_run_whose_prompt_changed_too_is_rescored_and_still_not_resumed(bench: Bench) -> None:
    ran(bench)
    with_scorer(bench, {"type": "numeric"}, prompt="Solve: {{ input }}")
    assert bench.cli("rescore", "last").code == 0
    assert "changed since the run" in bench.cli("resume").error()


def test_fields_and_notes_are_made_anew(bench: Bench) -> None:
    samples = [{"id": "1", "input": "x", "target": {"a": 1, "b": "abcd"}}]
    bench.task("sums", samples, scorer={"type": "fields"})
    bench.replay("fake", {"m": {"1": '{"a": 1, "b": "abcx"}'}})
    assert bench.cli("run", "sums", "-m", "fake:m").code == 0
    with_scorer(bench, {"type": "fields", "weights": {"a": 3}})
    found = bench.cli("rescore", "last", "--json").json["changes"][0]
    assert (found["old_score"], found["new_score"], found["changed"], found["flipped"]) == (0.5, 0.75, 1, [])


def test_a_scorer_that_fails_leaves_everything_as_it_was(bench: Bench) -> None:
    ran(bench)
    with_scorer(bench, {"type": "python:own:score"})
    Path(bench.root / "tasks/sums/own.py").write_text("def score(answer, target):\n    raise StopAsyncIteration\n")
    before = stored(bench)
    assert "own.py: score: sample" in bench.cli("rescore", "last").error()
    assert stored(bench) == before


def test_a_run_that_goes_on_is_left_alone(bench: Bench) -> None:
    ran(bench)
    bench.sql("UPDATE runs SET status = 'running', owner = ?, lease_until = 9e9", "elsewhere:1:1")
    assert "is still going on" in bench.cli("rescore", "last").error()


def test_long_lists_of_samples_are_cut(bench: Bench) -> None:
    bench.task("sums", 30, scorer={"type": "exact"})
    bench.replay("fake", {"m": {f"s{n}": f"{n + 1}." for n in range(1, 31)}})
    assert bench.cli("run", "sums", "-m", "fake:m").code == 0
    with_scorer(bench, {"type": "numeric"})
    assert "10 more samples with another outcome: see --json." in bench.cli("rescore", "last").out


# --- weights that do nothing


def test_a_weight_that_no_gold_has_is_told_by_run_and_rescore(bench: Bench) -> None:
    rows = [{"id": "s1", "input": "q", "target": {"urgency": "high", "amount": 5}}]
    bench.task("bills", rows, scorer={"type": "fields", "weights": {"ammount": 5}})
    bench.replay("fake", {"m": {"s1": '{"urgency": "high", "amount": 4}'}})
    ran = bench.cli("run", "bills", "-m", "fake:m")
    said = 'bills: no gold has "ammount", which a rule or a weight of the scorer names. Did you mean amount?\n'
    assert f"  {said}" in ran.out
    found = bench.cli("rescore", "last")
    assert (found.code, found.err) == (0, f"Warning: {said}")
    described = json.loads((bench.root / "tasks/bills/task.json").read_text())
    bench.write("tasks/bills/task.json", {**described, "scorer": {"type": "fields", "weights": {"amount": 5}}})
    again = bench.cli("rescore", "last", "--json")
    assert (again.err, again.json["version"]) == ("", 2)


def test_what_shows_a_run_says_which_version_of_its_scores(bench: Bench) -> None:
    ran(bench)
    assert "version" not in bench.cli("show", "first").out
    for scorer in ("numeric", "exact"):
        with_scorer(bench, {"type": scorer})
        bench.cli("rescore", "first")
    said = "The scores of sums are version 3, of the rescoring on "
    assert said in bench.cli("show", "first").out
    assert said in bench.cli("report", "first", "--format", "md").out
    assert "version 2" not in bench.cli("show", "first").out
