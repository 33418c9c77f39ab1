"""OpenAI's embeddings, with vectors that depend on nothing but the text and the dimensions."""

from __future__ import annotations

import base64
import hashlib
import math
import struct
from collections.abc import Mapping
from typing import Any

from llm_tester.testing.plays import Play, Received
from llm_tester.testing.shapes import model_of, to_json, usage_field

DIMENSIONS = 8


def embeddings(play: Play, received: Received) -> bytes:
    """A vector for each text that was sent, as numbers or in base64 as asked for."""
    body = received.body
    dimensions = body.get("dimensions")
    size = dimensions if isinstance(dimensions, int) and dimensions > 0 else DIMENSIONS
    packed = [_packed(text, size) for text in _texts(body.get("input"))]
    if body.get("encoding_format") == "base64":
        vectors: list[Any] = [base64.b64encode(vector).decode() for vector in packed]
    else:
        vectors = [list(struct.unpack(f"<{size}f", vector)) for vector in packed]
    data = [{"object": "embedding", "index": index, "embedding": vector} for index, vector in enumerate(vectors)]
    frame = {"object": "list", "data": data, "model": model_of(play, received)}
    return to_json(frame | usage_field(play, _usage) | dict(play.extra))


def _usage(counts: Mapping[str, int]) -> dict[str, int]:
    return {name: counts["input"] for name in ("prompt_tokens", "total_tokens") if "input" in counts}


def _texts(given: Any) -> list[bytes]:
    """The texts of a request: one or a list, each as text or as token numbers."""
    many = isinstance(given, list) and not all(isinstance(item, int) for item in given)
    return [to_json(item) for item in (given if many else [given])]


def _packed(text: bytes, size: int) -> bytes:
    """A vector of length one as little-endian 32-bit floats."""
    numbers = struct.unpack(f"<{size}i", hashlib.shake_256(text).digest(4 * size))
    length = math.hypot(*numbers) or 1.0
    return struct.pack(f"<{size}f", *(number / length for number in numbers))
