"""`runs export`: rows from which every figure of a run's report can be computed again."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
from collections import Counter
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from llm_tester.reporting.exports import EVIDENCE_COLUMNS
from tests.cli.conftest import line

if TYPE_CHECKING:
    from pathlib import Path

    from tests.evals.conftest import Bench

# Right, wrong, without counts, and an error; some of the input was cached.
PAID = """
from llm_tester import BaseLLM, OverloadedError

class Paid(BaseLLM):
    applies = frozenset({"max_tokens", "temperature"})

    def _call_llm_api(self, prompt, system_prompt, model_name, model_config):
        number = int(prompt.split()[0])
        if number == 4:
            raise OverloadedError("down", status=500, retry_after=0)
        usage = {"input": 100 + number, "output": 10, "reasoning": 4, "cached_input": 40}
        return str(number + (number != 2)), {} if number == 3 else usage
"""
RATES = {"cost_input": "0.15", "cost_output": "0.6", "cost_cached_input": "0.075"}


@pytest.fixture
def paid(bench: Bench) -> Bench:
    """A run of two epochs at odd prices."""
    settings = {"run": {"canary": False}, "retry": {"max_retries": 0}, "circuit_breaker": {"enabled": False}}
    bench.write("config.json", settings)
    bench.task(samples=4, parameters={"max_tokens": 5, "temperature": 0})
    bench.provider("paid", PAID, models=())
    priced = {name: float(rate) for name, rate in RATES.items()}
    models = [{"name": "m", **priced}, {"name": "n"}]
    bench.write("providers/paid/config.json", {"name": "paid", "llm_models": models})
    named = ("--epochs", "2", "--project", "alpha")
    assert bench.cli("run", "sums", "-m", "paid:m", "-m", "paid:n", *named).code == 3
    return bench


def rows(bench: Bench, run: str = "last") -> list[dict[str, Any]]:
    ended = bench.cli("runs", "export", run)
    assert (ended.code, ended.err) == (0, "")
    return [json.loads(text, parse_float=Decimal) for text in ended.out.splitlines()]


def mean(found: list[dict[str, Any]]) -> float:
    scored = [row["score"] for row in found if row["score"] is not None]
    return float(sum(scored) / len(scored))


def priced(row: dict[str, Any]) -> Decimal:
    """What a row's answer costs, from its own tokens and rates alone."""
    usage, rates = row["usage"], row["rates"]
    plain = usage["input"] - usage["cached_input"]
    tokens = {"input": plain, "cached_input": usage["cached_input"], "output": usage["output"]}
    return sum((Decimal(str(rates[name])) * count / 1_000_000 for name, count in tokens.items()), Decimal(0))


def test_the_rows_give_the_report_again(paid: Bench) -> None:
    every = rows(paid)
    standings = {row["entrant"]: row for row in paid.report()["models"]}
    assert len(every) == 4 * 2 * 2
    for name, standing in standings.items():
        own = [row for row in every if row["entrant"] == name]
        assert mean(own) == pytest.approx(standing["score"])
        assert dict(Counter(row["outcome"] for row in own)) == {k: v for k, v in standing["outcomes"].items() if v}
        totals: Counter[str] = Counter()
        for row in own:
            totals.update({key: count for key, count in row["usage"].items() if key in ("input", "output")})
        assert {key: standing["usage"][key] for key in totals} == dict(totals)
    own = [row for row in every if row["entrant"] == "paid:m" and row["usage"]]
    assert [row["cost_usd"] for row in own] == [priced(row) for row in own]
    assert [sum(part["usd"] for part in row["billed"]) for row in own] == [priced(row) for row in own]
    assert sum(map(priced, own)) == Decimal(standings["paid:m"]["cost_usd"])
    (by_project,) = paid.cli("costs", "--by", "project", "--format", "json").json
    spent = [row[name] or 0 for row in every for name in ("cost_usd", "retried_usd", "earlier_usd")]
    assert sum(spent) == Decimal(by_project["spent_usd"])


def test_a_row_says_all_that_is_kept_of_an_answer(paid: Bench) -> None:
    row = next(r for r in rows(paid) if (r["sample_id"], r["entrant"], r["epoch"]) == ("s2", "paid:m", 2))
    assert set(row) - {"messages", "usage"} == {c for c in EVIDENCE_COLUMNS if not c.startswith("tokens_")}
    assert row["messages"] == [{"role": "user", "content": "2 + 1?"}]
    assert row["parameters"] == {"max_tokens": 5, "temperature": 0}
    assert (row["target"], row["answer"], row["outcome"], row["score"]) == (3, "2", "wrong", 0)
    assert (row["provider"], row["model"], row["project"], row["task"]) == ("paid", "m", "alpha", "sums")
    assert (row["price_source"], row["cost_known"], row["simulated"]) == ("catalogue", True, False)
    assert len(row["task_hash"]) == len(row["sample_hash"]) == 64
    assert row["call_id"]
    assert row["sent_at"].endswith("+00:00")
    assert row["latency_ms"] >= 0


