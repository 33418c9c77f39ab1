"""`runs delete`: what goes, what stays on the bill, and what is refused."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from llm_tester.evals.deletion import TABLES
from llm_tester.evals.ownership import this_owner
from tests.cli.conftest import GOOD

if TYPE_CHECKING:
    from tests.evals.conftest import Bench

PAID = """
from llm_tester import BaseLLM, OverloadedError

class Paid(BaseLLM):
    def _call_llm_api(self, prompt, system_prompt, model_name, model_config):
        number = int(prompt.split()[0])
        if number == 3:
            raise OverloadedError("down", status=500, retry_after=0)
        return f"Secretly {number + 1}", {} if number == 2 else {"input": 100, "output": 10}
"""
KEPT = {"prices", "rollups", "samples", "schema_version", "spent_before"}


@pytest.fixture
def paid(ready: Bench) -> Bench:
    """Two runs of a provider that costs: an answer with a price, one without counts, and an error."""
    ready.provider("paid", PAID)
    for name in ("first", "second"):
        assert ready.cli("run", "sums", "-m", "paid:m", "--name", name).code == 3
    return ready


def bills(bench: Bench) -> list[str]:
    """The bill by everything that it can be summed by."""
    every = "provider,model,task,project,day,outcome"
    return [bench.cli("costs", "--by", by, "--format", "json").out for by in (every, "token-class")]


def tables(bench: Bench) -> dict[str, int]:
    names = [name for (name,) in bench.sql("SELECT name FROM sqlite_master WHERE type = 'table'")]
    return {name: bench.sql(f"SELECT count(*) FROM {name}")[0][0] for name in names}  # noqa: S608 - our own tables


def test_a_run_goes_and_the_bill_stays(paid: Bench) -> None:
    before, rows = bills(paid), tables(paid)
    first = paid.report("first")["run"]
    ended = paid.cli("runs", "delete", "first", "--yes")
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.startswith(f"Deleted the run {first}: 3 calls, 0 samples that no other run has.")
    assert f"Still there: {paid.root / 'reports' / first}.html\n" in ended.out
    assert [run["name"] for run in paid.cli("runs", "list", "--json").json] == ["second"]
    assert paid.cli("show", "first").error().startswith('there is no run "first"\n')
    left = tables(paid)
    assert {name: left[name] * 2 for name in TABLES} == {name: rows[name] for name in TABLES}
    assert left["samples"] == rows["samples"] == 3
    assert bills(paid) == before
    assert paid.cli("costs", "--verify").code == 0
    assert paid.cli("costs", "--rebuild", "--verify").code == 0
    assert bills(paid) == before


def test_the_last_run_takes_its_samples_along_and_leaves_no_answer_to_read(paid: Bench) -> None:
    before = bills(paid)
    assert paid.cli("runs", "delete", "first", "--yes").code == 0
    assert "3 calls, 3 samples that no other run has" in paid.cli("runs", "delete", "second", "--yes").out
    assert {name for name, count in tables(paid).items() if count} == KEPT - {"samples"}
    assert bills(paid) == before
    assert paid.cli("costs", "--rebuild", "--verify").code == 0
    assert bills(paid) == before
    for file in (paid.root / ".llm_tester").iterdir():
        assert b"Secretly" not in file.read_bytes(), file
    assert paid.cli("runs", "delete", "last", "--yes").error().startswith("there are no runs in this workspace yet\n")
    # The task can be run again, and the bill goes on from there.
    assert paid.cli("run", "sums", "-m", "paid:m", "--name", "first").code == 3
    assert paid.cli("costs", "--verify").code == 0
    calls = [row["calls"] for row in paid.cli("costs", "--format", "json").json]
    assert calls == [9]


def test_no_table_of_a_run_is_forgotten(paid: Bench) -> None:
    # A table that refers to a run's rows must be emptied too; a new one has to be named in TABLES.
    names = [name for (name,) in paid.sql("SELECT name FROM sqlite_master WHERE type = 'table'")]
    referring = {
        name
        for name in names
        for row in paid.sql(f"PRAGMA foreign_key_list({name})")
        if row[2] in ("runs", "calls", "entrants", "tasks")
    }
    assert referring | {"runs"} == set(TABLES)


def test_a_call_of_unknown_fate_stays_on_the_bill_as_one(paid: Bench) -> None:
    # As after a kill: a claim without an end, of a process that is no more.
    paid.sql("UPDATE runs SET status = 'running', owner = 'elsewhere/1/1', lease_until = 1 WHERE name = 'second'")
    paid.sql(
        "INSERT INTO calls (call_id, run, entrant, position, epoch, purpose, attempt_group, state, claimed_at, at_most)"
        " SELECT 'lost', run, entrant, position, epoch, purpose, 2, 'claimed', claimed_at, 1000000 FROM calls"
        " ORDER BY call DESC LIMIT 1"
    )
    (before,) = paid.cli("costs", "--format", "json").json
    assert paid.cli("runs", "delete", "second", "--yes").code == 0
    (after,) = paid.cli("costs", "--format", "json").json
    assert (after["calls"], after["unknown_calls"]) == (before["calls"] + 1, before["unknown_calls"] + 1)
    assert paid.cli("costs", "--rebuild", "--verify").code == 0
    assert paid.cli("costs", "--format", "json").json == [after]


def test_a_simulated_run_leaves_nothing_on_the_bill(ready: Bench) -> None:
    assert ready.cli(*GOOD).code == 0
    assert ready.cli("runs", "delete", "last", "--yes").code == 0
    assert {name for name, count in tables(ready).items() if count} == {"prices", "schema_version"}


# --- refused


def test_a_run_that_a_process_works_on_is_not_deleted(paid: Bench) -> None:
    paid.sql("UPDATE runs SET status = 'running', owner = ?, lease_until = 9e9 WHERE name = 'first'", this_owner())
    said = paid.cli("runs", "delete", "first", "--yes").error()
    assert "cannot be deleted: a process works on it" in said
    assert "Wait for it, or stop it." in said
    assert len(paid.cli("runs", "list", "--json").json) == 2


def test_a_run_whose_answers_another_one_took_is_not_deleted(paid: Bench) -> None:
    paid.sql(
        "UPDATE answers SET cached_from = (SELECT min(call) FROM calls) WHERE call = (SELECT max(call) FROM answers)"
    )
    second = paid.report("second")["run"]
    said = paid.cli("runs", "delete", "first", "--yes").error()
    assert f"the run {second} took answers from it" in said
    assert f"Delete {second} first." in said
    assert paid.cli("runs", "delete", "second", "--yes").code == 0
    assert paid.cli("runs", "delete", "first", "--yes").code == 0


def test_nothing_is_deleted_unasked(paid: Bench) -> None:
    run = paid.report("last")["run"]
    assert paid.cli("runs", "delete", "last").error() == f"the run {run} is not deleted unasked\n  Add --yes.\n"
    assert paid.cli("runs", "delete", "no_such", "--yes").error().startswith('there is no run "no_such"\n')
    assert paid.cli("runs", "delete", "2", "--yes").error().startswith('"2" fits 2 runs\n')
    assert paid.cli("runs", "delete").code == 2
    assert len(paid.cli("runs", "list", "--json").json) == 2


def test_before_the_first_run_there_is_nothing_to_delete(bench: Bench) -> None:
    assert bench.cli("runs", "delete", "last", "--yes").error().startswith("there are no runs in this workspace yet\n")
    assert not (bench.root / ".llm_tester").exists()


@pytest.mark.parametrize(("typed", "code", "left"), [(b"n\n", 1, 2), (b"y\n", 0, 1)])
def test_on_a_terminal_it_asks(paid: Bench, typed: bytes, code: int, left: int) -> None:
    outer, inner = pty.openpty()
    try:
        command = [sys.executable, "-m", "llm_tester.cli.main", "runs", "delete", "first"]
        with subprocess.Popen(command, cwd=paid.root, stdin=inner, stdout=inner, stderr=inner) as process:
            os.write(outer, typed)
            assert process.wait(timeout=30) == code
        said = os.read(outer, 4096).decode()
    finally:
        os.close(outer)
        os.close(inner)
    assert "(first), incomplete, with all its answers? [y/N]" in said
    assert len(paid.cli("runs", "list", "--json").json) == left
