"""`show`, `report`, `runs list`, `resume`: looking at runs that were made."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.evals.conftest import Bench


@pytest.fixture
def done(bench: Bench) -> Bench:
    """A workspace with two runs, of which the first has a name and the second gaps."""
    bench.task("sums", 3)
    bench.task("more", 2)
    bench.replay("rep", {"good": {"s1": "2", "s2": "3", "s3": "4"}, "poor": {"s1": "\x1b[31m5", "s2": "3"}})
    assert bench.cli("run", "sums", "-m", "rep:good", "--name", "fine").code == 0
    assert bench.cli("run", "sums", "more", "-m", "rep:poor").code == 3
    return bench


# --- show


def test_a_run_is_shown_with_its_leaderboard_and_its_errors(done: Bench) -> None:
    fine = done.cli("show", "fine").out
    assert fine.startswith("Run fine, complete\n")
    assert "rep:good scores 1.000 (cost unknown); there is nothing to compare it with." in fine
    last = done.cli("show", "last").out
    assert f"Run {done.report()['run']}, incomplete\n" in last
    assert '1 x rep:poor: BadRequestError: no recorded answer for the sample "s3"\n' in last


def test_what_went_wrong_is_listed(done: Bench) -> None:
    shown = done.cli("show", "last", "--wrong").out
    listed = [line.split()[:5] for line in shown.splitlines() if line.strip().startswith("s")]
    assert sorted(listed) == [
        ["s1", "rep:poor", "wrong", "0.00", "2"],
        ["s1", "rep:poor", "wrong", "0.00", "2"],
        ["s3", "rep:poor", "error", "–", "4"],
    ]
    assert "\x1b" not in shown
    assert "s1" not in done.cli("show", "fine", "--wrong").out


def test_a_sample_is_shown_for_every_task_that_has_one_of_that_id(done: Bench) -> None:
    shown = done.cli("show", "last", "s1").out
    assert "sums / s1\n" in shown
    assert "more / s1\n" in shown
    assert shown.count("Prompt\n1 + 1?\n\nExpected\n2\n\nrep:poor: wrong, score 0.000\n5\n") == 2


def test_a_sample_that_is_not_in_the_run_brings_near_ids(done: Bench) -> None:
    said = done.cli("show", "last", "s11").error()
    assert said.startswith(f'the run {done.report()["run"]} has no sample "s11"\n')
    assert "Did you mean s1?" in said or "Did you mean s1 or" in said


@pytest.mark.parametrize("command", ["show", "report", "resume"])
def test_a_run_that_is_not_there_brings_near_names(done: Bench, command: str) -> None:
    said = done.cli(command, "fien").error()
    assert said == 'there is no run "fien"\n  Did you mean fine?\n'


# --- report


def test_a_report_is_markdown_json_or_csv(done: Bench) -> None:
    text = done.cli("report", "fine", "--format", "md").out
    assert text.startswith("# Run fine (")
    rows = done.report("fine")["results"]
    assert [row["outcome"] for row in rows] == ["correct"] * 3
    assert set(rows[0]) == {
        "sample_id",
        "entrant",
        "model",
        "task",
        "epoch",
        "outcome",
        "score",
        "answer",
        "expected",
        "usage",
        "cost_usd",
        "latency_ms",
        "attempts",
    }
    assert len(done.cli("report", "fine", "--format", "csv").out.splitlines()) == 4
    error = next(row for row in done.report()["results"] if row["outcome"] == "error")
    assert (error["score"], error["answer"], error["cost_usd"], error["attempts"]) == (None, None, None, 1)


# --- runs


def test_runs_are_listed_the_newest_first(done: Bench) -> None:
    second, first = done.cli("runs", "list", "--json").json
    assert (first["name"], first["status"], first["tasks"], first["entrants"]) == (
        "fine",
        "complete",
        ["sums"],
        ["rep:good"],
    )
    assert (second["name"], second["status"], second["tasks"]) == (None, "incomplete", ["sums", "more"])
    assert datetime.fromisoformat(first["created_at"]).tzinfo == UTC
    assert first["project"] == "workspace"
    shown = done.cli("runs", "list").out
    assert shown.index(second["run"]) < shown.index(first["run"])
    assert "sums, more" in shown


# --- resume


def test_resuming_a_finished_run_shows_it_again(done: Bench) -> None:
    ended = done.cli("resume", "fine")
    assert ended.code == 0
    assert ended.out.startswith("Run fine: sums; 1 entrant, 3 calls\n")
    as_json = done.cli("resume", "fine", "--json")
    assert (as_json.code, as_json.json["status"]) == (0, "complete")
    assert as_json.json["models"] == done.report("fine")["models"]


def test_the_newest_run_is_resumed_where_none_is_named(done: Bench) -> None:
    assert done.cli("resume", "--json").json["run"] == done.report()["run"]


def test_a_run_whose_model_is_gone_is_not_resumed(done: Bench) -> None:
    done.replay("rep", {"other": {"s1": "2"}})
    assert 'rep has no model "good"' in done.cli("resume", "fine").error()
    assert done.cli("runs", "list", "--json").json[1]["status"] == "complete"


def test_a_stopped_run_says_how_to_go_on(done: Bench) -> None:
    done.sql("CREATE TRIGGER full BEFORE INSERT ON answers BEGIN SELECT RAISE(ABORT, 'no room'); END")
    assert done.cli("run", "sums", "-m", "rep:good", "--name", "stuck").code == 3
    run = done.cli("runs", "list", "--json").json[0]["run"]
    shown = done.cli("show", "stuck").out
    assert "Run stuck, stopped\n" in shown
    assert f"Next: llm-tester resume {run}\n" in shown
    assert "3 samples not answered yet." in shown
