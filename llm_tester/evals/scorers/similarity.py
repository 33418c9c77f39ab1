"""The scorer for texts that need not be equal, only alike."""

from __future__ import annotations

import math
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field
from rapidfuzz import fuzz

from llm_tester.evals.samples import Answer, Outcome, Sample, Score, ScoreContext, undelivered
from llm_tester.evals.scorers.text import accepted_texts, normalise, only_thoughts, without_thoughts

MAX_CHARACTERS = 100_000
"""Texts that are not equal are compared up to here: the work grows with the product of both lengths."""
NEARLY = math.nextafter(1, 0)


class SimilarityScorer(BaseModel):
    """Counts how alike answer and target are, the best of a list of targets; below the threshold 0."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)
    deterministic: ClassVar[bool] = True

    type: Literal["similarity"] = "similarity"
    """The scorer's name in task.json."""
    threshold: Annotated[float, Field(ge=0, le=1)] = 0.8
    """What is less alike than this counts 0."""
    ignore_case: bool = True
    """Whether capitals and small letters are the same."""

    async def score(self, sample: Sample, answer: Answer, context: ScoreContext) -> Score:
        """The likeness to the target; 0 below the threshold."""
        if (missing := undelivered(answer)) is not None:
            return missing
        text = without_thoughts(answer.text)
        if not text:
            return only_thoughts(answer)
        given = self._read(text)
        value = max(likeness(self._read(wanted), given) for wanted in accepted_texts(sample.target, "similarity"))
        if value == 1:
            return Score(1.0, Outcome.CORRECT)
        if value < self.threshold or not value:
            return Score(0.0, Outcome.WRONG, note=f"alike by {value:.3f}, below {self.threshold:g}")
        return Score(value, Outcome.PARTIAL)

    def check_target(self, target: Any) -> None:
        """Raise TaskError unless the target is a text, a number or a list of them, none of them blank."""
        accepted_texts(target, "similarity")

    def gold_answer(self, target: Any) -> str:
        """The target's text; of a list, the first."""
        return accepted_texts(target, "similarity")[0]

    def _read(self, text: str) -> str:
        return normalise(text, ignore_case=self.ignore_case)


def likeness(one: str, other: str) -> float:
    """Twice the longest common subsequence by both lengths together; 1 for equal texts only."""
    if one == other:
        return 1.0
    alike: float = fuzz.ratio(one[:MAX_CHARACTERS], other[:MAX_CHARACTERS]) / 100
    return min(alike, NEARLY)
