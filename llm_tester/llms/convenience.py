"""Calls in one line: the provider that is named, else the one that the environment has a key for."""

from __future__ import annotations

import warnings
from typing import Any

from llm_tester.errors import ConfigurationError
from llm_tester.llms.base import GENERATED_TOKENS, MAX_TOKENS, TEMPERATURE, BaseLLM
from llm_tester.llms.llm_registry import ProviderRegistry, default_registry
from llm_tester.llms.streams import AsyncStream, Stream

SAFE_DEFAULT = "stub"
PREFERRED = ("openai", "anthropic")


def get_provider(provider_type: str | None = None, fallback: bool = True) -> BaseLLM:
    """The provider of that name, which must have its key; without a name the one of LLM_TESTER_PROVIDER, else the
    first that has a key, else, where `fallback` allows it, with a warning one that makes its answers up here."""
    registry = default_registry()
    chosen = provider_type or registry.workspace.environment.get("LLM_TESTER_PROVIDER")
    if chosen:
        provider = registry.get(chosen.lower())
        provider.prepare(provider.get_default_model() or "")
        return provider
    for name in _with_key(registry):
        return registry.get(name)
    if not fallback:
        raise ConfigurationError(
            "no provider's key is set", hint="Set one, such as OPENAI_API_KEY, or name a provider."
        )
    warnings.warn(
        f"no provider's key is set, so `{SAFE_DEFAULT}` answers, which makes its answers up", UserWarning, stacklevel=3
    )
    return registry.get(SAFE_DEFAULT)


def _with_key(registry: ProviderRegistry) -> list[str]:
    """Usable providers whose key is in the environment, the preferred ones first."""
    found = [
        name
        for name, provider in registry.discovered().items()
        if provider.enabled and provider.config and registry.workspace.environment.get(provider.config.env_key or "")
    ]
    return sorted(found, key=lambda name: (PREFERRED.index(name) if name in PREFERRED else len(PREFERRED), name))


def _model(provider: BaseLLM, parameters: dict[str, Any]) -> dict[str, Any]:
    """The model that OPENAI_MODEL and its like choose, where the call names none."""
    chosen = provider.environment.get(f"{provider.name.upper().replace('-', '_')}_MODEL")
    return {"model": chosen, **parameters} if chosen else parameters


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
