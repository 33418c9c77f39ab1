"""The stub: a deterministic offline answer that names its prompt."""

from __future__ import annotations

import hashlib
from typing import Any

from llm_tester import BaseLLM, ModelConfig


class StubProvider(BaseLLM):
    """Answers every prompt with a fixed text and the prompt's fingerprint."""

    blocking = False
    simulated = True
    applies = frozenset({"*"})

    def _call_llm_api(
        self, prompt: str, system_prompt: str, model_name: str, model_config: ModelConfig
    ) -> tuple[str, dict[str, Any]]:
        fingerprint = hashlib.sha256(f"{system_prompt}\x1f{prompt}".encode("utf-8", "surrogatepass")).hexdigest()[:12]
        text = f"stub answer {fingerprint}"
        return text, {"input": len(prompt.split()), "output": len(text.split()), "finish_reason": "stop"}
