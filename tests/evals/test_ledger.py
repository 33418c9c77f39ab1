"""The ledger: runs by their names, take-over, owners, calls of unknown fate."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Generator
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from llm_tester.config import Workspace
from llm_tester.errors import LedgerError
from llm_tester.evals.ledger import Ledger
from llm_tester.evals.ownership import is_alive, this_owner
from llm_tester.evals.preparing import RunOptions, prepare
from llm_tester.evals.run_records import RunRecord
from llm_tester.llms.llm_registry import ProviderRegistry

if TYPE_CHECKING:
    from tests.evals.conftest import Bench


def begin(bench: Bench, name: str | None = None, *, seed: int | None = None) -> RunRecord:
    """A run that is planned and of which nothing is sent."""
    here = Workspace.open(bench.root)
    options = RunOptions(["sums"], ["rep:m"], name=name, seed=seed)
    execution = prepare(here, ProviderRegistry(here), options).start()
    execution.ledger.close()
    return execution.run


@pytest.fixture
def filled(bench: Bench) -> Bench:
    """A workspace with a task of three samples and a provider that replays them."""
    bench.task(parameters={"max_tokens": 10})
    bench.replay("rep", {"m": {"s1": "2", "s2": "3", "s3": "5"}})
    return bench


@pytest.fixture
def ledger(filled: Bench) -> Generator[Ledger]:
    """A ledger with one planned run."""
    begin(filled, "first")
    with Ledger.existing(filled.root / ".llm_tester" / "ledger.sqlite3") as opened:
        yield opened


def said(error: pytest.ExceptionInfo[LedgerError]) -> tuple[str, str]:
    return error.value.message, error.value.hint


# --- finding runs


def test_a_run_is_found_by_id_prefix_name_and_last(filled: Bench, ledger: Ledger) -> None:
    first, second = ledger.run("first"), begin(filled)
    assert [run.id for run in ledger.runs()] == [second.id, first.id]
    assert ledger.run("last").id == second.id
    assert ledger.run(first.id) == first
    unique = next(first.id[:n] for n in range(1, 30) if not second.id.startswith(first.id[:n]))
    assert ledger.run(unique).id == first.id


def test_a_prefix_of_several_or_of_none_is_an_error(filled: Bench, ledger: Ledger) -> None:
    begin(filled)
    with pytest.raises(LedgerError) as raised:
        ledger.run("2")
    assert said(raised) == ('"2" fits 2 runs', "Give more of the id.")
    with pytest.raises(LedgerError) as raised:
        ledger.run("frist")
    assert said(raised) == ('there is no run "frist"', "Did you mean first?")
    with pytest.raises(LedgerError, match='there is no run ""'):
        ledger.run("")


def test_a_name_wins_over_the_beginning_of_an_id(filled: Bench, ledger: Ledger) -> None:
    named = begin(filled, ledger.run("first").id[:8])
    assert ledger.run(str(named.name)).id == named.id


def test_where_there_was_no_run_there_is_no_ledger(bench: Bench, ledger: Ledger, tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match="there are no runs in this workspace yet"):
        Ledger.existing(tmp_path / "none.sqlite3")
    assert not (tmp_path / "none.sqlite3").exists()
    with Ledger(tmp_path / "new.sqlite3") as empty, pytest.raises(LedgerError, match="there are no runs"):
        empty.run("last")


def test_two_runs_cannot_have_one_name(ledger: Ledger) -> None:
    """The check before a run can be too early where two begin at once."""
    with pytest.raises(LedgerError, match='there is a run named "first" already'):
        ledger.create_run(name="first", project="p", seed=0, settings={}, tasks=(), entrants=())
    assert len(ledger.runs()) == 1


def test_of_two_runs_that_take_one_name_at_once_the_second_is_an_error(filled: Bench) -> None:
    here = Workspace.open(filled.root)
    both = [prepare(here, ProviderRegistry(here), RunOptions(["sums"], ["rep:m"], name="same")) for _ in range(2)]
    both[0].start().ledger.close()
    with pytest.raises(LedgerError, match='there is a run named "same" already'):
        both[1].start()


# --- what is frozen


def test_a_plan_is_frozen_whole(filled: Bench, ledger: Ledger) -> None:
    run = ledger.run("last")
    (task,) = ledger.tasks(run)
    (entrant,) = ledger.entrants(run)
    assert (run.status, run.state, run.project, run.seed) == ("running", "running", "workspace", 0)
    assert (task.name, task.folder, task.total, task.planned) == ("sums", filled.root / "tasks/sums", 3, 3)
    assert (entrant.entrant.full_model, entrant.simulated, entrant.host) == ("rep:m", True, "")
    assert entrant.rates.by_class == {"input": Decimal(1), "output": Decimal(2), "reasoning": Decimal(2)}
    places = ledger.places(run, 1, -1, 10)
    assert [place.position for place in places] == [0, 1, 2]
    assert sorted((place.sample_id, place.messages[0].content, place.target) for place in places) == [
        ("s1", "1 + 1?", 2),
        ("s2", "2 + 1?", 3),
        ("s3", "3 + 1?", 4),
    ]
    assert {(place.state, place.call, place.attempt_group, place.scored) for place in places} == {
        (None, None, 0, False)
    }
    assert [place.position for place in ledger.places(run, 1, 0, 1)] == [1]


def test_the_same_content_is_stored_once(filled: Bench, ledger: Ledger) -> None:
    begin(filled)
    assert filled.sql("SELECT count(*) FROM samples") == [(3,)]
    assert filled.sql("SELECT count(*) FROM plan") == [(6,)]
    assert filled.sql("SELECT count(*) FROM prices") == [(1,)]


# --- owners


def test_this_process_is_alive_and_so_is_its_run(ledger: Ledger) -> None:
    assert is_alive(this_owner(), None)
    assert ledger.run("last").is_alive


def test_a_process_that_ended_is_dead(monkeypatch: pytest.MonkeyPatch) -> None:
    program = "from llm_tester.evals.ownership import this_owner; print(this_owner())"
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    owner = ended.stdout.strip()
    assert not is_alive(owner, time.time() + 60)
    host, _, started = owner.split("/")
    # Another process got the same id.
    assert not is_alive(f"{host}/{os.getpid()}/{int(started) + 1}", None)
    assert is_alive(f"{host}/{os.getpid()}/", None)


@pytest.mark.skipif(not hasattr(os, "waitid"), reason="this system cannot wait for a process without reaping it")
def test_a_process_that_nobody_reaped_is_dead() -> None:
    with subprocess.Popen([shutil.which("true") or "true"]) as zombie:
        os.waitid(os.P_PID, zombie.pid, os.WEXITED | os.WNOWAIT)
        host = this_owner().partition("/")[0]
        assert not is_alive(f"{host}/{zombie.pid}/", None)


@pytest.mark.parametrize(
    ("owner", "lease", "alive"),
    [
        (None, 1e12, False),
        ("", 1e12, False),
        ("elsewhere/1/5", 100.0, True),
        ("elsewhere/1/5", 99.0, False),
        ("elsewhere/1/5", None, False),
        ("no owner of ours", 100.0, True),
    ],
)
def test_a_process_on_another_host_is_believed_until_its_lease_ends(
    owner: str | None, lease: float | None, alive: bool
) -> None:
    assert is_alive(owner, lease, now=99.5) is alive


# --- take-over


def test_a_run_of_a_living_process_is_not_taken_over(filled: Bench, ledger: Ledger) -> None:
    filled.sql("UPDATE runs SET owner = 'elsewhere/1/5', lease_until = ?", time.time() + 60)
    with pytest.raises(LedgerError) as raised:
        ledger.take_over(ledger.run("first"))
    run = ledger.run("first")
    assert said(raised) == (f"another process works on the run {run.id} (elsewhere/1/5)", "Wait for it, or stop it.")
    assert run.owner == "elsewhere/1/5"
    assert ledger.unknown_calls(run) == []
    assert "another process works on the run" in filled.cli("resume", "first").error()


def test_calls_of_unknown_fate_are_named_once_and_marked(filled: Bench, ledger: Ledger) -> None:
    place, other = ledger.places(ledger.run("first"), 1, -1, 10)[:2]
    ledger.claim(ledger.run("first"), place, "c1", Decimal("0.5")).result()
    ledger.claim(ledger.run("first"), other, "c2", None).result()
    filled.sql("UPDATE runs SET owner = 'elsewhere/1/5', lease_until = 5")
    run = ledger.run("first")
    assert (run.status, run.state) == ("running", "stopped")
    unknown = ledger.unknown_calls(run)
    assert [(call.entrant, call.task, call.sample_id, call.call_id, call.at_most) for call in unknown] == [
        ("rep:m", "sums", place.sample_id, "c1", Decimal("0.5")),
        ("rep:m", "sums", other.sample_id, "c2", None),
    ]
    shown = filled.cli("show", "first").out
    assert f"unknown fate: sums / {place.sample_id} / rep:m (c1), at most $0.5" in shown
    assert f"unknown fate: sums / {other.sample_id} / rep:m (c2), at an unbounded cost" in shown
    assert f"Next: llm-tester resume {run.id}" in shown
    assert "## Calls of unknown fate" in filled.cli("report", "first", "--format", "md").out
    assert ledger.take_over(run) == unknown
    assert ledger.run("first").is_alive
    assert ledger.take_over(run) == []
    assert {place.state for place in ledger.places(run, 1, -1, 10)} == {"unknown", None}


def test_a_resumed_run_names_calls_of_unknown_fate_and_sends_them_again(filled: Bench, ledger: Ledger) -> None:
    place = ledger.places(ledger.run("first"), 1, -1, 10)[0]
    ledger.claim(ledger.run("first"), place, "c1", Decimal("0.5")).result()
    filled.sql("UPDATE runs SET owner = NULL")
    ended = filled.cli("resume", "first")
    assert ended.code == 0, ended
    assert f"1 call of unknown fate, sent again:\n  sums / {place.sample_id} / rep:m (c1), at most $0.5\n" in ended.out
    calls = filled.sql("SELECT state, attempt_group FROM calls WHERE position = ? ORDER BY call", place.position)
    assert calls == [("unknown", 1), ("answered", 2)]
    assert ledger.run("first").status == "complete"
    model = filled.report()["models"][0]
    assert (model["samples"], model["cost_unknown_calls"]) == (3, 4)  # none of the three reports tokens


def test_a_run_without_an_owner_is_stopped(filled: Bench, ledger: Ledger) -> None:
    filled.sql("UPDATE runs SET owner = NULL")
    assert ledger.run("last").state == "stopped"
    assert filled.cli("runs", "list", "--json").json[0]["status"] == "stopped"


def test_the_lease_is_renewed(ledger: Ledger) -> None:
    run = ledger.run("last")
    ledger.renew_lease(run).result()
    assert (ledger.run("last").lease_until or 0) > (run.lease_until or 0)
