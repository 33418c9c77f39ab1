"""The regex scorer."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from pydantic import ValidationError

from llm_tester.errors import TaskError
from llm_tester.evals.samples import Answer, Outcome, Sample, Score, ScoreContext
from llm_tester.evals.scorers import RegexScorer

ANSWER = r"answer:\s*(\w+)"


def scored(target: Any, text: str, finish: Any = "stop", **options: Any) -> Score:
    return asyncio.run(RegexScorer(**options).score(Sample("s", "", target), Answer(text, finish), ScoreContext()))


@pytest.mark.parametrize(
    ("text", "outcome"),
    [
        ("Answer: blue", Outcome.CORRECT),
        ("Answer: red. No, answer: BLUE", Outcome.CORRECT),
        ("answer: blue, or rather answer: red", Outcome.WRONG),
        ("blue", Outcome.INVALID),
        ("<think>answer: blue</think>answer: red", Outcome.WRONG),
        ("<think>answer: blue", Outcome.INVALID),
        ("<think>answer: blue</think>", Outcome.EMPTY),
        ("  ", Outcome.EMPTY),
    ],
)
def test_a_pattern_reads_the_answer(text: str, outcome: Outcome) -> None:
    score = scored("blue", text, pattern=ANSWER)
    assert (score.outcome, score.value) == (outcome, float(outcome is Outcome.CORRECT))


def test_what_counts_of_a_match() -> None:
    assert scored(7, "a 6 b 7", pattern=r"\d").value == 1
    assert scored(7, "a 7 b 6", pattern=r"\d", take="first").value == 1
    assert scored("b", "x=a, y=b", pattern=r"x=(\w), y=(?P<answer>\w)").value == 1
    assert scored(["u", "b"], "b", pattern=r"(x)?b").outcome is Outcome.WRONG
    assert scored("b", "b!", pattern=r"\w", whole=True).outcome is Outcome.INVALID
    assert scored("b", "b", pattern=r"\w", whole=True).value == 1
    assert scored("b", "B", pattern=r"b", ignore_case=False).outcome is Outcome.INVALID
    assert scored("b", "x", finish="refusal", pattern="b").outcome is Outcome.REFUSED
    assert scored("red", "Answer: blue", pattern=ANSWER).note == "The pattern reads 'blue'."
    assert scored("x", "", pattern="x", take="first").outcome is Outcome.EMPTY
    assert scored("x", "y", pattern="x", take="first").outcome is Outcome.INVALID


def test_without_a_pattern_each_target_is_one() -> None:
    assert scored(r"colou?r", "The color").value == 1
    assert scored([r"^x", r"r$"], "The color").value == 1
    assert scored(r"colou?r", "The color", whole=True).outcome is Outcome.WRONG
    assert RegexScorer().gold_answer(r"colou?r") is None


@pytest.mark.parametrize("options", [{}, {"pattern": "(a|aa)+$"}, {"pattern": "(a|aa)+$", "take": "first"}])
def test_a_pattern_that_backtracks_without_end_is_given_up(options: dict[str, Any]) -> None:
    began = time.monotonic()
    score = scored("(a|aa)+$", "a" * 60 + "b", **options)
    assert time.monotonic() - began < 10
    assert (score.value, score.outcome) == (0, Outcome.INVALID)
    assert "backtracks without end" in score.note


@pytest.mark.parametrize("options", [{"pattern": "("}, {"pattern": "a", "example": "x"}, {"take": "all"}])
def test_a_scorer_that_cannot_work_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        RegexScorer.model_validate(options)


@pytest.mark.parametrize("target", ["(", ["a", "("], {"a": 1}, " "])
def test_a_target_that_is_no_pattern_is_refused(target: Any) -> None:
    with pytest.raises(TaskError):
        RegexScorer().check_target(target)


def test_a_gold_is_proved_by_the_example() -> None:
    scorer = RegexScorer(pattern=ANSWER, example="So, answer: {target}.")
    assert scorer.gold_answer(["blue", "azure"]) == "So, answer: blue."
    assert scored("blue", str(scorer.gold_answer("blue")), pattern=ANSWER).value == 1
