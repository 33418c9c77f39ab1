"""The scorers for texts within an answer, and for texts that are alike."""

from __future__ import annotations

import asyncio
import difflib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from llm_tester.errors import TaskError
from llm_tester.evals.samples import Answer, Outcome, Sample, Score, ScoreContext
from llm_tester.evals.scorers import AnyScorer, IncludesScorer, SimilarityScorer
from llm_tester.evals.scorers.similarity import likeness

TEXTS = st.text(min_size=1).filter(lambda text: text.strip())


def scored(kind: str, target: Any, text: str, **options: Any) -> Score:
    scorer = TypeAdapter[Any](AnyScorer).validate_python({"type": kind, **options})
    score = asyncio.run(scorer.score(Sample("s", "", target), Answer(text, "stop"), ScoreContext()))
    assert isinstance(score, Score)
    return score


@pytest.mark.parametrize(
    ("target", "text", "options", "outcome"),
    [
        ("Paris", "It is  PARIS.", {}, Outcome.CORRECT),
        ("Paris", "It is PARIS.", {"ignore_case": False}, Outcome.WRONG),
        ("New York", "in New\n York", {}, Outcome.CORRECT),
        (["a1", "b2"], "only b2", {}, Outcome.CORRECT),
        (["a1", "b2"], "only b2", {"match": "all"}, Outcome.WRONG),
        (["a1", "b2"], "b2 and a1", {"match": "all"}, Outcome.CORRECT),
        ("art", "a party", {}, Outcome.CORRECT),
        ("art", "a party", {"whole_words": True}, Outcome.WRONG),
        ("art", "a party of art!", {"whole_words": True}, Outcome.CORRECT),
        (42, "It is 42", {}, Outcome.CORRECT),
        ("Paris", "<think>Paris</think>Rome", {}, Outcome.WRONG),
        ("Paris", "<think>Paris</think>", {}, Outcome.EMPTY),
        ("Paris", " ", {}, Outcome.EMPTY),
    ],
)
def test_what_an_answer_includes(target: Any, text: str, options: dict[str, Any], outcome: Outcome) -> None:
    score = scored("includes", target, text, **options)
    assert score.outcome is outcome
    assert score.value == (outcome is Outcome.CORRECT)


@pytest.mark.parametrize("scorer", [IncludesScorer(), SimilarityScorer()])
@pytest.mark.parametrize("target", [None, True, {"a": 1}, [], ["a", " "]])
def test_a_target_without_text_is_refused(scorer: Any, target: Any) -> None:
    with pytest.raises(TaskError, match=f"{scorer.type} scorer needs"):
        scorer.check_target(target)


@given(TEXTS | st.lists(TEXTS, min_size=1, max_size=3), st.sampled_from(["any", "all"]), st.booleans())
def test_a_gold_includes_itself(target: Any, match: Any, whole_words: bool) -> None:
    gold = IncludesScorer(match=match).gold_answer(target)
    assert scored("includes", target, gold, match=match, whole_words=whole_words).value == 1


@pytest.mark.parametrize(
    ("text", "value", "outcome"),
    [
        ("abcd", 1.0, Outcome.CORRECT),
        (" ABCD ", 1.0, Outcome.CORRECT),
        ("abcx", 0.75, Outcome.PARTIAL),
        ("abxy", 0.0, Outcome.WRONG),
        ("<think>abcd</think>", 0.0, Outcome.EMPTY),
        ("", 0.0, Outcome.EMPTY),
    ],
)
def test_likeness_counts_from_the_threshold_on(text: str, value: float, outcome: Outcome) -> None:
    score = scored("similarity", "abcd", text, threshold=0.75)
    assert (score.value, score.outcome) == (value, outcome)


def test_nothing_in_common_is_wrong_without_a_threshold_and_the_best_target_counts() -> None:
    assert scored("similarity", "abcd", "xyz", threshold=0).outcome is Outcome.WRONG
    assert scored("similarity", ["xyz", "abcd"], "abcd").value == 1
    assert SimilarityScorer().gold_answer(["xyz", "abcd"]) == "xyz"


@pytest.mark.parametrize("threshold", [-0.1, 1.1, float("nan")])
def test_a_threshold_is_0_to_1(threshold: float) -> None:
    with pytest.raises(ValidationError):
        SimilarityScorer(threshold=threshold)


def by_table(one: str, other: str) -> int:
    row = [0] * (len(other) + 1)
    for left in one:
        before = row
        row = [0]
        for place, right in enumerate(other):
            row.append(before[place] + 1 if left == right else max(row[-1], before[place + 1]))
    return row[-1]


@given(st.text("abc", max_size=40), st.text("abc", min_size=1, max_size=40))
def test_likeness_is_that_of_the_longest_common_subsequence(one: str, other: str) -> None:
    found = likeness(one, other)
    assert found == pytest.approx(2 * by_table(one, other) / (len(one) + len(other))) == likeness(other, one)
    assert (found == 1) is (one == other)
    assert found >= difflib.SequenceMatcher(None, one, other, autojunk=False).ratio() - 1e-12


def test_texts_that_differ_only_at_their_far_end_are_not_equal() -> None:
    assert 0.99 < likeness("x" * 150_000 + "a", "x" * 150_000 + "b") < 1
