"""Numbers as people and models write them, read to exact values; never through floats."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterator
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache
from typing import Literal

DecimalMark = Literal[".", ","]

MAX_DIGITS = 1000
"""A number with more digits, or with an exponent beyond this, is not read: its exact value would cost too much."""

_BODY = r"(?:(?:[0-9]{1,3}(?:[ '’][0-9]{3})+(?![0-9])|[0-9]+)(?:[.,][0-9]+)*|\.[0-9]+)"
_NUMBER = re.compile(
    rf"""
    (?P<sign>[-+])?
    (?:(?:[$€£¥₹₩₽฿]|(?<![A-Za-z])(?:RM|Rs\.?|[A-Z]{{3}}))[ ]?)?
    (?P<inner_sign>-)?
    (?P<body>{_BODY})
    (?:
        (?P<mixed>[ ][0-9]{{1,4}}[ ]?/[ ]?[0-9]{{1,4}}(?![0-9]|[/.,][0-9]))
      | (?P<over>(?:[ ]?/[ ]?{_BODY})+)
      | [eE](?P<exponent>[-+]?[0-9]+)(?![0-9A-Za-z])
      | [ ]?(?:[*x×·]|\\times|\\cdot)[ ]?10\^\{{?(?P<tens>[-+]?[0-9]+)\}}?
      | \^\{{?(?P<power>[-+]?[0-9]+)\}}?
    )?
    (?:[ ]?(?P<scale>(?i:hundred|thousand|million|billion|trillion))(?i:s)?\b | (?P<k>[kK])\b)?
    """,
    re.VERBOSE,
)
_PLAIN = re.compile(r"\s*[-+]?[0-9]+(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?\s*")
_FRACTION = re.compile(r"\\[dt]?frac\s?\{\s?(-?[0-9.,]+)\s?\}\s?\{\s?([0-9.,]+)\s?\}")
_LATEX = (("{,}", ","), ("\\,", " "), ("\\!", ""), ("\\$", "$"), ("\\%", "%"))
_SCALES = {"hundred": 10**2, "thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}
_GROUPED_INDIAN = re.compile(r"[0-9]{1,2}(?:,[0-9]{2})+,[0-9]{3}")
_DASHES = "\u2010\u2011\u2012\u2013\u2212\ufe63\uff0d"
_SLASHES = "\u2044\u2215"


class NumberToken:
    """A number found in a text; `value` is None for what only looks like one, such as a date or 10,000 digits."""

    __slots__ = ("_mark", "_match")

    def __init__(self, match: re.Match[str], mark: DecimalMark) -> None:
        self._match = match
        self._mark: DecimalMark = mark

    @property
    def value(self) -> Fraction | None:
        """The exact value."""
        parts = self._match
        body = _body_value(parts["body"], self._mark)
        if body is None:
            return None
        if parts["mixed"]:
            body = _with_fraction(body, parts["mixed"])
        elif parts["over"]:
            body = _divided(body, parts["over"], self._mark)
        elif parts["power"]:
            body = _raised(body, parts["power"])
        elif exponent := parts["exponent"] or parts["tens"]:
            body = _shifted(body, exponent)
        return None if body is None else self._scaled(body)

    def _scaled(self, value: Fraction) -> Fraction:
        scale = 1000 if self._match["k"] else _SCALES.get((self._match["scale"] or "").lower(), 1)
        return value * scale * (-1 if self._negative else 1)

    @property
    def _negative(self) -> bool:
        if self._match["inner_sign"]:
            return True
        # After an operand the dash subtracts or joins: 16-7, covid-19, 2018-12-25.
        before = self._match.string[: self._match.start()][-1:]
        return self._match["sign"] == "-" and not (before.isalnum() or before in (")", "%", "}"))


def numbers_in(text: str, decimal_mark: DecimalMark = ".") -> Iterator[NumberToken]:
    """The numbers of the text in their order, without those that are a part of a word (`H2O`, `x_1`)."""
    for match in _NUMBER.finditer(_tidied(text)):
        if not _is_part_of_word(match):
            yield NumberToken(match, decimal_mark)


def only_number(text: str, decimal_mark: DecimalMark = ".") -> Fraction | None:
    """The value of the one number in the text, whatever currency or unit stands with it; None for none or several."""
    found = numbers_in(text, decimal_mark)
    first, second = next(found, None), next(found, None)
    return first.value if first and not second else None


def plain_number(text: str) -> Fraction | None:
    """The value of a text that is a number in JSON's own writing, else None."""
    if len(text) > 2 * MAX_DIGITS or not _PLAIN.fullmatch(text):
        return None
    token = next(numbers_in(text))
    return token.value


