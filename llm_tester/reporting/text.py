"""Model output is untrusted: text made safe for a terminal, a Markdown table and a spreadsheet."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from typing import Any

from llm_tester.cost_manager import usd_text

_ESCAPES = re.compile(
    r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[PX^_][^\x1b]*(?:\x1b\\)?|.)?", re.DOTALL
)
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\0")


def printable(text: str) -> str:
    """`text` without terminal escapes, control characters and marks that turn the direction of text."""
    return _CONTROLS.sub("", _ESCAPES.sub("", text))


def one_line(text: str, width: int) -> str:
    """`text` on one line of at most `width` characters."""
    flat = " ".join(printable(text).split())
    return flat if len(flat) <= width else f"{flat[: width - 1]}…"


def plain(value: Any) -> str:
    """A target as text."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def markdown_cell(text: str) -> str:
    """`text` for a cell of a Markdown table: one line, no markup, no HTML."""
    flat = " ".join(printable(text).split())
    escaped = re.sub(r"([\\`*_\[\]|~])", r"\\\1", flat)
    return escaped.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def csv_cell(text: str) -> str:
    """`text` for a cell of a spreadsheet, which must not take it for a formula (ASVS 1.2.10).

    The csv module of Python 3.11 leaves a lone carriage return unquoted, and readers end the row there.
    """
    plain = printable(re.sub(r"\r\n?", "\n", text))
    return f"'{plain}" if text.startswith(_FORMULA) or plain.startswith(_FORMULA) else plain


def dollars(usd: Decimal | None) -> str:
    """A total in USD for people: cents above one dollar, three figures below; a dash where unknown."""
    if usd is None:
        return "–"
    if usd == 0:
        return "$0"
    if usd >= 1:
        return f"${usd:,.2f}"
    return f"${usd_text(usd.quantize(Decimal(1).scaleb(usd.adjusted() - 2)))}"


def milliseconds(value: float | None) -> str:
    """A duration for people."""
    if value is None:
        return "–"
    return f"{value / 1000:.1f} s" if value >= 1000 else f"{value:.0f} ms"


def share(part: int, whole: int) -> str:
    """`part` of `whole`, such as 28/30."""
    return f"{part:,}/{whole:,}"


def counted(number: int, noun: str) -> str:
    """`number` with its noun in the right number, such as 1 call or 1,319 calls."""
    return f"{number:,} {noun}{'s' * (number != 1)}"
