"""Fields that count more, or less, than others."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from llm_tester.errors import TaskError
from llm_tester.evals.samples import Outcome
from llm_tester.evals.scorers import FieldsScorer
from tests.evals.conftest import Bench
from tests.evals.scorers.scoring import scored

GOLD = {"vendor": {"name": "Alder", "city": "Ulm"}, "total": 42, "items": [{"text": "a", "price": 1}]}


@pytest.mark.parametrize(
    ("weights", "answer", "value"),
    [
        ({}, {**GOLD, "total": 1}, 3 / 4),
        ({"total": 3}, {**GOLD, "total": 1}, 3 / 6),
        ({"total": 0}, {**GOLD, "total": 1}, 1),
        ({"vendor": 2}, {**GOLD, "vendor": {}}, 2 / 6),
        ({"vendor": 2, "vendor.city": 0.5}, {**GOLD, "vendor": {"name": "Alder"}}, 4 / 4.5),
        ({"note": 4}, {**GOLD, "note": "x"}, 4 / 8),
        ({"items": 5}, {**GOLD, "items": []}, 3 / 8),
        ({"items[].price": 3}, {**GOLD, "items": [{"text": "a", "price": 2}]}, 3.25 / 4),
        ({"items[]": 3}, {**GOLD, "items": [{"text": "a", "price": 2}]}, 3.5 / 4),
        ({"items[].price": 0}, {**GOLD, "items": [{"text": "a", "price": 2}]}, 1),
    ],
)
def test_a_field_counts_by_its_weight(weights: dict[str, float], answer: Any, value: float) -> None:
    assert scored(GOLD, answer, weights=weights).value == pytest.approx(value)


def test_a_field_of_weight_0_is_reported_all_the_same() -> None:
    score = scored({"a": 1, "b": 2}, {"a": 1, "b": 3}, weights={"b": 0})
    assert (score.value, score.outcome) == (1, Outcome.CORRECT)
    assert score.fields == {"a": "correct", "b": "wrong"}


def test_items_of_which_nothing_counts_are_paired_all_the_same() -> None:
    gold = {"items": [{"note": "x"}, {"note": "y"}]}
    assert scored(gold, {"items": [{"note": "y"}, {"note": "x"}]}, weights={"items[].note": 0}).value == 1
    assert scored(gold, {"items": [{"note": "y"}, {"note": "z"}]}, weights={"items[].note": 0}).value == 0.5


@pytest.mark.parametrize("weight", [-1, 1001, "x", None])
def test_weights_are_numbers_from_0_to_1000(weight: Any) -> None:
    with pytest.raises(ValidationError):
        FieldsScorer.model_validate({"weights": {"a": weight}})


def test_a_gold_of_which_nothing_counts_is_refused() -> None:
    with pytest.raises(TaskError, match="whose weight is not 0"):
        FieldsScorer(weights={"a": 0}).check_target({"a": 1})


def test_a_weight_that_fits_no_gold_is_told(bench: Bench) -> None:
    samples = [{"id": "1", "input": "x", "target": {"a": 1}}, {"id": "2", "input": "y", "target": {"a": 2}}]
    bench.task("weighed", samples, scorer={"type": "fields", "weights": {"a": 2, "b": 3}})
    checked = bench.cli("tasks", "check", "weighed")
    assert checked.code == 0
    assert 'no gold has "b"' in checked.out
    assert 'no gold has "a"' not in checked.out
