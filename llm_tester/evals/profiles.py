"""What values have in common: the JSON Schema that all of them satisfy, and the rules that compare them well."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

from llm_tester.evals.cells import COMMA_NUMBER, TYPES
from llm_tester.evals.datasets import is_empty
from llm_tester.evals.scorers.choice import LETTERS, option_text

MOST_LABELS, TIMES_EACH = 20, 4
MOST_OPTIONS = 12
NESTING = 20
_INTEGER = re.compile(r"-?(?:0|[1-9]\d{0,14})", re.ASCII)
_NUMBER = re.compile(r"-?(?:0|[1-9]\d{0,14})(?:\.\d{1,10})?", re.ASCII)
_FIGURE = re.compile(r"[-+]?[$€£]? ?(?:0|[1-9]\d{0,14}|[1-9]\d{0,2}(?:,\d{3})+)(?:\.\d+)? ?[%€]?", re.ASCII)
_COMMA_FIGURE = re.compile(
    r"[-+]?[$€£]? ?(?:0|[1-9]\d{0,14}|[1-9]\d{0,2}(?:\.\d{3}){1,4})(?:,\d{1,10})? ?[%€$£]?", re.ASCII
)
_ISO_DATE = re.compile(r"\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])", re.ASCII)
_DATE = re.compile(r"(\d{1,2})([./-])(\d{1,2})\2(?:\d{4}|\d{2})", re.ASCII)
_WORDS = {"true", "false", "yes", "no"}


class Profile:
    """Values that were seen in one place, and what is true of all of them. `textual`: they are cells of a file."""

    def __init__(self, *, textual: bool = False) -> None:
        self.textual = textual
        self.count = self.empty = self.decimals = self.comma_decimals = self.longest = 0
        self.types: set[str] = set()
        self.forms = {"boolean", "integer", "number", "figure", "iso date", "day first", "month first"}
        self.forms |= {"comma number", "comma figure"}
        self.commas = False
        self.labels: Counter[str] = Counter()
        self.parts: dict[str, Profile] = {}
        self.items: Profile | None = None

    def add(self, value: Any) -> None:
        """Take one more value into account."""
        self.count += 1
        if is_empty(value):
            self.empty += 1
            return
        self.types.add(TYPES.get(type(value), "number"))
        if isinstance(value, str):
            self._add_text(value)
        elif isinstance(value, dict):
            for key, part in value.items():
                self.parts.setdefault(key, Profile(textual=self.textual)).add(part)
        elif isinstance(value, list):
            self.items = self.items or Profile()
            for item in value:
                self.items.add(item)
        elif isinstance(value, float):
            self.decimals = max(self.decimals, _decimals(repr(value)))

    def _add_text(self, text: str) -> None:
        stripped = text.strip()
        self.longest = max(self.longest, len(stripped))
        if len(self.labels) <= MOST_LABELS:
            self.labels[stripped] += 1
        if self.forms:
            self.forms &= set(_forms(stripped))
            self.commas = self.commas or "," in stripped
            self.decimals = max(self.decimals, _decimals(stripped))
            self.comma_decimals = max(self.comma_decimals, _decimals(stripped, ","))

    @property
    def texts(self) -> bool:
        """Whether all values are texts."""
        return self.types == {"string"}

    @property
    def numeric(self) -> bool:
        """Whether all values are numbers, or texts of numbers."""
        return bool(self.types) and (
            self.types <= {"number", "integer"} or (self.texts and "figure" in self.forms) or self.decimal_commas
        )

    @property
    def decimal_commas(self) -> bool:
        """Whether all values are texts of numbers with a decimal comma, such as 1.262,40; 1,262 alone is open."""
        return self.texts and self.commas and "comma figure" in self.forms and "figure" not in self.forms

    @property
    def comma_cells(self) -> bool:
        """Whether they are cells that can be read as such numbers, without a currency beside them."""
        return self.textual and self.decimal_commas and "comma number" in self.forms

    @property
    def decimal_points(self) -> bool:
        """Whether cells hold numbers that cannot be read where a comma is the decimal mark."""
        return self.textual and self.texts and "number" in self.forms and "comma number" not in self.forms

    def keep_commas_as_text(self) -> None:
        """Let the cells stay texts, as the file writes other numbers with a point."""
        self.forms.discard("comma number")

    @property
    def structured(self) -> bool:
        """Whether values are objects or lists."""
        return bool(self.types) and self.types <= {"object", "array"}

    @property
    def few_labels(self) -> list[str]:
        """The values where they are a few texts that come again and again, else none."""
        plain = self.texts and not self.forms and self.longest <= 60 and all(map(str.isprintable, self.labels))
        if plain and 2 <= len(self.labels) <= min(MOST_LABELS, self.labels.total() // TIMES_EACH):
            return sorted(self.labels)
        return []

    @property
    def options(self) -> list[str]:
        """The few labels where they can be the options of a choice: not too many, none taken for another's letter."""
        labels = self.few_labels
        letters = [label for label in labels if len(label) == 1]
        if len(labels) > MOST_OPTIONS or len({*map(option_text, labels), ""}) <= len(labels):
            return []
        return labels if not letters or labels == list(LETTERS[: len(labels)]) else []

    @property
    def kind(self) -> str:
        """The JSON type of the values, or what their cells will be read as; "" where they differ."""
        if self.textual and self.texts:
            form = next((form for form in ("boolean", "integer", "number") if form in self.forms), "string")
            return "number" if self.comma_cells else form
        if self.types == {"integer", "number"}:
            return "number"
        return next(iter(self.types)) if len(self.types) == 1 else ""

    def schema(self) -> dict[str, Any]:
        """A JSON Schema that every value satisfies."""
        kind = self.kind
        types = [kind] if kind else sorted(self.types)
        if self.empty:
            types.append("null")
        found: dict[str, Any] = {"type": types[0] if len(types) == 1 else types}
        if self.few_labels:
            found["enum"] = [*self.few_labels, *([None] if self.empty else [])]
        if kind == "string" and "iso date" in self.forms:
            found["format"] = "date"
        if self.parts:
            found |= {
                "properties": {key: part.schema() for key, part in self.parts.items()},
                "required": [key for key, part in self.parts.items() if part.count == self.count - self.empty],
                "additionalProperties": False,
            }
        if self.items is not None and self.items.types:
            found["items"] = self.items.schema()
        return found

    def rules(self, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
        """The rules of the `fields` scorer for what is here and below, by path."""
        if path and (rule := self._rule()):
            yield path, rule
        for key, part in self.parts.items():
            yield from part.rules(f"{path}.{key}" if path else key)
        if self.items is not None:
            yield from self.items.rules(f"{path}[]")

    def _rule(self) -> dict[str, Any] | None:
        if self.numeric:
            decimals = self.comma_decimals if self.decimal_commas else self.decimals
            more: dict[str, Any] = {"tolerance": 0.005} if decimals == 2 else {}
            more |= {"decimal_mark": ","} if self.decimal_commas else {}
            return {"type": "number", **more} if more or self.kind == "string" else None
        if not self.texts or self.kind != "string":
            return None
        if "iso date" in self.forms:
            return {"type": "date"}
        sides = self.forms & {"day first", "month first"}
        return {"type": "date", "day_first": "day first" in sides} if len(sides) == 1 else None

    @property
    def ambiguous_dates(self) -> bool:
        """Whether the values are dates of which nobody can tell the day from the month."""
        return self.texts and {"day first", "month first"} <= self.forms

    def described(self) -> str:
        """What stands there, in words for a prompt."""
        if self.few_labels:
            said = f"one of {listed(self.few_labels)}"
        elif self.texts and "iso date" in self.forms:
            said = "a date as YYYY-MM-DD"
        elif (self._rule() or {}).get("type") == "date":
            said = "a date, the day first" if "day first" in self.forms else "a date, the month first"
        else:
            said = _NAMES.get(self.kind, "a value")
        if self.parts:
            said += " with the keys " + ", ".join(self.parts)
        return said + (", or null where it is not stated" if self.empty else "")


def listed(labels: list[str]) -> str:
    """Labels in a row, in quotes where a comma in one of them could be taken for one between two."""
    quoted = any("," in label or '"' in label for label in labels)
    return ", ".join(json.dumps(label, ensure_ascii=False) if quoted else label for label in labels)


_NAMES = {
    "string": "a text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "object": "an object",
    "array": "a list",
}


_FORMS = {
    "number": _NUMBER,
    "integer": _INTEGER,
    "iso date": _ISO_DATE,
    "figure": _FIGURE,
    "comma number": COMMA_NUMBER,
    "comma figure": _COMMA_FIGURE,
}


def _forms(text: str) -> Iterator[str]:
    if text.lower() in _WORDS:
        yield "boolean"
    yield from (form for form, pattern in _FORMS.items() if pattern.fullmatch(text))
    if date := _DATE.fullmatch(text):
        first, second = int(date[1]), int(date[3])
        if 1 <= first <= 31 and 1 <= second <= 12:
            yield "day first"
        if 1 <= first <= 12 and 1 <= second <= 31:
            yield "month first"


def _decimals(text: str, mark: str = ".") -> int:
    return sum(map(str.isdigit, text.partition(mark)[2]))
