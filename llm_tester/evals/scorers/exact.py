"""The scorer for one right text."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict

from llm_tester.errors import TaskError
from llm_tester.evals.samples import Answer, Outcome, Sample, Score, ScoreContext, undelivered
from llm_tester.evals.scorers.numbers import number_text
from llm_tester.evals.scorers.text import normalise, only_thoughts, without_thoughts


class ExactScorer(BaseModel):
    """Right when the answer is the target's text, or one of its texts, but for white space, Unicode form and case."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)
    deterministic: ClassVar[bool] = True

    type: Literal["exact"] = "exact"
    """The scorer's name in task.json."""
    ignore_case: bool = True
    """Whether capitals and small letters are the same."""

    async def score(self, sample: Sample, answer: Answer, context: ScoreContext) -> Score:
        """Value 1 when the answer equals one of the target's texts, else 0."""
        if (missing := undelivered(answer)) is not None:
            return missing
        text = without_thoughts(answer.text)
        if not text:
            return only_thoughts(answer)
        given = normalise(text, ignore_case=self.ignore_case)
        if any(given == normalise(accepted, ignore_case=self.ignore_case) for accepted in _texts(sample.target)):
            return Score(1.0, Outcome.CORRECT)
        return Score(0.0, Outcome.WRONG)

    def check_target(self, target: Any) -> None:
        """Raise TaskError unless the target is a text, a number or a list of them, none of them blank."""
        _texts(target)

    def gold_answer(self, target: Any) -> str:
        """The target's text; of a list, the first."""
        return _texts(target)[0]


def _texts(target: Any) -> list[str]:
    accepted = [_text(item) for item in (target if isinstance(target, list) else [target])]
    if not accepted:
        raise TaskError("The exact scorer needs a target, but its list of accepted texts is empty.")
    return accepted


def _text(item: Any) -> str:
    if isinstance(item, int | float | Decimal) and not isinstance(item, bool):
        return number_text(item)
    if not isinstance(item, str):
        raise TaskError(
            f"The exact scorer needs a text or a number as its target, or a list of them, not {type(item).__name__}.",
            hint="Use the fields scorer for objects.",
        )
    if not item.strip():
        raise TaskError("The exact scorer needs a target that is not blank: no answer could equal it.")
    return item