def exact(number: int | float | Decimal) -> Fraction | None:
    """The exact value of a number, a float being what it is written as; None when it is not finite or too long."""
    if isinstance(number, int):
        return Fraction(number) if number.bit_length() <= MAX_DIGITS * 3 else None
    if isinstance(number, float):
        return Fraction(Decimal(repr(number))) if math.isfinite(number) else None
    if not number.is_finite() or len(number.as_tuple().digits) > MAX_DIGITS:
        return None
    return Fraction(number) if abs(number.adjusted()) <= MAX_DIGITS else None


def number_text(number: int | float | Decimal) -> str:
    """The number as written; an integer that is too long to print is written in hexadecimal."""
    if isinstance(number, int) and number.bit_length() > MAX_DIGITS * 3:
        return hex(number)
    return str(number)


def close(value: Fraction, target: Fraction, *, tolerance: Decimal, relative: Decimal) -> bool:
    """Whether value is within the absolute or the relative tolerance of target, the wider of both."""
    if value == target:
        return True
    if not tolerance and not relative:
        return False
    return abs(value - target) <= max(Fraction(tolerance), Fraction(relative) * abs(target))


def _tidied(text: str) -> str:
    if "\\" in text or "{" in text:
        for written, plain in _LATEX:
            text = text.replace(written, plain)
        text = _FRACTION.sub(_slashed, text)
    return text if text.isascii() else "".join(map(_plain_character, text))


def _slashed(match: re.Match[str]) -> str:
    before = match.string[: match.start()][-1:]
    return f"{' ' if before.isdigit() else ''}{match[1]}/{match[2]}"


@lru_cache(maxsize=4096)
def _plain_character(character: str) -> str:
    if character.isdecimal():
        return str(unicodedata.decimal(character))
    if character in _DASHES:
        return "-"
    if character in _SLASHES:
        return "/"
    if unicodedata.category(character) == "Zs":
        return " "
    if "\uff01" <= character <= "\uff5e":
        return chr(ord(character) - 0xFEE0)
    fraction = unicodedata.normalize("NFKC", character)
    # The vulgar fractions: a half is 1, FRACTION SLASH, 2. Superscripts stay as they are, they are no digits.
    return f" {fraction.replace(_SLASHES[0], '/')}" if _SLASHES[0] in fraction and len(fraction) > 2 else character


def _is_part_of_word(match: re.Match[str]) -> bool:
    start = match.start()
    if not (match[0][0].isalnum() or match[0][0] == "."):
        return False
    before = match.string[max(0, start - 2) : start]
    if before.endswith("_"):
        return before[:-1].isalpha()
    return before[-1:].isalpha() or before.endswith("^")


def _body_value(body: str, mark: DecimalMark) -> Fraction | None:
    if len(body) > MAX_DIGITS:
        return None
    packed = body.replace(" ", "").replace("'", "").replace("’", "")
    written = _decimal_text(packed, mark, grouped=packed != body)
    return None if written is None else Fraction(written)


def _decimal_text(body: str, mark: DecimalMark, *, grouped: bool) -> str | None:
    """The digits with a dot as the decimal mark; None when the separators make no number, as in 12.05.2019."""
    used = [character for character in body if character in ".,"]
    if not used:
        return body
    last = used[-1]
    whole, _, rest = body.rpartition(last)
    if len(used) == 1:
        alike_grouping = len(rest) == 3 and 1 <= len(whole) <= 3 and whole[0] != "0"
        return whole + rest if alike_grouping and last != mark and not grouped else f"{whole or '0'}.{rest}"
    if grouped:
        return None
    if last in used[:-1]:
        return _ungrouped(body, last)
    digits = _ungrouped(whole, used[0])
    return None if digits is None else f"{digits}.{rest}"


def _ungrouped(body: str, separator: str) -> str | None:
    first, *groups = body.split(separator)
    if first.isdigit() and len(first) <= 3 and all(len(group) == 3 and group.isdigit() for group in groups):
        return "".join((first, *groups))
    return body.replace(",", "") if _GROUPED_INDIAN.fullmatch(body) else None


def _with_fraction(whole: Fraction, mixed: str) -> Fraction | None:
    above, below = (int(part) for part in mixed.split("/"))
    return whole + Fraction(above, below) if whole.denominator == 1 and above < below else None


def _divided(above: Fraction, over: str, mark: DecimalMark) -> Fraction | None:
    parts = [part.strip() for part in over.split("/")[1:]]
    below = _body_value(parts[0], mark) if len(parts) == 1 else None
    return above / below if below else None


def _raised(base: Fraction, power: str) -> Fraction | None:
    if len(power) > 5 or (not base and power.startswith("-")):
        return None
    digits = len(str(base.numerator)) + len(str(base.denominator))
    return Fraction(base ** int(power)) if digits * abs(int(power)) <= MAX_DIGITS else None


def _shifted(value: Fraction, exponent: str) -> Fraction | None:
    if len(exponent) > 5 or abs(int(exponent)) > MAX_DIGITS:
        return None
    return value * Fraction(10) ** int(exponent)
