"""Parameters whose names look like a slip of the pen: near one that servers know, and not one of them."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

NEAR = 0.85
"""As alike as `max_token` and `max_tokens`; `top_n` and `top_p`, or `min_tokens` and `max_tokens`, are less so."""

# The request fields of OpenAI's chat completions (openai-python, CompletionCreateParams) that are no part of the
# question, and the one of its responses that bounds an answer.
_OPENAI = (
    *("audio", "frequency_penalty", "function_call", "functions", "logit_bias", "logprobs", "max_completion_tokens"),
    *("max_output_tokens", "max_tokens", "metadata", "modalities", "n", "parallel_tool_calls", "prediction"),
    *("presence_penalty", "prompt_cache_key", "prompt_cache_options", "prompt_cache_retention", "reasoning_effort"),
    *("response_format", "safety_identifier", "seed", "service_tier", "stop", "store", "stream", "stream_options"),
    *("temperature", "tool_choice", "tools", "top_logprobs", "top_p", "user", "verbosity", "web_search_options"),
)
# Those of Anthropic's messages (anthropic-sdk-python, MessageCreateParams).
_ANTHROPIC = (
    *("cache_control", "container", "context_management", "inference_geo", "output_config", "speed"),
    *("stop_sequences", "thinking", "top_k"),
)
# What OpenRouter (openrouter.ai/docs/api-reference/parameters), vLLM (SamplingParams), Ollama (its Modelfile),
# llama.cpp (n_predict) and TGI (max_new_tokens) take beside them.
_OTHERS = (
    *("chat_template_kwargs", "include_reasoning", "max_new_tokens", "min_p", "min_tokens", "models", "n_predict"),
    *("num_ctx", "num_predict", "prompt_logprobs", "provider", "reasoning", "repeat_penalty", "repetition_penalty"),
    *("route", "safe_prompt", "stop_token_ids", "top_a", "transforms"),
)
KNOWN = frozenset({*_OPENAI, *_ANTHROPIC, *_OTHERS})
"""Parameters that servers are known to take."""
_SQUEEZED = {name.replace("_", ""): name for name in KNOWN}


def doubtful(names: Iterable[str]) -> list[str]:
    """A line for each of these parameters that is near a known one; servers have others of their own."""
    return [
        f"{name}: did you mean {near}? It is sent as it is."
        for name in dict.fromkeys(names)
        if name not in KNOWN and (near := _near(name))
    ]


def _near(name: str) -> str | None:
    squeezed = "".join(filter(str.isalnum, name.lower()))
    found = get_close_matches(squeezed, _SQUEEZED, n=1, cutoff=NEAR)
    return _SQUEEZED[found[0]] if found else None
