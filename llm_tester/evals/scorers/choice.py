"""The scorer for one option of several."""

from __future__ import annotations

import re
from difflib import get_close_matches
from typing import Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from llm_tester.errors import TaskError
from llm_tester.evals.samples import Answer, Outcome, Sample, Score, ScoreContext, undelivered
from llm_tester.evals.scorers.text import normalise, only_thoughts, without_thoughts

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
"""The options' letters, in their order."""
_MARKUP = re.compile(r"[*_`{}$]|\\boxed|\\text")
_MARK = re.compile(r"\banswer\s*(?:is\b(?!\s+not\b)\s*:?|:)\s*", re.IGNORECASE)
_LONE = re.compile(r"\(?([A-Za-z])(?:[).:](?!\w)|\Z)")
_NAMED = re.compile(r"\(?(?:option |choice )?([A-Z])(?![\w'])", re.IGNORECASE)
_ANOTHER = re.compile(r"[).]?\s*(?:or|and|,|/|&)\s*\(?([A-Z])(?![\w'])", re.IGNORECASE)


class ChoiceScorer(BaseModel):
    """Right when the answer names the target's option, by its letter or its text, and no other beside it.

    An answer that names no option, or several, is invalid.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)
    deterministic: ClassVar[bool] = True

    type: Literal["choice"] = "choice"
    """The scorer's name in task.json."""
    choices: tuple[str, ...] = Field(default=("A", "B", "C", "D"), min_length=2, max_length=26)
    """The options' texts in the order of their letters, the first being A; the letters alone where they differ by
    sample."""

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        texts = [option_text(choice) for choice in self.choices]
        if len(set(texts)) < len(texts) or not all(texts):
            raise ValueError("the choices must differ, and none may be blank")
        return self

    async def score(self, sample: Sample, answer: Answer, context: ScoreContext) -> Score:
        """Value 1 when the answer names the target's option, 0 for another; invalid for none and for several."""
        if (missing := undelivered(answer)) is not None:
            return missing
        text = without_thoughts(answer.text)
        if not text:
            return only_thoughts(answer)
        named = self._named(normalise(_MARKUP.sub("", text), ignore_case=False))
        if len(named) != 1:
            note = "The answer names several options." if named else "The answer names no option."
            return Score(0.0, Outcome.INVALID, note=note)
        right = named == {self._target(sample.target)}
        return Score(1.0, Outcome.CORRECT) if right else Score(0.0, Outcome.WRONG)

    def check_target(self, target: Any) -> None:
        """Raise TaskError unless the target is the letter or the text of an option."""
        self._target(target)

    def gold_answer(self, target: Any) -> str:
        """The text of the target's option."""
        return self.choices[self._target(target)]

    def _target(self, target: Any) -> int:
        place = self._option(target) if isinstance(target, str) else None
        if place is None:
            last, listed = LETTERS[len(self.choices) - 1], ", ".join(self.choices)
            raise TaskError(
                f"The choice scorer needs a letter from A to {last} or an option's text as its target, "
                f"not {target!r:.80}.{self._near(target)}",
                hint=f"The choices are {listed}. Mend the target, or name the options in `choices` of the scorer.",
            )
        return place

    def _near(self, target: Any) -> str:
        by_text = {option_text(choice): choice for choice in self.choices}
        near = get_close_matches(option_text(str(target)), by_text, n=1)
        return f" Did you mean {by_text[near[0]]}?" if near else ""

    def _option(self, text: str) -> int | None:
        """The option whose text or whose letter this is; a text wins over a letter."""
        wanted = option_text(text)
        for place, choice in enumerate(self.choices):
            if wanted == option_text(choice):
                return place
        return self._place(wanted) if len(wanted) == 1 else None

    def _place(self, letter: str) -> int | None:
        place = LETTERS.find(letter.upper())
        return place if 0 <= place < len(self.choices) else None

    def _named(self, text: str) -> set[int]:
        for whole in (text, text.rstrip(" .")):
            if (place := self._option(whole)) is not None:
                return {place}
        marks = [mark.end() for mark in _MARK.finditer(text)]
        if marks:
            return set().union(*(self._at(text[start:]) for start in marks))
        if found := self._letters(_LONE.match(text), text):
            return found
        return self._texts(text)

    def _at(self, rest: str) -> set[int]:
        """What the words after a mark name: an option's text at their start, or letters."""
        given = normalise(rest)
        fits = [place for place, choice in enumerate(self.choices) if _starts(given, option_text(choice))]
        if fits and not all(len(choice) == 1 for choice in self.choices):
            return {max(fits, key=lambda place: len(self.choices[place]))}
        return self._letters(_NAMED.match(rest), rest)

    def _letters(self, first: re.Match[str] | None, text: str) -> set[int]:
        found: set[int] = set()
        match = first
        while match is not None and (place := self._place(match[1])) is not None:
            found.add(place)
            match = _ANOTHER.match(text, match.end())
        return found

    def _texts(self, text: str) -> set[int]:
        """The options whose whole text stands in the answer; letters alone do not count in running text."""
        given = normalise(text)
        texts = {place: option_text(choice) for place, choice in enumerate(self.choices) if len(choice.strip()) > 1}
        held = {place: wanted for place, wanted in texts.items() if _holds(given, wanted)}
        return {
            place
            for place, wanted in held.items()
            if not any(_holds(other, wanted) for near, other in held.items() if near != place)
        }


def option_text(text: str) -> str:
    """An option, or an answer, as they are compared: without markup, white space and case."""
    return normalise(_MARKUP.sub("", text))


def _starts(text: str, wanted: str) -> bool:
    return text.startswith(wanted) and not text[len(wanted) : len(wanted) + 1].isalnum()


def _holds(text: str, wanted: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(wanted)}(?!\w)", text) is not None
