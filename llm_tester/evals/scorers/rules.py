"""How two values of a field are compared: the rules of task.json and the one for fields without a rule."""

from __future__ import annotations

import re
from datetime import date, datetime
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache
from typing import Annotated, Any, Literal, Protocol

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, field_validator

from llm_tester.evals.scorers.numbers import DecimalMark, close, exact, number_text, only_number, plain_number
from llm_tester.evals.scorers.similarity import likeness
from llm_tester.evals.scorers.text import normalise

MAX_FUZZY = 2000
"""Longer texts are not compared by likeness: lists compare each item with each."""

Scalar = str | int | float | Decimal | bool
"""A JSON value that is no container and not null."""

_ISO = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}(?:[T ][0-9:.,+\-Z]+)?")
_NUMERIC_DATE = re.compile(r"([0-9]{1,2})([/.-])([0-9]{1,2})\2([0-9]{4}|[0-9]{2})")
_TRUTHS = {"true": True, "yes": True, "false": False, "no": False}
_ANY_DAY = date(2003, 11, 27)

Tolerance = Annotated[Decimal, Field(ge=0)]


class Comparison(Protocol):
    """Compares scalars in two steps, so that each is read once however often it is compared."""

    def read(self, value: Scalar) -> Any:
        """What is compared of the value."""

    def same(self, gold: Any, answer: Any) -> bool:
        """Whether two values that were read mean the same."""


