"""How many tokens a text has: exactly where tiktoken is installed and knows the model, else an estimate."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

ESTIMATE = "estimate"
ASCII_PER_TOKEN = 4
"""Letters of English prose and code; elsewhere a character is about a token."""


@dataclass(frozen=True, slots=True)
class TokenCount:
    """A number of tokens; `method` is `estimate`, or `tiktoken:` with the name of the encoding, which is exact."""

    tokens: int
    method: str

    @property
    def exact(self) -> bool:
        """Whether it was counted with the model's own vocabulary."""
        return self.method != ESTIMATE


class Encoding(Protocol):
    """A vocabulary, as tiktoken has them."""

    name: str

    def encode(self, text: str, *, disallowed_special: Any = ()) -> list[int]:
        """The tokens of a text."""


def count(text: str, encoding: Encoding | None = None) -> TokenCount:
    """The tokens of a text by its model's vocabulary, estimated where that is None."""
    if encoding is None:
        return TokenCount(estimated(text), ESTIMATE)
    # Without this a text that quotes "<|endoftext|>" is refused.
    tokens = encoding.encode(text, disallowed_special=())
    return TokenCount(len(tokens), f"tiktoken:{encoding.name}")


def estimated(text: str) -> int:
    """A quarter of the ASCII letters and all others: within about a third for prose in most languages."""
    plain = sum(letter.isascii() for letter in text)
    return math.ceil(plain / ASCII_PER_TOKEN + (len(text) - plain))


def encoding_of(model: str, find: Callable[[str], Encoding] | None = None) -> Encoding | None:
    """The vocabulary of a model; None where tiktoken is not installed (the extra `tokens`), does not know the model, or
    cannot fetch the vocabulary, which it does at its first use."""
    if find is None:
        try:
            import tiktoken  # type: ignore[import-not-found,unused-ignore]
        except ImportError:
            return None
        find = tiktoken.encoding_for_model
    try:
        return find(model)
    except (KeyError, OSError, ValueError):
        return None
