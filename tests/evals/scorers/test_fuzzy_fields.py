"""Fields that are texts and need only be alike, where the task says so."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from llm_tester.evals.samples import Outcome
from llm_tester.evals.scorers import FieldsScorer
from tests.evals.scorers.scoring import scored

FUZZY = {"name": {"type": "text", "threshold": 0.75}, "items[].name": {"type": "text", "threshold": 0.75}}
NAMES = st.text("abc", min_size=1, max_size=12)


@pytest.mark.parametrize(("given_name", "value"), [("ABCD", 1.0), ("abcx", 0.75), ("abxy", 0.0), ("", 0.0)])
def test_likeness_counts_from_the_threshold_on(given_name: str, value: float) -> None:
    assert scored({"name": "abcd"}, {"name": given_name}, FUZZY).value == value
    assert scored({"name": "abcd"}, {"name": given_name}, {"name": {"type": "text"}}).value == (value == 1)


def test_a_text_that_is_alike_is_partly_right_and_still_wrong_in_the_field() -> None:
    score = scored({"name": "abcd"}, {"name": "abcx"}, FUZZY)
    assert score.outcome is Outcome.PARTIAL
    assert score.fields == {"name": "wrong"}


def test_items_are_paired_by_likeness() -> None:
    gold = {"items": [{"name": "abcd"}, {"name": "wxyz"}]}
    assert scored(gold, {"items": [{"name": "wxyq"}, {"name": "abcd"}]}, FUZZY).value == pytest.approx(0.875)


def test_long_texts_must_be_equal() -> None:
    long = "a" * 3000
    assert scored({"name": long}, {"name": long + "b"}, FUZZY).value == 0
    assert scored({"name": long}, {"name": long}, FUZZY).value == 1


@pytest.mark.parametrize("threshold", [0, -1, 1.1, "x"])
def test_a_threshold_is_above_0_and_at_most_1(threshold: Any) -> None:
    with pytest.raises(ValidationError):
        FieldsScorer.model_validate({"fields": {"name": {"type": "text", "threshold": threshold}}})


@settings(deadline=None, derandomize=True)
@given(NAMES, NAMES, st.floats(0.01, 1))
def test_fuzziness_is_bounded_and_never_takes_credit(gold: str, answer: str, threshold: float) -> None:
    rules = {"name": {"type": "text", "threshold": threshold}}
    value = scored({"name": gold}, {"name": answer}, rules).value
    assert value == 0 or threshold <= value <= 1
    assert value >= scored({"name": gold}, {"name": answer}).value


def test_what_is_not_declared_is_in_no_dump_and_so_in_no_hash() -> None:
    plain = {"type": "fields", "fields": {"name": {"type": "text"}}}
    assert FieldsScorer.model_validate(plain).model_dump(mode="json") == plain
    declared = {"type": "fields", "fields": {"name": {"type": "text", "threshold": 0.5}}, "weights": {"name": 2.0}}
    assert FieldsScorer.model_validate(declared).model_dump(mode="json") == declared
