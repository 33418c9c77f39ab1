"""JSON and CSV of a run."""

from __future__ import annotations

import csv
import io
import json
from typing import TYPE_CHECKING, Any

import pytest

from llm_tester.reporting.exports import COLUMNS

if TYPE_CHECKING:
    from tests.evals.conftest import Bench

HOSTILE = {
    "s1": "=HYPERLINK(1)",
    "s2": '\x1b]52;c;eA==\x07"quoted", two\nlines\rthree',
    "s3": "-4",
}


@pytest.fixture
def done(bench: Bench) -> Bench:
    """A run whose answers mean no good, and a sample without any."""
    bench.task(
        "notes", [{"id": name, "input": "q", "target": "x"} for name in (*HOSTILE, "@s4")], scorer={"type": "exact"}
    )
    usage = {"prompt_tokens": 10, "completion_tokens": 2, "reasoning": 1}
    bench.replay("rep", {"m": {key: {"answer": text, "usage": usage} for key, text in HOSTILE.items()}})
    assert bench.cli("run", "notes", "-m", "rep:m").code == 3
    return bench


def rows_of(text: str) -> dict[str, dict[str, str]]:
    return {row["sample_id"]: row for row in csv.DictReader(io.StringIO(text, newline=""))}


def test_csv_has_a_row_per_sample_and_entrant_and_no_formula(done: Bench) -> None:
    ended = done.process("report", "last", "--format", "csv")
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.splitlines()[0] == ",".join(COLUMNS)
    rows = rows_of(done.cli("report", "last", "--format", "csv").out)
    assert list(rows["s1"]) == list(COLUMNS)
    assert sorted(rows) == ["'@s4", "s1", "s2", "s3"]
    assert (rows["s1"]["answer"], rows["s3"]["answer"]) == ("'=HYPERLINK(1)", "'-4")
    assert rows["s2"]["answer"] == '"quoted", two\nlines\nthree'
    # Numbers stay numbers: 10 x 1 + 1 x 2 + 1 x 2 millionths.
    assert {key: rows["s1"][key] for key in ("epoch", "score", "tokens_input", "tokens_reasoning", "cost_usd")} == {
        "epoch": "1",
        "score": "0.0",
        "tokens_input": "10",
        "tokens_reasoning": "1",
        "cost_usd": "0.000014",
    }
    missing = rows["'@s4"]
    assert (missing["outcome"], missing["score"], missing["cost_usd"], missing["tokens_input"]) == ("error", "", "", "")
    assert missing["error"] == 'BadRequestError: no recorded answer for the sample "@s4"'


def test_a_target_that_is_no_text_is_json_in_its_cell(bench: Bench) -> None:
    bench.task("bills", [{"id": "b", "input": "q", "target": {"ü": [0, None]}}], scorer={"type": "fields"})
    bench.task("zero", [{"id": "z", "input": "q", "target": 0}])
    bench.replay("rep", {"m": {"b": "{}", "z": "0"}})
    bench.cli("run", "bills", "zero", "-m", "rep:m")
    rows = rows_of(bench.cli("report", "last", "--format", "csv").out)
    assert (rows["b"]["expected"], rows["z"]["expected"], rows["z"]["answer"]) == ('{"ü": [0, null]}', "0", "0")


def test_json_is_one_object_with_every_answer_as_it_is(done: Bench) -> None:
    ended = done.process("report", "last", "--format", "json")
    found: dict[str, Any] = json.loads(ended.out)
    assert list(found) == ["run", "status", "models", "tasks", "results"]
    assert {row["sample_id"]: row["answer"] for row in found["results"]} == {**HOSTILE, "@s4": None}
    assert found["models"] == done.report()["models"]


def test_json_of_a_run_that_asked_nothing_yet_is_json(bench: Bench) -> None:
    bench.task(samples=1)
    bench.replay("rep", {"m": {"s1": "2"}})
    bench.cli("run", "sums", "-m", "rep:m")
    bench.sql("DELETE FROM plan")
    assert bench.report()["results"] == []