class _Rule(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class TextRule(_Rule):
    """Equal as texts but for case, white space and Unicode form; alike from a declared threshold on."""

    type: Literal["text"]
    """The kind of the field."""
    # Left out of dumps, and so of the hashes of tasks, where it is not declared.
    threshold: Annotated[float, Field(gt=0, le=1, exclude_if=lambda value: value == 1)] = 1.0
    """From this likeness on a text that is not equal counts its likeness, as the similarity scorer measures it; below
    it 0. Texts of more than 2,000 characters must be equal."""

    def read(self, value: Scalar) -> str:
        """The normalised text."""
        return _text(value)

    def same(self, gold: str, answer: str) -> bool:
        """Whether the texts are equal."""
        return gold == answer

    def share(self, gold: str, answer: str) -> float:
        """1 for equal texts, their likeness from the threshold on, else 0."""
        if gold == answer:
            return 1.0
        if self.threshold == 1 or max(len(gold), len(answer)) > MAX_FUZZY:
            return 0.0
        found = likeness(gold, answer)
        return found if found >= self.threshold else 0.0


class NumberRule(_Rule):
    """Equal by value, within a tolerance; numbers are read from texts too, with their currency or unit.

    A value in which there is not exactly one number is compared as a text.
    """

    type: Literal["number"]
    """The kind of the field."""
    tolerance: Tolerance = Decimal(0)
    """How far off the number may be."""
    relative_tolerance: Tolerance = Decimal(0)
    """How far off the number may be as a share of the gold: 0.01 is 1 %. The wider of both tolerances holds."""
    decimal_mark: DecimalMark = "."
    """What the mark in `1.800` and `1,800` means where the number itself leaves it open."""

    def read(self, value: Scalar) -> Fraction | str:
        """The exact value, or the normalised text of what is no number."""
        number = only_number(value, self.decimal_mark) if isinstance(value, str) else _number(value)
        return _text(value) if number is None else number

    def same(self, gold: Fraction | str, answer: Fraction | str) -> bool:
        """Whether the numbers are within the tolerance."""
        if isinstance(gold, str) or isinstance(answer, str):
            return gold == answer
        return close(answer, gold, tolerance=self.tolerance, relative=self.relative_tolerance)


class DateRule(_Rule):
    """Equal as days. ISO dates are always read, others only in the declared forms; what is no date is a text."""

    type: Literal["date"]
    """The kind of the field."""
    day_first: bool | None = None
    """Declares numeric dates with `/`, `.` or `-` and a year of two or four digits: true reads d/m/y, false m/d/y."""
    formats: tuple[str, ...] = ()
    """Further forms in strptime's writing, such as `%d %b %Y`."""

    @field_validator("formats")
    @classmethod
    def _whole_dates(cls, formats: tuple[str, ...]) -> tuple[str, ...]:
        for form in formats:
            if _strptime(_ANY_DAY.strftime(form), form) != _ANY_DAY:
                raise ValueError(f"{form!r} does not describe a whole date with day, month and year")
        return formats

    def read(self, value: Scalar) -> date | str:
        """The day, or the normalised text of what is no date in a declared form."""
        if not isinstance(value, str):
            return _text(value)
        return _date(value.strip(), self.day_first, self.formats) or normalise(value)

    def same(self, gold: date | str, answer: date | str) -> bool:
        """Whether it is the same day."""
        return gold == answer


class BooleanRule(_Rule):
    """Equal as truth values: true and false, also as texts, and yes and no; never 1 and 0."""

    type: Literal["boolean"]
    """The kind of the field."""

    def read(self, value: Scalar) -> bool | str:
        """The truth value, or the normalised text of what is none."""
        if isinstance(value, bool):
            return value
        return _TRUTHS.get(_text(value), _text(value))

    def same(self, gold: bool | str, answer: bool | str) -> bool:
        """Whether the truth values are equal."""
        return gold == answer


class ListRule(_Rule):
    """How the items of a list find their counterparts."""

    list: Literal["matched", "ordered"]
    """Whether items may stand in any order (matched) or must keep the gold's (ordered)."""


class ByType:
    """The rule of fields without one, by the gold's JSON type.

    A number equals a number, or a plain number in a text, by value; a truth value only itself; a text as with TextRule.
    """

    def read(self, value: Scalar) -> tuple[type, str, Fraction | None]:
        """The kind, the normalised text and the number in it."""
        if isinstance(value, bool):
            return bool, str(value), None
        if isinstance(value, str):
            return str, normalise(value), plain_number(value)
        return Decimal, _text(value), exact(value)

    def same(self, gold: tuple[type, str, Fraction | None], answer: tuple[type, str, Fraction | None]) -> bool:
        """Whether the answer's value is the gold's."""
        kind, text, number = gold
        if (kind is bool) != (answer[0] is bool):
            return False
        if kind is Decimal and number is not None:
            return number == answer[2]
        return text == answer[1]


def _kind(rule: Any) -> str | None:
    """The tag of the rule's class, by which pydantic picks it."""
    if isinstance(rule, dict):
        return "list" if "list" in rule else rule.get("type")
    return "list" if isinstance(rule, ListRule) else getattr(rule, "type", None)


FieldRule = Annotated[
    Annotated[TextRule, Tag("text")]
    | Annotated[NumberRule, Tag("number")]
    | Annotated[DateRule, Tag("date")]
    | Annotated[BooleanRule, Tag("boolean")]
    | Annotated[ListRule, Tag("list")],
    Discriminator(_kind),
]


def _text(value: Scalar) -> str:
    if isinstance(value, str):
        return normalise(value)
    return str(value).lower() if isinstance(value, bool) else number_text(value)


def _number(value: int | float | Decimal | bool) -> Fraction | None:
    return None if isinstance(value, bool) else exact(value)


@lru_cache(maxsize=65536)
def _date(text: str, day_first: bool | None, formats: tuple[str, ...]) -> date | None:
    if _ISO.fullmatch(text):
        return _iso(text)
    for form in formats:
        if found := _strptime(text, form):
            return found
    numeric = _NUMERIC_DATE.fullmatch(text)
    if day_first is None or not numeric:
        return None
    day, month = (numeric[1], numeric[3]) if day_first else (numeric[3], numeric[1])
    return _strptime(f"{day} {month} {numeric[4]}", "%d %m %Y" if len(numeric[4]) == 4 else "%d %m %y")


def _iso(text: str) -> date | None:
    try:
        return datetime.fromisoformat(text).date()
    except ValueError:
        return None


def _strptime(text: str, form: str) -> date | None:
    try:
        return datetime.strptime(text, form).date()
    except ValueError:
        return None
