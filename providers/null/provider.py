"""The null provider: no answer, no tokens, no network."""

from __future__ import annotations

from typing import Any

from llm_tester import BaseLLM, ModelConfig


class NullProvider(BaseLLM):
    """Answers every prompt with the empty text."""

    blocking = False
    simulated = True
    applies = frozenset({"*"})

    def _call_llm_api(
        self, prompt: str, system_prompt: str, model_name: str, model_config: ModelConfig
    ) -> tuple[str, dict[str, Any]]:
        return "", {"input": 0, "output": 0, "finish_reason": "stop"}
