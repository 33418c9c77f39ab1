"""Which fields go wrong for whom, and which samples are hard: counted by hand, through the program."""

from __future__ import annotations

import json
from typing import Any

import pytest

from llm_tester.evals.field_tables import HARDEST, MOST_FIELDS, Difficulties
from llm_tester.evals.ledger import Ledger
from llm_tester.evals.results import results
from tests.evals.conftest import Bench

GOLDS = {"s1": {"a": 1, "b": 2}, "s2": {"a": 1, "b": 3}, "s3": {"a": 5}}
ANSWERS: dict[str, dict[str, Any]] = {
    "good": {"s1": {"a": 1, "b": 2}, "s2": {"a": 1}, "s3": {"a": 5}},
    "poor": {"s1": {"a": 2, "c": 1}, "s2": "no idea", "s3": {"a": 5, "b": 1}},
}


def ran(bench: Bench) -> Bench:
    samples = [{"id": name, "input": name, "target": gold} for name, gold in GOLDS.items()]
    bench.task("forms", samples, scorer={"type": "fields"})
    texts = {
        model: {name: text if isinstance(text, str) else json.dumps(text) for name, text in given.items()}
        for model, given in ANSWERS.items()
    }
    bench.replay("fake", texts)
    assert bench.cli("run", "forms", "-m", "fake:good", "-m", "fake:poor").code == 0
    return bench


def tally(share: float | None, correct: int, wrong: int, missing: int, invented: int) -> dict[str, float | None]:
    return {"share_correct": share, "correct": correct, "wrong": wrong, "missing": missing, "invented": invented}


def test_fields_are_counted_by_entrant(bench: Bench) -> None:
    found = ran(bench).report()["tasks"]["forms"]["fields"]
    assert found["a"] == {"fake:good": tally(1, 3, 0, 0, 0), "fake:poor": tally(1 / 3, 1, 1, 1, 0)}
    assert found["b"] == {"fake:good": tally(0.5, 1, 0, 1, 0), "fake:poor": tally(0, 0, 0, 2, 1)}
    assert found["c"] == {"fake:poor": tally(None, 0, 0, 0, 1)}


def test_the_hardest_samples_are_those_that_most_get_wrong(bench: Bench) -> None:
    assert ran(bench).report()["tasks"]["forms"]["hardest"] == [
        {"sample_id": "s2", "not_correct": ["fake:good", "fake:poor"], "answered": 2, "score": 0.25}
    ]


def test_show_and_the_reports_have_both(bench: Bench) -> None:
    shown = ran(bench).cli("show", "last")
    assert "Fields: forms" in shown.out
    assert "33.3 % (1 wrong, 1" in shown.out
    page = bench.cli("report", "last", "--output", "-").out
    markdown = bench.cli("report", "last", "--format", "md").out
    for text in ("33.3 % (1 wrong, 1 missing)", "1 invented", "all 2", "Hardest samples"):
        assert text in page
        assert text in markdown
    assert "| b | 50.0 % (1 missing) | 0.0 % (2 missing, 1 invented) |" in markdown
    assert "llm-tester show" in markdown


def test_what_brought_no_answer_is_not_counted(bench: Bench) -> None:
    bench.task("sums", 2)
    bench.replay("fake", {"m": {"s1": "2"}})
    bench.cli("run", "sums", "-m", "fake:m")
    assert bench.report()["tasks"]["sums"] == {"fields": {}, "hardest": []}
    assert "Fields" not in bench.cli("show", "last").out


def test_what_is_kept_is_bounded(bench: Bench) -> None:
    gold = {f"f{n:03}": n for n in range(MOST_FIELDS + 5)}
    samples = [{"id": f"s{n}", "input": f"{n}", "target": gold} for n in range(HARDEST + 5)]
    bench.task("wide", samples, scorer={"type": "fields"})
    bench.replay("fake", {"m": {f"s{n}": json.dumps({"f000": n}) for n in range(HARDEST + 5)}})
    assert bench.cli("run", "wide", "-m", "fake:m").code == 0
    found = bench.report()["tasks"]["wide"]
    assert len(found["fields"]) == MOST_FIELDS
    assert len(found["hardest"]) == HARDEST
    assert "165 more fields not listed" in bench.cli("report", "last", "--format", "md").out


@pytest.mark.parametrize("scorer", [{"type": "fields"}, {"type": "exact"}, {"type": "fields", "x": 1}, None])
def test_a_scorer_of_another_time_does_no_harm(bench: Bench, scorer: object) -> None:
    with Ledger(ran(bench).root / ".llm_tester/ledger.sqlite3") as ledger:
        found = Difficulties({"scorer": scorer})
        for row in results(ledger, ledger.run("last")):
            found.add(row)
    missed = scorer == {"type": "fields"}
    assert found.fields().fields["a"]["fake:poor"].missing == missed
    assert [sample.sample_id for sample in found.hardest()] == ["s2"]


def test_names_of_entrants_and_fields_are_only_text(bench: Bench) -> None:
    evil = "<b>[red]|x"
    bench.task("odd", [{"id": evil, "input": "x", "target": {evil: 1}}], scorer={"type": "fields"})
    bench.replay("fake", {"m": {evil: json.dumps({evil: 2})}})
    entrants = [{"name": evil, "model": "fake:m"}]
    bench.write("config.json", {"run": {"tasks": ["odd"], "entrants": entrants}})
    assert bench.cli("run").code == 0
    assert "<b>" not in bench.cli("report", "last", "--output", "-").out
    assert f"{evil}" in bench.cli("show", "last").out
    rows = [line for line in bench.cli("report", "last", "--format", "md").out.splitlines() if line.startswith("| ")]
    assert all("<b>" not in line for line in rows)
