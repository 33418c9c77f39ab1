"""Texts as scorers read and compare them."""

from __future__ import annotations

import re
import unicodedata
from decimal import Decimal
from typing import Any

from llm_tester.errors import TaskError
from llm_tester.evals.samples import Answer, Outcome, Score
from llm_tester.evals.scorers.numbers import number_text

_THOUGHT_MARK = re.compile(r"(</?(?:think|thinking|reasoning)>)", re.IGNORECASE)


def normalise(text: str, *, ignore_case: bool = True) -> str:
    """The text in Unicode NFKC with white space collapsed and stripped, and with case folded when it is ignored."""
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text)
        if ignore_case:
            # Folding can bring characters that are not in NFKC.
            text = unicodedata.normalize("NFKC", text.casefold())
    elif ignore_case:
        text = text.lower()
    return " ".join(text.split())


def without_thoughts(text: str) -> str | None:
    """The text outside of `<think>`, `<thinking>` and `<reasoning>` blocks; None when a block is never closed.

    Some servers put the opening mark into the prompt: what stands before a lone closing mark is a thought too.
    """
    if "<" not in text:
        return text.strip()
    spoken: list[str] = []
    thinking = False
    for part in _THOUGHT_MARK.split(text):
        if not _THOUGHT_MARK.fullmatch(part):
            spoken += [] if thinking else [part]
            continue
        if part.startswith("</") and not thinking:
            spoken.clear()
        thinking = not part.startswith("</")
    return None if thinking else " ".join(spoken).strip()


def only_thoughts(answer: Answer) -> Score:
    """The score of an answer that is nothing but thoughts: cut off unless the provider says otherwise, or empty."""
    if without_thoughts(answer.text) is not None:
        return Score(0.0, Outcome.EMPTY, note="There is nothing after the thoughts.")
    outcome = Outcome.TRUNCATED if answer.finish_reason is None else Outcome.INVALID
    return Score(0.0, outcome, note="The thoughts never end.")


def accepted_texts(target: Any, scorer: str) -> list[str]:
    """The texts of a target that is a text, a number or a list of them; else TaskError, which names the scorer."""
    accepted = [_accepted(item, scorer) for item in (target if isinstance(target, list) else [target])]
    if not accepted:
        raise TaskError(f"The {scorer} scorer needs a target, but its list of accepted texts is empty.")
    return accepted


def _accepted(item: Any, scorer: str) -> str:
    if isinstance(item, int | float | Decimal) and not isinstance(item, bool):
        return number_text(item)
    if not isinstance(item, str):
        raise TaskError(
            f"The {scorer} scorer needs a text or a number as its target, or a list of them, "
            f"not {type(item).__name__}.",
            hint="Use the fields scorer for objects.",
        )
    if not item.strip():
        raise TaskError(f"The {scorer} scorer needs a target that is not blank.")
    return item
