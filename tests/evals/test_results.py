"""The rows of a run: outcomes, costs, latency, attempts, errors."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from llm_tester.config import Workspace
from llm_tester.evals.ledger import Ledger
from llm_tester.evals.results import Result, results
from llm_tester.evals.samples import Outcome

if TYPE_CHECKING:
    from tests.evals.conftest import Bench


def rows(bench: Bench) -> dict[str, Result]:
    with Ledger.existing(Workspace.open(bench.root).ledger_path) as ledger:
        return {row.sample_id: row for row in results(ledger, ledger.run("last"))}


def answered(bench: Bench, **answers: Any) -> dict[str, Result]:
    """The rows after these answers were replayed."""
    bench.task(samples=len(answers))
    bench.replay("rep", {"m": answers})
    assert bench.cli("run", "sums", "-m", "rep:m").code in (0, 3)
    return rows(bench)


def test_a_row_holds_the_answer_its_usage_and_its_exact_cost(bench: Bench) -> None:
    usage = {"prompt_tokens": 7, "completion_tokens": 3}
    row = answered(bench, s1={"answer": "2", "usage": usage})["s1"]
    assert row.to_json() == {
        "sample_id": "s1",
        "entrant": "rep:m",
        "model": "rep:m",
        "task": "sums",
        "epoch": 1,
        "outcome": "correct",
        "score": 1.0,
        "answer": "2",
        "expected": 2,
        "usage": {"input": 7, "output": 3},
        "cost_usd": "0.000013",  # (7 x 1 + 3 x 2) / 1,000,000
        "latency_ms": None,
        "attempts": 1,
    }
    assert (row.cost_known, row.unknown_calls, row.simulated) == (True, 0, True)


def test_no_usage_is_an_unknown_cost_and_not_a_cost_of_zero(bench: Bench) -> None:
    found = answered(bench, s1="2", s2={"answer": "3", "usage": {"prompt_tokens": 7}})
    assert {(row.cost_usd, row.cost_known, row.unknown_calls) for row in found.values()} == {(None, False, 1)}
    assert bench.report()["models"][0]["cost_usd"] is None


def test_a_token_class_without_a_price_makes_the_cost_at_least(bench: Bench) -> None:
    usage = {"prompt_tokens": 7, "completion_tokens": 3, "cached_input": 4}
    row = answered(bench, s1={"answer": "2", "usage": usage})["s1"]
    assert (row.cost_usd, row.cost_known, row.unknown_calls) == (Decimal("0.000009"), False, 1)
    assert "≥ $0.000009" in bench.cli("show", "last").out


def test_impossible_counts_are_named_and_cost_an_unknown_sum(bench: Bench) -> None:
    usage = {"prompt_tokens": 7, "completion_tokens": 3, "cached_input": 9}
    row = answered(bench, s1={"answer": "2", "usage": usage})["s1"]
    assert row.inconsistent == ("the parts of input sum to 9, more than 7",)
    assert (row.cost_usd, row.usage["cached_input"]) == (None, 9)


def test_a_cost_that_the_provider_reports_is_the_cost(bench: Bench) -> None:
    usage = {"prompt_tokens": 7, "completion_tokens": 3, "reported_cost": "0.25"}
    row = answered(bench, s1={"answer": "2", "usage": usage})["s1"]
    assert (row.cost_usd, row.cost_known) == (Decimal("0.25"), True)


def test_how_an_answer_ended_decides_on_its_outcome(bench: Bench) -> None:
    found = answered(
        bench,
        s1={"answer": "2", "finish": "refusal"},
        s2={"answer": "3", "finish": "length"},
        s3={"answer": "", "finish": "stop"},
        s4="none",
        s5="7",
    )
    assert {name: row.outcome for name, row in found.items()} == {
        "s1": Outcome.REFUSED,
        "s2": Outcome.TRUNCATED,
        "s3": Outcome.EMPTY,
        "s4": Outcome.INVALID,
        "s5": Outcome.WRONG,
    }
    assert found["s4"].to_json()["note"] == "There is no number in the answer."


def test_a_call_without_an_answer_is_an_error_with_its_reason(bench: Bench) -> None:
    bench.task(samples=2)
    bench.replay("rep", {"m": {"s1": "2"}})
    ended = bench.cli("run", "sums", "-m", "rep:m")
    assert ended.code == 3
    row = rows(bench)["s2"]
    assert (row.outcome, row.score, row.answer, row.cost_usd, row.cost_known) == (Outcome.ERROR, None, None, None, True)
    assert row.error == 'BadRequestError: no recorded answer for the sample "s2"'
    assert row.to_json()["error"] == row.error


def test_fields_and_violations_are_kept(bench: Bench) -> None:
    bench.write("tasks/bills/schema.json", {"properties": {"a": {"type": "number"}}})
    bench.task(
        "bills",
        [{"id": "b1", "input": "q", "target": {"a": 1, "b": 2}}],
        scorer={"type": "fields"},
        output={"schema": "schema.json"},
    )
    bench.replay("rep", {"m": {"b1": '{"a": "1", "c": 5}'}})
    bench.cli("run", "bills", "-m", "rep:m")
    row = rows(bench)["b1"]
    assert row.fields == {"a": "correct", "b": "missing", "c": "invented"}
    assert row.violations == ("a: '1' is not of type 'number'",)
    assert row.score == pytest.approx(1 / 3)


def test_half_a_surrogate_pair_from_a_model_is_stored_as_a_question_mark(bench: Bench) -> None:
    """In a raw text, and in the name of a field that only JSON's escapes spell."""
    bench.task("bills", [{"id": "b1", "input": "q", "target": {"a": 1}}], scorer={"type": "fields"})
    bench.replay("rep", {"m": {}})
    lines = json.dumps({"id": "b1", "answer": '{"a": 1, "\\ud83d": 2} \ud83d'})
    bench.write("providers/rep/m.jsonl", lines)
    ended = bench.cli("run", "bills", "-m", "rep:m")
    assert ended.code == 0, ended
    row = rows(bench)["b1"]
    assert row.fields == {"a": "correct", "?": "invented"}
    assert row.answer == '{"a": 1, "\\ud83d": 2} ?'
    assert bench.cli("show", "last", "b1").code == 0


def test_rows_of_one_sample(bench: Bench) -> None:
    answered(bench, s1="2", s2="3")
    with Ledger.existing(Workspace.open(bench.root).ledger_path) as ledger:
        assert [row.sample_id for row in results(ledger, ledger.run("last"), sample_id="s2")] == ["s2"]
