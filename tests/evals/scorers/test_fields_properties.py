"""The fields scorer: what holds for any gold and any answer."""

from __future__ import annotations

import random
from typing import Any

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


def is_gold(value: Any) -> bool:
    try:
        FieldsScorer().check_target(value)
    except TaskError:
        return False
    return True


class TestProperties:
    @settings(deadline=None)
    @given(OBJECTS.filter(is_gold), st.sampled_from(["matched", "ordered"]))
    def test_gold_is_right_against_itself(self, gold: Any, kind: str) -> None:
        score = scored(gold, gold, {name: {"list": kind} for name in "abcd"})
        assert (score.value, score.outcome) == (1, Outcome.CORRECT)

    @settings(deadline=None)
    @given(OBJECTS.filter(is_gold), OBJECTS)
    def test_score_is_within_bounds(self, gold: Any, answer: Any) -> None:
        score = scored(gold, answer)
        assert 0 <= score.value <= 1
        assert score.fields is not None
        assert (score.value == 1) == all(verdict == "correct" for verdict in score.fields.values())

    @settings(deadline=None)
    @given(st.lists(VALUES, min_size=1, max_size=6), st.randoms(use_true_random=False))
    def test_order_matters_only_when_declared(self, gold: list[Any], shuffler: random.Random) -> None:
        assume(is_gold(gold))
        answer = shuffler.sample(gold, len(gold))
        assert scored(gold, answer).value == 1
        assert scored(gold, answer, {"": {"list": "ordered"}}).value <= 1

    @settings(deadline=None)
    @given(st.dictionaries(NAMES, st.integers(0, 3), min_size=1), st.dictionaries(NAMES, st.integers(0, 3)), NAMES)
    def test_an_error_never_pays(self, gold: dict[str, int], answer: dict[str, int], name: str) -> None:
        before = scored(gold, answer).value
        assert scored(gold, answer | {name: 99}).value <= before
        assert scored(gold, answer | {"new": 1}).value <= before

    @settings(deadline=None)
    @given(
        st.lists(st.integers(0, 3), min_size=1), st.lists(st.integers(0, 3)), st.sampled_from(["matched", "ordered"])
    )
    def test_an_invented_item_never_pays(self, gold: list[int], answer: list[int], kind: str) -> None:
        rules = {"": {"list": kind}}
        assert scored(gold, [*answer, 99], rules).value <= scored(gold, answer, rules).value