def test_what_is_not_known_is_null_and_never_0(paid: Bench) -> None:
    found = {(row["sample_id"], row["entrant"]): row for row in rows(paid) if row["epoch"] == 1}
    uncounted, unpriced, failed = found["s3", "paid:m"], found["s1", "paid:n"], found["s4", "paid:m"]
    assert (uncounted["cost_usd"], uncounted["cost_known"], uncounted["usage"]) == (None, False, {})
    assert (unpriced["cost_usd"], unpriced["rates"], unpriced["price_source"]) == (None, None, "unknown")
    assert all(part["usd"] is None for part in unpriced["billed"])
    assert (failed["outcome"], failed["score"], failed["answer"]) == ("error", None, None)
    assert failed["error"].startswith("OverloadedError: ")


def test_calls_that_were_made_again_are_paid_for_too(bench: Bench) -> None:
    bench.task(samples=1)
    bench.provider("paid", PAID)
    assert bench.cli("run", "sums", "-m", "paid:m").code == 0
    # A second call for the sample, as after `resume --retry-errors`: the first one stays on the bill.
    bench.sql(
        "INSERT INTO calls (call_id, run, entrant, position, epoch, purpose, attempt_group, state, claimed_at)"
        " SELECT 'again', run, entrant, position, epoch, purpose, 2, 'failed', claimed_at FROM calls"
    )
    (row,) = rows(bench)
    assert (row["call_id"], row["cost_usd"]) == ("again", None)
    assert row["earlier_usd"] == Decimal(61 * 1 + 10 * 2) / 1_000_000


def test_a_table_for_spreadsheets(paid: Bench) -> None:
    ended = paid.cli("runs", "export", "last", "--format", "csv")
    found = list(csv.DictReader(io.StringIO(ended.out)))
    assert tuple(found[0]) == EVIDENCE_COLUMNS
    assert len(found) == 16
    whole = rows(paid)
    for flat, row in zip(found, whole, strict=True):
        assert flat["sample_id"] == row["sample_id"]
        assert Decimal(flat["cost_usd"] or -1) == (-1 if row["cost_usd"] is None else row["cost_usd"])
        assert "E" not in flat["cost_usd"].upper()
        assert flat["tokens_input"] == str(row["usage"].get("input", ""))
        assert json.loads(flat["parameters"]) == {"max_tokens": 5, "temperature": 0}
        assert flat["cost_known"] in ("true", "false")


def test_an_answer_is_data_and_nothing_else(bench: Bench) -> None:
    nasty = '=HYPERLINK("x")\x1b[31m\u2028\u202e\x9b red'
    bench.task(samples=1, scorer={"type": "exact"})
    bench.replay("rep", {"m": {"s1": line(nasty)}})
    assert bench.cli("run", "sums", "-m", "rep:m").code == 0
    said = bench.cli("runs", "export", "last").out
    assert len(said.splitlines()) == 1
    assert not set(said) & set("\x1b\x9b\u2028\u202e")
    assert json.loads(said)["answer"] == nasty
    flat = bench.cli("runs", "export", "last", "--format", "csv").out
    (row,) = csv.DictReader(io.StringIO(flat))
    assert row["answer"].startswith("'=HYPERLINK")
    assert not set(flat) & set("\x1b\x9b\u202e")


# --- where it is written


def test_a_file_is_written_whole_or_not_at_all(paid: Bench) -> None:
    said = paid.cli("runs", "export", "last", "--output", "out.jsonl")
    assert (said.code, said.out) == (0, f"{paid.root / 'out.jsonl'}\n")
    assert (paid.root / "out.jsonl").read_text() == paid.cli("runs", "export", "last", "--output", "-").out
    before = paid.snapshot()
    assert "there is no run" in paid.cli("runs", "export", "none", "--output", "out.jsonl").error()
    said = paid.cli("runs", "export", "last", "--output", "no/such/x")
    assert said.error().startswith("no/such/x cannot be written: No such file or directory\n  Name a file in a folder")
    assert "cannot be written: Is a directory" in paid.cli("runs", "export", "last", "--output", "tasks").error()
    assert {name for name in paid.snapshot() if "ledger" not in name} == {n for n in before if "ledger" not in n}


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full")  # noqa: PTH110 - a device
def test_a_full_disk_is_one_clear_error(paid: Bench) -> None:
    said = paid.cli("runs", "export", "last", "--output", "/dev/full").error()
    assert said.startswith("/dev/full cannot be written: No space left on device\n")


def test_bad_flags(bench: Bench, tmp_path: Path) -> None:
    assert bench.cli("runs", "export").code == 2
    assert "there are no runs in this workspace yet" in bench.cli("runs", "export", "last").error()
    assert bench.cli("runs", "export", "last", "--format", "xml").code == 2
    assert bench.elsewhere(tmp_path, "runs", "export", "last").code == 2


def test_a_reader_that_leaves_is_no_error(paid: Bench) -> None:
    command = [sys.executable, "-m", "llm_tester.cli.main", "runs", "export", "last"]
    with subprocess.Popen(command, cwd=paid.root, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert b"Traceback" not in process.stderr.read()


def test_a_run_that_goes_on_can_be_exported(paid: Bench) -> None:
    paid.sql("UPDATE runs SET status = 'running', owner = 'elsewhere/1/1', lease_until = 9e9")
    paid.sql("DELETE FROM scores")
    paid.sql("UPDATE calls SET state = 'claimed' WHERE call = 1")
    outcomes = {row["outcome"] for row in rows(paid)}
    assert "not_run" in outcomes
