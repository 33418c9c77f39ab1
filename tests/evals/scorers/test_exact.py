"""The exact scorer: one right text."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from llm_tester.errors import TaskError
from llm_tester.evals.samples import Answer, Outcome, Sample, Score, ScoreContext
from llm_tester.evals.scorers import AnyScorer, ExactScorer, FieldsScorer, NumericScorer
from llm_tester.records import FinishReason


def scored(target: Any, text: str, *, finish: FinishReason | None = "stop", **options: Any) -> Score:
    scorer = ExactScorer(**options)
    return asyncio.run(scorer.score(Sample("s", "", target), Answer(text, finish), ScoreContext()))


@pytest.mark.parametrize(
    ("target", "text", "outcome"),
    [
        pytest.param("Paris", "Paris", Outcome.CORRECT, id="the same"),
        pytest.param("Paris", " paris\n", Outcome.CORRECT, id="case and outer space are ignored"),
        pytest.param("New York", "new \n\t york", Outcome.CORRECT, id="inner space is collapsed"),
        pytest.param("Straße", "STRASSE", Outcome.CORRECT, id="case folding, not lower case"),
        pytest.param("ﬁne", "fine", Outcome.CORRECT, id="a ligature is its letters"),
        pytest.param("Cafe\u0301", "Café", Outcome.CORRECT, id="composed and decomposed"),
        pytest.param("Paris", "Paris.", Outcome.WRONG, id="punctuation counts"),
        pytest.param("Paris", "It is Paris", Outcome.WRONG, id="a text around it counts"),
        pytest.param(["yes", "yep"], "Yep", Outcome.CORRECT, id="one of several"),
        pytest.param(["yes", "yep"], "no", Outcome.WRONG, id="none of several"),
        pytest.param(42, "42", Outcome.CORRECT, id="an integer's text"),
        pytest.param(Decimal("1.50"), "1.50", Outcome.CORRECT, id="a decimal's text as written"),
        pytest.param(Decimal("1.50"), "1.5", Outcome.WRONG, id="text is compared, not value"),
        pytest.param("Paris", "<think>Rome? No.</think>Paris", Outcome.CORRECT, id="thoughts are no answer"),
        pytest.param("Paris", "Rome? No.</think>\nParis", Outcome.CORRECT, id="thoughts opened by the prompt"),
        pytest.param("Paris", "<think>Paris</think>", Outcome.EMPTY, id="nothing after the thoughts"),
        pytest.param("Paris", "<think>Paris", Outcome.INVALID, id="thoughts that never end"),
        pytest.param("Paris", "  ", Outcome.EMPTY, id="nothing at all"),
    ],
)
def test_what_is_right(target: Any, text: str, outcome: Outcome) -> None:
    score = scored(target, text)
    assert score.outcome is outcome
    assert score.value == (outcome is Outcome.CORRECT)


def test_case_counts_when_asked() -> None:
    assert scored("Paris", "paris", ignore_case=False).outcome is Outcome.WRONG
    assert scored("Café", "Cafe\u0301 ", ignore_case=False).outcome is Outcome.CORRECT


@pytest.mark.parametrize(
    ("finish", "outcome"),
    [("length", Outcome.TRUNCATED), ("refusal", Outcome.REFUSED), ("content_filter", Outcome.REFUSED)],
)
def test_an_answer_that_was_not_delivered_is_not_compared(finish: FinishReason, outcome: Outcome) -> None:
    assert scored("Paris", "Paris", finish=finish).outcome is outcome


def test_thoughts_without_end_are_cut_off_when_no_reason_is_reported() -> None:
    assert scored("Paris", "<think>Paris", finish=None).outcome is Outcome.TRUNCATED


@pytest.mark.parametrize("target", [None, True, {}, {"a": 1}, [], [None], [["a"]], "", " ", ["a", ""]])
def test_a_target_that_no_text_can_equal_is_refused(target: Any) -> None:
    with pytest.raises(TaskError, match="exact scorer needs"):
        ExactScorer().check_target(target)


@settings(deadline=None)
@given(st.text(min_size=1).filter(lambda text: text.strip()) | st.integers() | st.decimals(allow_nan=False))
def test_a_target_is_right_against_itself(target: Any) -> None:
    scorer = ExactScorer()
    scorer.check_target(target)
    assert scored(target, scorer.gold_answer(target)).value == 1


def test_the_first_of_several_texts_stands_for_the_gold() -> None:
    assert ExactScorer().gold_answer(["yes", "yep"]) == "yes"


def test_type_in_the_task_picks_the_scorer() -> None:
    scorers: TypeAdapter[Any] = TypeAdapter(AnyScorer)
    for kind, scorer in (("exact", ExactScorer), ("numeric", NumericScorer), ("fields", FieldsScorer)):
        assert isinstance(scorers.validate_python({"type": kind}), scorer)
        assert scorer.deterministic
        assert all(info["description"] for info in scorer.model_json_schema()["properties"].values())
        with pytest.raises(ValidationError, match="extra_forbidden"):
            scorers.validate_python({"type": kind, "fuzzy": True})
