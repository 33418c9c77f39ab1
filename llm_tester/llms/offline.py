"""OfflineProvider: deterministic answers and vectors without any network, for trying things out without a key."""

from __future__ import annotations

import hashlib
import math
import struct
from typing import Any

from llm_tester.catalogue import ModelConfig
from llm_tester.llms.base import BaseLLM

DIMENSIONS = 16


class OfflineProvider(BaseLLM):
    """Answers every prompt with a fixed text and the prompt's fingerprint, and every text with its own vector."""

    blocking = False
    simulated = True
    applies = frozenset({"*"})

    def get_default_model(self) -> str | None:
        """Any name does; `stub` where the configuration names none."""
        return super().get_default_model() or "stub"

    @property
    def default_embedding_model(self) -> str | None:
        """As for answers."""
        return self.get_default_model()

    def _call_llm_api(
        self, prompt: str, system_prompt: str, model_name: str, model_config: ModelConfig
    ) -> tuple[str, dict[str, Any]]:
        fingerprint = _digest(f"{system_prompt}\x1f{prompt}")[:6].hex()
        text = f"stub answer {fingerprint}"
        return text, {"input": len(prompt.split()), "output": len(text.split()), "finish_reason": "stop"}

    def _embed_api(
        self, texts: list[str], model_name: str, model_config: ModelConfig
    ) -> tuple[list[list[float]], dict[str, Any]]:
        return [_unit_vector(text) for text in texts], {"input": sum(len(text.split()) for text in texts)}


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


def _unit_vector(text: str) -> list[float]:
    numbers = struct.unpack(f"<{DIMENSIONS}h", _digest(text))
    length = math.hypot(*numbers) or 1.0
    return [number / length for number in numbers]
