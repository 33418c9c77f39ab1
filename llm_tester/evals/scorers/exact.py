"""The scorer for one right text."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict

from llm_tester.evals.samples import Answer, Outcome, Sample, Score, ScoreContext, undelivered
from llm_tester.evals.scorers.text import accepted_texts, normalise, only_thoughts, without_thoughts


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
        if any(
            given == normalise(accepted, ignore_case=self.ignore_case)
            for accepted in accepted_texts(sample.target, "exact")
        ):
            return Score(1.0, Outcome.CORRECT)
        return Score(0.0, Outcome.WRONG)

    def check_target(self, target: Any) -> None:
        """Raise TaskError unless the target is a text, a number or a list of them, none of them blank."""
        accepted_texts(target, "exact")

    def gold_answer(self, target: Any) -> str:
        """The target's text; of a list, the first."""
        return accepted_texts(target, "exact")[0]
