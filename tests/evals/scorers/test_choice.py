"""The choice scorer: one option of several."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from llm_tester.errors import TaskError
from llm_tester.evals.samples import Answer, Outcome, Sample, Score, ScoreContext
from llm_tester.evals.scorers import AnyScorer, ChoiceScorer

CITIES = ("Rome", "Paris", "New York", "York")
WORDS = ("yes", "no")


def scored(target: str, text: str, choices: tuple[str, ...] = ("A", "B", "C", "D")) -> Score:
    scorer = TypeAdapter[Any](AnyScorer).validate_python({"type": "choice", "choices": choices})
    score = asyncio.run(scorer.score(Sample("s", "", target), Answer(text, "stop"), ScoreContext()))
    assert isinstance(score, Score)
    return score


@pytest.mark.parametrize(
    "text",
    [
        "B",
        "b",
        "(b)",
        "B.",
        "**B.**",
        "B) Paris",
        "B: because A is wrong",
        "Answer: B",
        "**Answer:** (B)",
        "The answer is B.",
        "the correct answer is option B, as A is wrong",
        "First I thought of A. Then again, the answer is: B",
        r"The answer is $\boxed{B}$",
        r"\boxed{\text{B}}",
        "<think>A or C</think>B",
    ],
)
def test_the_letter_is_read(text: str) -> None:
    assert scored("B", text).outcome is Outcome.CORRECT
    assert scored("A", text).outcome is Outcome.WRONG


@pytest.mark.parametrize("text", ["Paris", "paris.", "B", "Answer: Paris", "It must be Paris, I think.", "B) Paris"])
def test_the_text_is_read(text: str) -> None:
    assert scored("Paris", text, CITIES).outcome is Outcome.CORRECT
    assert scored("B", text, CITIES).outcome is Outcome.CORRECT
    assert scored("Rome", text, CITIES).outcome is Outcome.WRONG


def test_an_option_within_another_is_not_named_by_it() -> None:
    assert scored("New York", "It is New York.", CITIES).outcome is Outcome.CORRECT
    assert scored("York", "The answer is York", CITIES).outcome is Outcome.CORRECT
    assert scored("York", "The answer is New York", CITIES).outcome is Outcome.WRONG
    assert scored("no", "Answer: no", WORDS).outcome is Outcome.CORRECT
    assert scored("no", "Nothing known", WORDS).outcome is Outcome.INVALID


@pytest.mark.parametrize(
    "text", ["A or B", "Answer: A or B", "A, B", "Answer: A. No, the answer is B.", "E", "A dog", "I do not know", "?"]
)
def test_no_option_or_several_are_invalid(text: str) -> None:
    score = scored("B", text)
    assert (score.value, score.outcome) == (0, Outcome.INVALID)
    assert "option" in score.note


def test_several_texts_are_invalid() -> None:
    assert scored("Rome", "Rome, not Paris", CITIES).note == "The answer names several options."


def test_an_answer_without_text_is_empty() -> None:
    assert scored("B", " ").outcome is Outcome.EMPTY
    assert scored("B", "<think>B</think>").outcome is Outcome.EMPTY


@pytest.mark.parametrize("target", [None, 2, "E", "", "Berlin", ["A"]])
def test_a_target_that_is_no_option_is_refused(target: Any) -> None:
    with pytest.raises(TaskError, match="choice scorer needs a letter from A to D"):
        ChoiceScorer().check_target(target)


@pytest.mark.parametrize("choices", [["one"], ["a", "A"], ["a", " "], [str(n) for n in range(27)]])
def test_choices_must_be_2_to_26_and_differ(choices: list[str]) -> None:
    with pytest.raises(ValidationError):
        ChoiceScorer(choices=tuple(choices))


@pytest.mark.parametrize(
    "choices", [("A", "B", "C", "D"), CITIES, WORDS, tuple("DCBA"), ("$5", "$50"), ("e.g.", "i.e.", "a_b")]
)
def test_a_gold_names_itself(choices: tuple[str, ...]) -> None:
    for choice in choices:
        gold = ChoiceScorer(choices=choices).gold_answer(choice)
        assert scored(choice, gold, choices).value == 1
