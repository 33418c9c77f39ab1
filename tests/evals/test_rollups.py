"""The sums of the bill: kept once per transaction, and always those of the single calls."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from llm_tester.config import BudgetLimit
from llm_tester.errors import LedgerError
from llm_tester.evals.ledger import Ledger
from llm_tester.evals.ledger_budgets import LedgerBudgets
from llm_tester.evals.rollups import costs, differences, rebuild
from llm_tester.evals.samples import Outcome, Score
from llm_tester.records import Request
from tests.evals.conftest import Bench

SAMPLES = 150
PAID = """
from llm_tester import BaseLLM

class Paid(BaseLLM):
    def _call_llm_api(self, prompt, system_prompt, model_name, model_config):
        return "2", {"prompt_tokens": 1000, "completion_tokens": 1000}
"""


@pytest.fixture
def ledger(bench: Bench) -> Iterator[Ledger]:
    """The ledger after a run of more samples than one statement sums up."""
    bench.task("sums", SAMPLES)
    bench.provider("paid", PAID)
    assert bench.cli("run", "sums", "-m", "paid:m").code == 0
    with Ledger(bench.root / ".llm_tester/ledger.sqlite3") as opened:
        yield opened


def outcomes(ledger: Ledger) -> dict[str, int]:
    return {row.group[0]: row.calls for row in costs(ledger.store, ["outcome"]) if row.calls}


def calls(ledger: Ledger) -> list[int]:
    return [row["call"] for row in ledger.store.read("SELECT call FROM calls WHERE purpose = 'sample'")]


def test_the_sums_of_a_run_are_those_of_its_calls(ledger: Ledger) -> None:
    found = outcomes(ledger)
    assert found.pop("unscored", 0) <= 1, "the canary's call is never scored"
    assert found == {"correct": 1, "wrong": SAMPLES - 1}
    assert differences(ledger.store) == 0


def test_calls_that_end_and_are_scored_in_one_transaction_count_once(ledger: Ledger) -> None:
    keys = calls(ledger)

    def again(connection: Any) -> None:
        connection.execute("DELETE FROM rollups")
        for key in keys:
            ledger.sums.ended(connection, key)
            ledger.sums.scored(key, "correct")

    before = outcomes(ledger)
    before.pop("unscored", 0)
    ledger.store.write(again)
    assert outcomes(ledger) == before
    assert sum(before.values()) == SAMPLES


def test_a_verdict_that_could_not_be_written_changes_no_sum(ledger: Ledger) -> None:
    first, *_ = calls(ledger)
    with pytest.raises(LedgerError, match="UNIQUE"):
        ledger.scored(first, Score(0.0, Outcome.WRONG)).result(10)
    assert differences(ledger.store) == 0
    ledger.store.write(lambda connection: ledger.sums.scored(first, "wrong"))
    assert differences(ledger.store) > 0, "a call that is said to be unscored and is not would be noticed"
    rebuild(ledger.store)
    assert differences(ledger.store) == 0


def test_what_a_call_cost_is_known_to_the_next_job_of_its_transaction(ledger: Ledger) -> None:
    """Where a limit is shared; the answer has given its reservation back."""
    run, keys = ledger.run("last"), calls(ledger)
    limit = BudgetLimit.model_validate({"usd": "0.1", "per": "month"})
    now = datetime.now(UTC).timestamp()
    budgets = LedgerBudgets(ledger, run, [limit], lambda: now)

    def as_if_just_answered(connection: Any) -> None:
        connection.execute("DELETE FROM rollups")
        for key in keys:
            ledger.sums.ended(connection, key)

    # What waits while another job runs is one transaction.
    let_on = threading.Event()
    ledger.store.submit(lambda _: let_on.wait(10))
    ledger.store.submit(as_if_just_answered)
    reserved = budgets.reserve(Request("paid", "m", ()), 1, 1)
    let_on.set()
    short = reserved.result(10)
    assert short is not None
    assert short.spent == Decimal("0.003") * SAMPLES


def test_a_task_that_is_renamed_before_its_run_is_resumed_stays_one_on_the_bill(bench: Bench) -> None:
    folder = bench.task("sums", 20)
    bench.provider("paid", PAID)
    assert bench.cli("run", "sums", "-m", "paid:m", "--limit", "1").code == 0
    bench.sql(
        "CREATE TRIGGER full BEFORE INSERT ON answers WHEN (SELECT count(*) FROM answers) >= 8"
        " BEGIN SELECT RAISE(ABORT, 'no room for this'); END"
    )
    assert bench.cli("run", "sums", "-m", "paid:m", "--name", "stuck").code == 3
    bench.sql("DROP TRIGGER full")
    file = folder / "task.json"
    file.write_text(file.read_text().replace('"sums"', '"adding"'))
    assert bench.cli("resume", "stuck").code == 0
    assert "are those of the single calls" in bench.cli("costs", "--verify").out
    assert {row["task"] for row in bench.cli("costs", "--by", "task", "--format", "json").json} == {"sums"}
