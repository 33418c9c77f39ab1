"""The scorer for regular expressions: one that reads the answer out of the text, or one per sample."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from llm_tester.errors import TaskError
from llm_tester.evals.samples import Answer, Outcome, Sample, Score, ScoreContext, undelivered
from llm_tester.evals.scorers.text import accepted_texts, normalise, only_thoughts, without_thoughts

MAX_SECONDS = 0.5
"""A pattern that backtracks without end is given up after this much work on one answer, so that the run goes on."""
GROUP = "answer"


class RegexScorer(BaseModel):
    """Right when what `pattern` reads out of the answer is the target; without one, when the target, a pattern, fits.

    An answer in which the pattern reads nothing is invalid, as is one on which it takes too long.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)
    deterministic: ClassVar[bool] = True

    type: Literal["regex"] = "regex"
    """The scorer's name in task.json."""
    pattern: str | None = None
    """What reads the answer out of the text: its group named `answer`, else its first group, else all that it
    matches. Without it each target is a pattern, or a list of them."""
    take: Literal["first", "last"] = "last"
    """Which match of `pattern` counts where there are several."""
    ignore_case: bool = True
    """Whether capitals and small letters are the same, to the pattern and beside the target."""
    whole: bool = False
    """Whether a pattern must match the whole answer, not a part of it."""
    example: str = Field(default="{target}", pattern=r"\{target\}")
    """An answer as it should look, with {target} in it: what `tasks check` gives as the gold's own answer."""

    @model_validator(mode="after")
    def _compiles(self) -> Self:
        if self.pattern is not None:
            try:
                _compiled(self.pattern, self.ignore_case)
            except TaskError as error:
                raise ValueError(error.message) from None
        return self

    async def score(self, sample: Sample, answer: Answer, context: ScoreContext) -> Score:
        """Value 1 when the pattern's answer is the target, or the target's pattern fits; else 0."""
        if (missing := undelivered(answer)) is not None:
            return missing
        text = without_thoughts(answer.text)
        if not text:
            return only_thoughts(answer)
        try:
            return self._read(text, sample) if self.pattern is not None else self._fits(text, sample)
        except TimeoutError:
            note = f"The pattern takes more than {MAX_SECONDS:g} s on this answer: it backtracks without end."
            return Score(0.0, Outcome.INVALID, note=note)

    def check_target(self, target: Any) -> None:
        """Raise TaskError unless the target is a text, a number or a list of them, and patterns where none is given."""
        texts = accepted_texts(target, "regex")
        if self.pattern is None:
            for text in texts:
                _compiled(text, self.ignore_case)

    def gold_answer(self, target: Any) -> str | None:
        """The example with the target in it; None where the target is a pattern, of which nobody knows what fits."""
        if self.pattern is None:
            return None
        return self.example.replace("{target}", accepted_texts(target, "regex")[0])

    def _read(self, text: str, sample: Sample) -> Score:
        pattern = _compiled(self.pattern or "", self.ignore_case)
        if self.whole:
            found = [match] if (match := pattern.fullmatch(text, timeout=MAX_SECONDS)) else []
        elif self.take == "first":
            found = [match] if (match := pattern.search(text, timeout=MAX_SECONDS)) else []
        else:
            found = list(pattern.finditer(text, timeout=MAX_SECONDS))
        if not found:
            return Score(0.0, Outcome.INVALID, note="The pattern does not match the answer.")
        group = GROUP if GROUP in pattern.groupindex else min(pattern.groups, 1)
        given = found[-1][group] or ""
        if any(self._plain(given) == self._plain(wanted) for wanted in accepted_texts(sample.target, "regex")):
            return Score(1.0, Outcome.CORRECT)
        return Score(0.0, Outcome.WRONG, note=f"The pattern reads {given!r:.80}.")

    def _fits(self, text: str, sample: Sample) -> Score:
        for wanted in accepted_texts(sample.target, "regex"):
            pattern = _compiled(wanted, self.ignore_case)
            search = pattern.fullmatch if self.whole else pattern.search
            if search(text, timeout=MAX_SECONDS):
                return Score(1.0, Outcome.CORRECT)
        return Score(0.0, Outcome.WRONG)

    def _plain(self, text: str) -> str:
        return normalise(text, ignore_case=self.ignore_case)


@lru_cache(maxsize=4096)
def _compiled(pattern: str, ignore_case: bool) -> Any:
    # The standard library's patterns cannot be bounded in time, and while one works nothing else of the program does.
    import regex

    try:
        return regex.compile(pattern, regex.IGNORECASE if ignore_case else 0)
    except regex.error as error:
        raise TaskError(
            f"{pattern!r:.80} is not a regular expression: {error}",
            hint="In JSON every backslash of a pattern is written twice.",
        ) from None
