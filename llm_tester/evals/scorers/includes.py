"""The scorer for texts that must stand somewhere in the answer."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict

from llm_tester.evals.samples import Answer, Outcome, Sample, Score, ScoreContext, undelivered
from llm_tester.evals.scorers.text import accepted_texts, normalise, only_thoughts, without_thoughts


class IncludesScorer(BaseModel):
    """Right when the target, or one or all of its texts, stands in the answer, but for white space and Unicode form."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)
    deterministic: ClassVar[bool] = True

    type: Literal["includes"] = "includes"
    """The scorer's name in task.json."""
    ignore_case: bool = True
    """Whether capitals and small letters are the same."""
    match: Literal["any", "all"] = "any"
    """Whether one of a list of texts is enough, or all must stand in the answer."""
    whole_words: bool = False
    """Whether a text counts only where no letter or digit touches it: `art` is then not in `party`."""

    async def score(self, sample: Sample, answer: Answer, context: ScoreContext) -> Score:
        """Value 1 when the answer includes what it must, else 0."""
        if (missing := undelivered(answer)) is not None:
            return missing
        text = without_thoughts(answer.text)
        if not text:
            return only_thoughts(answer)
        given = normalise(text, ignore_case=self.ignore_case)
        held = [self._holds(given, wanted) for wanted in accepted_texts(sample.target, "includes")]
        right = all(held) if self.match == "all" else any(held)
        return Score(1.0, Outcome.CORRECT) if right else Score(0.0, Outcome.WRONG)

    def check_target(self, target: Any) -> None:
        """Raise TaskError unless the target is a text, a number or a list of them, none of them blank."""
        accepted_texts(target, "includes")

    def gold_answer(self, target: Any) -> str:
        """The target's text; of a list the first, or all where all must stand in the answer."""
        texts = accepted_texts(target, "includes")
        return "\n".join(texts) if self.match == "all" else texts[0]

    def _holds(self, given: str, wanted: str) -> bool:
        text = normalise(wanted, ignore_case=self.ignore_case)
        if not self.whole_words:
            return text in given
        place = given.find(text)
        while place >= 0:
            end = place + len(text)
            if not (given[:place][-1:].isalnum() or given[end : end + 1].isalnum()):
                return True
            place = given.find(text, place + 1)
        return False
