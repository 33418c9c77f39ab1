"""Who answers a call that names no provider: the one that the environment chooses, one with a key, or a stand-in."""

from __future__ import annotations

import warnings
from collections.abc import Iterator

from llm_tester.environment import DISABLED, LMSTUDIO_AVAILABLE, PROVIDER, SAFE_DEFAULT, is_on, value_of
from llm_tester.errors import ConfigurationError, SubstitutionWarning
from llm_tester.llms.base import BaseLLM
from llm_tester.llms.llm_registry import ProviderRegistry

PREFERRED = ("openai", "anthropic")
STAND_INS = {"stub": "stub", "offline": "stub", "null": "null"}
LMSTUDIO = "lmstudio"
ANY_MODEL = "any"


def named_provider(registry: ProviderRegistry, provider_type: str | None) -> BaseLLM | None:
    """The provider that the caller names, or LLM_TESTER_PROVIDER; None where neither does.

    Raises MissingKeyError for one without its key. Where providers are forbidden, the variable alone names none.
    """
    environment = registry.workspace.environment
    chosen = provider_type or ("" if is_on(environment, DISABLED) else value_of(environment, PROVIDER))
    if not chosen:
        return None
    provider = registry.get(chosen.lower())
    # A server that takes any model may have no default one; the key and the address are what is checked then.
    provider.prepare(provider.get_default_model() or ANY_MODEL)
    return provider


def chosen_provider(
    registry: ProviderRegistry, provider_type: str | None = None, *, fallback: bool = True, embeds: bool = False
) -> BaseLLM:
    """The named provider; else the first with a key, else LM Studio where it is declared available, else, with a
    warning and where `fallback` allows it, the stand-in. With `embeds` only who makes embeddings is considered."""
    named = named_provider(registry, provider_type)
    if named is not None:
        return named
    reason, hint = f"providers are forbidden by {DISABLED}", "Unset it, or name stub, null or mock."
    if not is_on(registry.workspace.environment, DISABLED):
        for provider in _usable(registry):
            if provider.embeds or not embeds:
                return provider
        hint = "Set a key, such as OPENAI_API_KEY, or name a provider."
        reason = "no provider's key is set" if not embeds else "no key of a provider that makes embeddings is set"
    if not fallback:
        raise ConfigurationError(reason, hint=hint)
    name = stand_in(registry)
    warnings.warn(f"{reason}, so `{name}` answers, which makes its answers up", SubstitutionWarning, stacklevel=4)
    return registry.get(name)


def stand_in(registry: ProviderRegistry) -> str:
    """The name of the provider that answers where no other can be used."""
    said = value_of(registry.workspace.environment, SAFE_DEFAULT).lower() or "stub"
    if said not in STAND_INS:
        raise ConfigurationError(f'{SAFE_DEFAULT} is "{said}": expected stub or null', hint="Correct or unset it.")
    return STAND_INS[said]


def _usable(registry: ProviderRegistry) -> Iterator[BaseLLM]:
    """Providers whose key is in the environment, the preferred ones first, then LM Studio where it is declared."""
    environment = registry.workspace.environment
    found = [
        name
        for name, provider in registry.discovered().items()
        if provider.enabled and provider.config and environment.get(provider.config.env_key or "")
    ]
    ranked = sorted(found, key=lambda name: (PREFERRED.index(name) if name in PREFERRED else len(PREFERRED), name))
    yield from map(registry.get, ranked)
    if is_on(environment, LMSTUDIO_AVAILABLE):
        yield registry.get(LMSTUDIO)
