"""The fields scorer: what holds for any gold and any answer."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from llm_tester.errors import TaskError
from llm_tester.evals.samples import Outcome
from llm_tester.evals.scorers import FieldsScorer
from tests.evals.scorers.scoring import scored

NAMES = st.sampled_from(["a", "b", "c", "d"])
SCALARS = st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from(["", "x", "y", "X ", "1"])
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=3), max_leaves=12
)
OBJECTS = st.dictionaries(NAMES, VALUES, min_size=1)


def is_gold(value: Any, weights: Mapping[str, float] | None = None) -> bool:
    try:
        FieldsScorer(weights=weights or {}).check_target(value)
    except TaskError:
        return False
    return True


WEIGHTS = st.dictionaries(
    st.sampled_from(["a", "b", "c", "d", "a.b", "a[].b"]), st.sampled_from([0, 0.5, 1, 3, 1000]), max_size=3
)
ERRORS = [99, "99", {"zz": 99}, [99]]


def leaves_of(value: Any) -> list[list[str]]:
    """The paths to what stands in objects, lists and scalars as they are."""
    if not isinstance(value, dict):
        return [[]]
    return [[name, *path] for name, inner in value.items() for path in leaves_of(inner)]


def changed(value: Any, path: list[str], to: Any) -> Any:
    return to if not path else {**value, path[0]: changed(value[path[0]], path[1:], to)}


class TestProperties:
    @settings(derandomize=True)
    @given(OBJECTS.filter(is_gold), st.sampled_from(["matched", "ordered"]))
    def test_gold_is_right_against_itself(self, gold: Any, kind: str) -> None:
        score = scored(gold, gold, {name: {"list": kind} for name in "abcd"})
        assert (score.value, score.outcome) == (1, Outcome.CORRECT)

    @settings(derandomize=True)
    @given(OBJECTS.filter(is_gold), OBJECTS)
    def test_score_is_within_bounds(self, gold: Any, answer: Any) -> None:
        score = scored(gold, answer)
        assert 0 <= score.value <= 1
        assert score.fields is not None
        assert (score.value == 1) == all(verdict == "correct" for verdict in score.fields.values())

    @settings(derandomize=True)
    @given(st.lists(VALUES, min_size=1, max_size=6), st.randoms(use_true_random=False))
    def test_order_matters_only_when_declared(self, gold: list[Any], shuffler: random.Random) -> None:
        assume(is_gold(gold))
        answer = shuffler.sample(gold, len(gold))
        assert scored(gold, answer).value == 1
        assert scored(gold, answer, {"": {"list": "ordered"}}).value <= 1

    @settings(derandomize=True)
    @given(st.dictionaries(NAMES, st.integers(0, 3), min_size=1), st.dictionaries(NAMES, st.integers(0, 3)), NAMES)
    def test_an_error_never_pays(self, gold: dict[str, int], answer: dict[str, int], name: str) -> None:
        before = scored(gold, answer).value
        assert scored(gold, answer | {name: 99}).value <= before
        assert scored(gold, answer | {"new": 1}).value <= before

    @settings(derandomize=True)
    @given(
        st.lists(st.integers(0, 3), min_size=1), st.lists(st.integers(0, 3)), st.sampled_from(["matched", "ordered"])
    )
    def test_an_invented_item_never_pays(self, gold: list[int], answer: list[int], kind: str) -> None:
        rules = {"": {"list": kind}}
        assert scored(gold, [*answer, 99], rules).value <= scored(gold, answer, rules).value

    @settings(derandomize=True)
    @given(OBJECTS, WEIGHTS, st.sampled_from(["matched", "ordered"]))
    def test_weights_keep_a_gold_right_and_scores_within_bounds(
        self, gold: Any, weights: dict[str, float], kind: str
    ) -> None:
        assume(is_gold(gold, weights))
        rules = {name: {"list": kind} for name in "abcd"}
        score = scored(gold, gold, rules, weights)
        assert (score.value, score.outcome) == (1, Outcome.CORRECT)
        assert 0 <= scored(gold, {"a": [1], "new": {"b": 2}}, rules, weights).value < 1

    @settings(derandomize=True)
    @given(OBJECTS, OBJECTS, WEIGHTS, st.sampled_from(ERRORS), st.data())
    def test_an_error_anywhere_never_pays(
        self, gold: Any, answer: Any, weights: dict[str, float], wrong: Any, data: st.DataObject
    ) -> None:
        assume(is_gold(gold, weights))
        before = scored(gold, answer, weights=weights).value
        path = data.draw(st.sampled_from(leaves_of(answer) or [["a"]]))
        answer = {"a": None, **answer}
        assert scored(gold, changed(answer, path, wrong), weights=weights).value <= before + 1e-12
        assert scored(gold, {**answer, "new": wrong}, weights=weights).value <= before

    @settings(derandomize=True)
    @given(OBJECTS.filter(is_gold), OBJECTS, st.sampled_from([0.25, 2, 1000]))
    def test_only_the_ratio_of_weights_matters(self, gold: Any, answer: Any, weight: float) -> None:
        names = {*gold, *answer}
        same = scored(gold, answer, weights=dict.fromkeys(names, weight)).value
        assert same == pytest.approx(scored(gold, answer).value)
