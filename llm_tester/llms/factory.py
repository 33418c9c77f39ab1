"""ProviderFactory: new instances from configuration and environment, bound to a model where one is named."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from llm_tester.catalogue import ProviderConfig, ProviderOverride, merge
from llm_tester.config import Workspace
from llm_tester.environment import FALLBACK_PROVIDER, USE_LOCAL_FALLBACK, is_on, value_of
from llm_tester.errors import ConfigurationError, LLMTesterError, SubstitutionWarning, suggestion
from llm_tester.llms.base import BaseLLM
from llm_tester.llms.choosing import ANY_MODEL, chosen_provider
from llm_tester.llms.fallback import FallbackProvider
from llm_tester.llms.llm_registry import ProviderRegistry
from llm_tester.llms.provider_factory import APIS, find, instantiate
from llm_tester.llms.provider_variables import convenient_model

LOCAL = "local"


class ProviderFactory:
    """Makes providers. Each call gives a new instance, of the workspace at or above the current folder."""

    @classmethod
    def create(
        cls,
        provider_type: str | None = None,
        model: str | None = None,
        use_fallback: bool = True,
        *,
        embedding_model: str | None = None,
        workspace: Workspace | None = None,
    ) -> BaseLLM:
        """The provider of that name, else the one that the environment chooses, whose default model is `model`, and
        that of vectors `embedding_model`.

        With `use_fallback` those of LLM_TESTER_FALLBACK_PROVIDER and LLM_TESTER_USE_LOCAL_FALLBACK stand behind it.
        """
        registry = _registry(workspace)
        primary = _bound(registry, chosen_provider(registry, provider_type).name, model)
        primary.embedding_model = embedding_model
        return combined(chain_of(registry, primary), registry) if use_fallback else primary

    @staticmethod
    def create_provider(provider_type: str | None = None, *, workspace: Workspace | None = None) -> BaseLLM:
        """The provider of that name, else the one that the environment chooses, and nobody behind it."""
        return ProviderFactory.create(provider_type, use_fallback=False, workspace=workspace)

    @staticmethod
    def from_config(config: ProviderConfig, environment: Mapping[str, str] | None = None) -> BaseLLM:
        """A provider of one of the built-in APIs by its configuration alone, without any folder."""
        chosen = APIS.get(config.api or "")
        if chosen is None:
            raise ConfigurationError(
                f'{config.name}: there is no built-in api "{config.api or ""}"', hint=suggestion(config.api or "", APIS)
            )
        provider = chosen(config)
        provider.environment = os.environ if environment is None else environment
        return provider


def chain_of(registry: ProviderRegistry, primary: BaseLLM) -> list[BaseLLM]:
    """`primary` and those that the environment puts behind it; one that cannot be made is warned of and left out."""
    chain = [primary]
    for name in _names_behind(primary.name, registry.workspace.environment):
        try:
            behind = _bound(registry, name, None)
            behind.prepare(behind.get_default_model() or ANY_MODEL)
        except LLMTesterError as error:
            warnings.warn(f"{name} is left out of the fallback: {error}", SubstitutionWarning, stacklevel=3)
        else:
            chain.append(behind)
    return chain


def combined(chain: list[BaseLLM], registry: ProviderRegistry) -> BaseLLM:
    """The providers of a chain as one."""
    return FallbackProvider(chain, registry=registry) if len(chain) > 1 else chain[0]


def _names_behind(primary: str, environment: Mapping[str, str]) -> list[str]:
    second = value_of(environment, FALLBACK_PROVIDER).lower()
    local = LOCAL if is_on(environment, USE_LOCAL_FALLBACK) else ""
    return [name for name in dict.fromkeys((second, local)) if name and name != primary]


def _bound(registry: ProviderRegistry, name: str, model: str | None) -> BaseLLM:
    """A new instance whose default model is `model`, else the one that the environment names."""
    found = find(name, registry.discovered())
    if found.config is not None:
        chosen = model or convenient_model(name, registry.workspace.environment, found.config.default_model)
        if chosen and chosen != found.config.default_model:
            found = replace(found, config=merge(found.config, ProviderOverride(default_model=chosen)))
    return instantiate(found, registry.workspace)


def _registry(workspace: Workspace | None) -> ProviderRegistry:
    return ProviderRegistry(workspace or Workspace.find(Path.cwd(), os.environ))
