"""Calls in one line: the provider that is named, else the one that the environment has a key for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llm_tester.llms.base import GENERATED_TOKENS, MAX_TOKENS, TEMPERATURE, BaseLLM
from llm_tester.llms.choosing import chosen_provider, named_provider
from llm_tester.llms.fallback import with_others_behind
from llm_tester.llms.llm_registry import default_registry
from llm_tester.llms.provider_variables import convenient_model
from llm_tester.llms.streams import AsyncStream, Stream


def get_provider(provider_type: str | None = None, fallback: bool = True) -> BaseLLM:
    """The provider of that name, which must have its key; without a name the one of LLM_TESTER_PROVIDER, else the
    first that has a key, else, where `fallback` allows it, with a warning one that makes its answers up here.

    Behind one that nobody named stand, where `fallback` allows it, those of `fallback.order` in config.json."""
    registry = default_registry()
    named = named_provider(registry, provider_type)
    if named is not None:
        return named
    chosen = chosen_provider(registry, fallback=fallback)
    return with_others_behind(chosen, registry) if fallback else chosen


def _model(provider: BaseLLM, parameters: dict[str, Any]) -> dict[str, Any]:
    """The model that OPENAI_MODEL and its like choose, where the call names none."""
    chosen = convenient_model(provider.name, provider.environment, provider.get_default_model())
    return {"model": chosen, **parameters} if chosen else parameters


def embed(
    text: str | Sequence[str],
    model: str | None = None,
    provider_type: str | None = None,
    fallback: bool = True,
    **parameters: Any,
) -> list[list[float]]:
    """A vector for each text, in their order, of the provider that is named, else of the first one that has a key and
    makes embeddings."""
    provider = chosen_provider(default_registry(), provider_type, fallback=fallback, embeds=True)
    return provider.embed(text, model, **parameters)


async def aembed(
    text: str | Sequence[str],
    model: str | None = None,
    provider_type: str | None = None,
    fallback: bool = True,
    **parameters: Any,
) -> list[list[float]]:
    """As `embed`, on the event loop."""
    provider = chosen_provider(default_registry(), provider_type, fallback=fallback, embeds=True)
    return await provider.aembed(text, model, **parameters)


def complete(
    prompt: str,
    system_prompt: str | None = None,
    temperature: float = TEMPERATURE,
    max_tokens: int = MAX_TOKENS,
    provider_type: str | None = None,
    fallback: bool = True,
    **parameters: Any,
) -> str:
    """The text of an answer; `model` among the parameters names a model of the provider."""
    provider = get_provider(provider_type, fallback)
    return provider.complete(prompt, system_prompt, temperature, max_tokens, **_model(provider, parameters))


async def acomplete(
    prompt: str,
    system_prompt: str | None = None,
    temperature: float = TEMPERATURE,
    max_tokens: int = MAX_TOKENS,
    provider_type: str | None = None,
    fallback: bool = True,
    **parameters: Any,
) -> str:
    """As `complete`, on the event loop."""
    provider = get_provider(provider_type, fallback)
    return await provider.acomplete(prompt, system_prompt, temperature, max_tokens, **_model(provider, parameters))


def stream(
    prompt: str,
    system_prompt: str | None = None,
    temperature: float = TEMPERATURE,
    max_tokens: int = MAX_TOKENS,
    provider_type: str | None = None,
    fallback: bool = True,
    **parameters: Any,
) -> Stream:
    """As `complete`, piece by piece; its `response` at the end."""
    provider = get_provider(provider_type, fallback)
    wanted = _model(provider, parameters)
    return provider.stream(prompt, system_prompt, temperature, max_tokens, **wanted)


def astream(
    prompt: str,
    system_prompt: str | None = None,
    temperature: float = TEMPERATURE,
    max_tokens: int = MAX_TOKENS,
    provider_type: str | None = None,
    fallback: bool = True,
    **parameters: Any,
) -> AsyncStream:
    """As `stream`, on the event loop."""
    provider = get_provider(provider_type, fallback)
    wanted = _model(provider, parameters)
    return provider.astream(prompt, system_prompt, temperature, max_tokens, **wanted)


async def generate(
    prompt: str, temperature: float = TEMPERATURE, max_tokens: int = GENERATED_TOKENS, **parameters: Any
) -> str:
    """The text of an answer; `provider_type` among the parameters names the provider."""
    provider = get_provider(parameters.pop("provider_type", None), parameters.pop("fallback", True))
    return await provider.generate(prompt, temperature, max_tokens, **_model(provider, parameters))


def generate_stream(
    prompt: str, temperature: float = TEMPERATURE, max_tokens: int = GENERATED_TOKENS, **parameters: Any
) -> AsyncStream:
    """As `generate`, piece by piece: `async for` over it, with or without awaiting it first."""
    provider = get_provider(parameters.pop("provider_type", None), parameters.pop("fallback", True))
    return provider.generate_stream(prompt, temperature, max_tokens, **_model(provider, parameters))
