"""Golds that cannot be right answers: where they stand, all of them at once, and what was meant."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.evals.conftest import Bench

CHOICE = {"type": "choice", "choices": ["Rechnung", "Kündigung"]}


def said(bench: Bench, targets: list[Any], scorer: Any = CHOICE) -> str:
    rows = [{"id": f"s{n}", "input": "q", "target": target} for n, target in enumerate(targets, 1)]
    bench.task(samples=rows, scorer=scorer)
    told = bench.cli("tasks", "check", "sums").error()
    bench.replay("rep", {"m": {"s1": "x"}})
    assert bench.cli("run", "sums", "-m", "rep:m").error() == told
    return told


def test_a_label_that_is_no_choice_is_told_with_its_line_the_choices_and_a_near_one(bench: Bench) -> None:
    told = said(bench, ["Rechnung", "Rechnnug"])
    assert 'samples.jsonl:2: sample "s2": The choice scorer needs a letter from A to B' in told
    assert "not 'Rechnnug'. Did you mean Rechnung?\n" in told
    assert "The choices are Rechnung, Kündigung." in told


def test_several_are_told_at_once(bench: Bench) -> None:
    told = said(bench, ["x", "Rechnung", "kundigung", 7])
    assert told.startswith("3 samples cannot be used:\n")
    assert [f"samples.jsonl:{line}: " in told for line in (1, 2, 3, 4)] == [True, False, True, True]
    assert "Did you mean Kündigung?" in told
    assert told.count("The choices are") == 1


def test_of_many_the_first_ten_are_told(bench: Bench) -> None:
    told = said(bench, ["x"] * 13)
    assert told.startswith("13 samples cannot be used:\n")
    assert "samples.jsonl:10: " in told
    assert "samples.jsonl:11: " not in told
    assert "\n  and 3 more\n" in told


def test_a_row_that_cannot_be_read_is_told_beside_them(bench: Bench) -> None:
    told = said(bench, ["x", "Rechnung", ""])
    assert told.startswith("2 samples cannot be used:\n")
    assert "samples.jsonl:3: the target is empty" in told


def test_a_scorer_that_is_misspelt_brings_the_near_one(bench: Bench) -> None:
    told = said(bench, ["x"], {"type": "choise"})
    assert 'scorer: there is no scorer "choise". Did you mean choice? "type" must be one of exact, ' in told
    assert "Did you mean" not in said(bench, ["x"], {"type": "zzz"})
