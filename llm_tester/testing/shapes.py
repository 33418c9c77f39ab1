"""What the shapes of all APIs have in common: JSON, server-sent events, and pieces of a text."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any

from llm_tester.testing.plays import ABSENT, Play, Received

CREATED = 1_790_000_000
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def to_json(value: Any) -> bytes:
    """Compact JSON in UTF-8, so that a cut may fall into a character; NaN stays NaN."""
    # A lone surrogate becomes \udXXX by backslashreplace, which is its JSON escape.
    return _encode(value).encode("utf-8", "backslashreplace")


def event(value: Any, name: str = "") -> bytes:
    """A server-sent event, with a name where one is given."""
    data = b"data: %b\n\n" % to_json(value)
    return b"event: %b\n%b" % (name.encode(), data) if name else data


def cut(text: str, pieces: int) -> list[str]:
    """The text in that many pieces of about one length, or in its characters where there are fewer."""
    count = max(1, min(pieces, len(text)))
    edges = [len(text) * index // count for index in range(count + 1)]
    return [text[start:end] for start, end in pairwise(edges) if end > start]


def usage_field(play: Play, shape: Callable[[Mapping[str, int]], Mapping[str, Any]]) -> dict[str, Any]:
    """The field "usage" of an answer, or nothing where the play has none."""
    if play.raw_usage is not ABSENT:
        return {"usage": play.raw_usage}
    return {} if play.usage is None else {"usage": shape(counts_of(play))}


def counts_of(play: Play) -> dict[str, int]:
    """The token counts that a play reports."""
    return {name: count for name, count in (play.usage or {}).items() if count is not None}


def model_of(play: Play, received: Received) -> str:
    """The model that the answer names."""
    return play.model or received.model
