"""ProviderRegistry: what was discovered, and one cached instance per provider."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from llm_tester.config import Workspace
from llm_tester.errors import ConfigurationError, LLMTesterError
from llm_tester.llms.base import BaseLLM
from llm_tester.llms.chained import CHAIN, NamedChains
from llm_tester.llms.policy_settings import breaker_settings, chains_of
from llm_tester.llms.provider_factory import DiscoveredProvider, discover, find, instantiate


class ProviderRegistry:
    """The providers of a workspace, or those of them that `only` names; discovery runs at first use, an instance is
    made at its first."""

    def __init__(self, workspace: Workspace | None = None, *, only: Sequence[str] | None = None) -> None:
        self._workspace = workspace
        self._only = only
        self._found: dict[str, DiscoveredProvider] | None = None
        self._instances: dict[str, BaseLLM] = {}
        self._failed: dict[str, LLMTesterError] = {}
        self._lock = threading.RLock()

    @property
    def workspace(self) -> Workspace:
        """The workspace whose providers these are."""
        if self._workspace is None:
            self._workspace = Workspace.find(Path.cwd(), os.environ)
        return self._workspace

    def discovered(self) -> dict[str, DiscoveredProvider]:
        """Every provider by name, broken ones included, and those whose code could not be used when it was needed."""
        with self._lock:
            found = self._discover()
            if not self._failed:
                return found
            return found | {name: replace(found[name], problem=error) for name, error in self._failed.items()}

    def _discover(self) -> dict[str, DiscoveredProvider]:
        if self._found is None:
            found = discover(self.workspace)
            for name in self._only or ():
                find(name, found)
            self._found = {name: found[name] for name in self._only} if self._only is not None else found
        return self._found

    def get(self, name: str) -> BaseLLM:
        """The instance of that provider, made when needed; one that cannot be made is listed as broken until it can."""
        with self._lock:
            if name == CHAIN and self.workspace.settings.fallback.chains and name not in self._instances:
                self._instances[name] = self._chains()
            if name == CHAIN and name not in self._instances and name not in self._discover():
                raise ConfigurationError(
                    "there are no chains in config.json",
                    hint='Name one there: "fallback": {"chains": {"safe": ["openai:gpt-5.4-mini", "anthropic:..."]}}.',
                    path="fallback.chains",
                )
            if name not in self._instances:
                provider = find(name, self._discover())
                try:
                    self._instances[name] = instantiate(provider, self.workspace)
                except LLMTesterError as problem:
                    if provider.enabled:
                        self._failed[name] = problem
                    raise
                self._failed.pop(name, None)
            return self._instances[name]

    def _chains(self) -> BaseLLM:
        if CHAIN in self._discover():
            raise ConfigurationError(
                f'there is a provider "{CHAIN}", and config.json has chains, which are asked by that name',
                hint="Give the provider another name.",
                path="fallback.chains",
            )
        return NamedChains(chains_of(self.workspace), self.get, breaker_settings(self.workspace))

    def add(self, provider: BaseLLM) -> None:
        """Use `provider` under its name."""
        with self._lock:
            self._instances[provider.name] = provider

    def reset(self) -> None:
        """Forget instances and discoveries."""
        with self._lock:
            self._found = None
            self._failed.clear()
            self._instances.clear()


_DEFAULT = ProviderRegistry()


def default_registry() -> ProviderRegistry:
    """The registry behind the module's functions: that of the workspace at or above the current folder."""
    return _DEFAULT


def get_llm_provider(provider_name: str) -> BaseLLM:
    """The cached instance of a provider, made when needed; raises UnknownProviderError."""
    return _DEFAULT.get(provider_name)


def discover_providers() -> list[str]:
    """The names of all usable providers."""
    return [name for name, provider in _DEFAULT.discovered().items() if provider.problem is None and provider.enabled]


def reset_provider_cache() -> None:
    """Forget all cached instances and what was discovered, the workspace included."""
    _DEFAULT.reset()
    _DEFAULT._workspace = None  # noqa: SLF001 - the module's own default object
