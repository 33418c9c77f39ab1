"""The null provider: no answer, no tokens, no network."""

from __future__ import annotations

from typing import Any

from llm_tester import BaseLLM, ModelConfig


class NullProvider(BaseLLM):
    """Answers every prompt with the empty text, and every text with a vector of no length."""

    blocking = False
    simulated = True
    applies = frozenset({"*"})

    @property
    def default_embedding_model(self) -> str | None:
        """The one model that there is."""
        return self.get_default_model()

    def _call_llm_api(
        self, prompt: str, system_prompt: str, model_name: str, model_config: ModelConfig
    ) -> tuple[str, dict[str, Any]]:
        return "", {"input": 0, "output": 0, "finish_reason": "stop"}

    def _embed_api(
        self, texts: list[str], model_name: str, model_config: ModelConfig
    ) -> tuple[list[list[float]], dict[str, Any]]:
        return [[] for _ in texts], {"input": 0}
