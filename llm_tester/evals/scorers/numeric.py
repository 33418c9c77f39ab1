"""The scorer for one right number, read from free text."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from llm_tester.errors import TaskError
from llm_tester.evals.samples import Answer, Outcome, Sample, Score, ScoreContext, undelivered
from llm_tester.evals.scorers.numbers import DecimalMark, NumberToken, close, exact, numbers_in
from llm_tester.evals.scorers.text import only_thoughts, without_thoughts

_BOX = re.compile(r"\\boxed[ ]?\{")
_HASHES = re.compile(r"^[ \t]*####(?!#)[ \t]*", re.MULTILINE)
_LABEL = re.compile(
    r"^[ \t>#*_]*(?:a|(?:the[ ])?(?:(?:final|correct)[ ])?answer)[*_ \t]*:", re.MULTILINE | re.IGNORECASE
)
_SAID = re.compile(r"\banswer[*_]{0,3}[ ]is\b(?! not\b)[ \t]*:?", re.IGNORECASE)

_NUMBERED_HEADING = re.compile(r"[0-9]+[.):][ \t]+\w")
_STARTS_WITH_NUMBER = re.compile(r"[^\w\n]*[0-9]")
_NEXT_SENTENCE = re.compile(r"[.!?][ \t]+(?=[A-Z])")
_CALCULATION = re.compile(r"[-+*/×÷·^()$€£0-9.,%x \t]*")
_OPERATION = re.compile(r"[0-9)%][ \t]?[-+*/×÷·^x][ \t]?[-($€£0-9]")
_UNFINISHED = re.compile(r"=[\s$€£*<(\\]*\Z")

Tolerance = Annotated[Decimal, Field(ge=0)]


@dataclass(frozen=True, slots=True)
class FinalNumber:
    """The number that a text ends up with; `value` is None where there is none, and `note` says why."""

    value: Fraction | None
    note: str = ""


class NumericScorer(BaseModel):
    """Right when the answer's final number equals the target by value.

    A marked number (the last of `\\boxed{}`, `#### x`, `Answer: x` and "the answer is x") wins over the last at all.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)
    deterministic: ClassVar[bool] = True

    type: Literal["numeric"] = "numeric"
    """The scorer's name in task.json."""
    tolerance: Tolerance = Decimal(0)
    """How far off the number may be."""
    relative_tolerance: Tolerance = Decimal(0)
    """How far off the number may be as a share of the target: 0.01 is 1 %. The wider of both tolerances holds."""
    decimal_mark: DecimalMark = "."
    """What the mark in `1.800` and `1,800` means where the number itself leaves it open."""

    async def score(self, sample: Sample, answer: Answer, context: ScoreContext) -> Score:
        """Value 1 when the answer's final number is the target, else 0; invalid when there is no final number."""
        if (missing := undelivered(answer)) is not None:
            return missing
        text = without_thoughts(answer.text)
        if not text:
            return only_thoughts(answer)
        found = final_number(text, self.decimal_mark)
        if found.value is None:
            return Score(0.0, Outcome.INVALID, note=found.note)
        target = self._target(sample.target)
        if close(found.value, target, tolerance=self.tolerance, relative=self.relative_tolerance):
            return Score(1.0, Outcome.CORRECT)
        return Score(0.0, Outcome.WRONG)

    def check_target(self, target: Any) -> None:
        """Raise TaskError unless the target is a finite number, or a text that holds one."""
        self._target(target)

    def gold_answer(self, target: Any) -> str:
        """The target as text, with the declared decimal mark where it is a number."""
        self._target(target)
        if isinstance(target, str):
            return target
        # repr writes a float as short as it is exact.
        number = Decimal(repr(target)) if isinstance(target, float) else Decimal(target)
        return format(number, "f").replace(".", self.decimal_mark)

    def _target(self, target: Any) -> Fraction:
        value = None
        if isinstance(target, str):
            value = final_number(target, self.decimal_mark).value
        elif isinstance(target, int | float | Decimal) and not isinstance(target, bool):
            value = exact(target)
        if value is None:
            raise TaskError(f"The numeric scorer needs a number as its target, not {target!r:.80}.")
        return value


def final_number(text: str, decimal_mark: DecimalMark = ".") -> FinalNumber:
    """The number in the last marked answer of the text, or else the last number at all."""
    text = text.replace("\r\n", "\n").strip()
    marked = max(_marked_answers(text), default=None, key=lambda found: found[0])
    if marked is None:
        return _last_number(text, decimal_mark)
    start, cut = marked
    answer = cut(text, start)
    if answer is None:
        return FinalNumber(None, "The box of the answer is never closed.")
    return _first_number(answer, decimal_mark)


def _last_number(text: str, decimal_mark: DecimalMark) -> FinalNumber:
    if _UNFINISHED.search(text[-80:]):
        return FinalNumber(None, "The text ends within a calculation.")
    last = deque(numbers_in(text, decimal_mark), maxlen=1)
    if not last:
        return FinalNumber(None, "There is no number in the answer.")
    return _read(last[0], "The last number of the answer cannot be read.")


def _first_number(answer: str, decimal_mark: DecimalMark) -> FinalNumber:
    first = next(numbers_in(_result(answer), decimal_mark), None)
    if first is None:
        return FinalNumber(None, "The marked answer is no number.")
    return _read(first, "The number of the marked answer cannot be read.")


def _read(number: NumberToken, otherwise: str) -> FinalNumber:
    value = number.value
    return FinalNumber(value, otherwise if value is None else "")


def _result(answer: str) -> str:
    """What a calculation at the start comes to: of `5 + 13 = 18` the `18`."""
    *steps, _ = answer.split("=")
    for step in steps:
        if not (_CALCULATION.fullmatch(step) and _OPERATION.search(step)):
            break
        answer = answer[len(step) + 1 :]
    return answer


def _marked_answers(text: str) -> Iterator[tuple[int, Callable[[str, int], str | None]]]:
    """Where marked answers start, right after the mark, each with the function that cuts it out."""
    for mark in _BOX.finditer(text):
        yield mark.end(), _box
    for mark in _HASHES.finditer(text):
        if not _is_heading(text, mark.end()):
            yield mark.end(), _sentence
    for pattern in (_LABEL, _SAID):
        for mark in pattern.finditer(text):
            yield mark.end(), _sentence


def _is_heading(text: str, start: int) -> bool:
    """Whether `####` opens a Markdown heading: words, or a numbered title, with text below."""
    if text.find("\n", start) < 0:
        return False
    return bool(_NUMBERED_HEADING.match(text, start)) or not _STARTS_WITH_NUMBER.match(text, start)


def _box(text: str, start: int) -> str | None:
    depth = 1
    for index in range(start, len(text)):
        depth += {"{": 1, "}": -1}.get(text[index], 0)
        if not depth:
            return text[start:index]
    return None


def _sentence(text: str, start: int) -> str | None:
    """The rest of the line from start, or the next line that says something; to the end of its first sentence."""
    says = re.compile(r"\w").search(text, start)
    if says is None:
        return ""
    begin = max(start, text.rfind("\n", start, says.start()) + 1)
    line = text[begin:].partition("\n")[0]
    return _NEXT_SENTENCE.split(line, maxsplit=1)[0]
