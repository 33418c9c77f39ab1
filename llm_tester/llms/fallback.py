"""FallbackProvider: several providers as one, and who stands behind the provider of a call that names none."""

from __future__ import annotations

import logging
import time
import warnings
from collections.abc import Callable, Sequence
from typing import Any

from llm_tester.environment import LMSTUDIO_AVAILABLE, is_on
from llm_tester.errors import (
    AllProvidersFailedError,
    ConfigurationError,
    LLMTesterError,
    MissingKeyError,
    ProviderError,
    SubstitutionWarning,
)
from llm_tester.llms.base import BaseLLM
from llm_tester.llms.chain import goes_on
from llm_tester.llms.chained import Chained, Link
from llm_tester.llms.choosing import LMSTUDIO
from llm_tester.llms.embeddings import Embeddings
from llm_tester.llms.llm_registry import ProviderRegistry, default_registry
from llm_tester.llms.policy_settings import breaker_settings, fallback_settings
from llm_tester.llms.provider_variables import convenient_model
from llm_tester.records import Attempt

_log = logging.getLogger("llm_tester.llms")


class FallbackProvider(Chained):
    """Asks providers in their order until one answers; one whose circuit breaker is open is passed over.

    Without providers those of `fallback.order` in config.json that have what they need. Another one than the first
    answers with a SubstitutionWarning, and `served_provider` of the response names it.
    """

    _warns = True

    def __init__(
        self,
        providers: Sequence[BaseLLM | Link] | None = None,
        *,
        registry: ProviderRegistry | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if providers is not None and not providers:
            raise ConfigurationError("At least one provider must be specified", hint="Name one or more.")
        registry = registry or default_registry()
        chosen: Sequence[BaseLLM | Link] = ordered(registry) if providers is None else providers
        if not chosen:
            raise ConfigurationError(
                "No valid providers available for fallback",
                hint="Set a key, such as OPENAI_API_KEY, or name others in config.json under fallback.order.",
            )
        self._links = tuple(link if isinstance(link, Link) else _link(link) for link in chosen)
        # Who is asked is the first; who answers stands in the response.
        name = self._links[0].provider.name
        super().__init__(name, breaker=breaker_settings(registry.workspace), clock=clock)
        self.environment = self._links[0].provider.environment

    @property
    def providers(self) -> list[BaseLLM]:
        """The providers in their order."""
        return [link.provider for link in self._links]

    def links(self, model: str) -> tuple[Link, ...]:
        """Everybody with the model of its own, but with `model` who lists it, and the first."""
        first, *others = self._links
        if model == first.model:
            return self._links
        has_it = [Link(link.provider, model) if model in link.provider.list_models() else link for link in others]
        return (Link(first.provider, model), *has_it)

    def get_default_model(self) -> str | None:
        """That of the first."""
        return self._links[0].model

    @property
    def host(self) -> str:
        """The hosts that calls may go to."""
        return ", ".join(dict.fromkeys(provider.host for provider in self.providers if provider.host))

    @property
    def is_simulated(self) -> bool:
        """Whether none of them costs money."""
        return all(provider.is_simulated for provider in self.providers)

    @property
    def max_context_size(self) -> int | None:
        """What the smallest of them takes, as far as known."""
        entries = [link.provider.model_entry(link.model) for link in self._links]
        return min((entry.max_input_tokens for entry in entries if entry.max_input_tokens is not None), default=None)

    @property
    def cost_per_1k_tokens(self) -> dict[str, float | None]:
        """What the first of them costs."""
        return self.providers[0].cost_per_1k_tokens

    def redact(self, text: str) -> str:
        """`text` without any of their keys."""
        for provider in self.providers:
            text = provider.redact(text)
        return text

    # --- embeddings: all texts of a call by one model, as vectors of two are not comparable

    @property
    def embeds(self) -> bool:
        """Whether one of them makes embeddings."""
        return any(provider.embeds for provider in self.providers)

    def embeddings(self, text: str | Sequence[str], model: str | None = None, **parameters: Any) -> Embeddings:
        """The vectors of the first that makes them."""
        failures: list[ProviderError] = []
        for provider in self._embedders():
            try:
                found = provider.embeddings(text, _known(provider, model, failures), **parameters)
            except ProviderError as error:
                failures.append(_may_go_on(error))
            else:
                return self._embedded(found, provider, failures)
        raise _nobody(failures)

    async def aembeddings(self, text: str | Sequence[str], model: str | None = None, **parameters: Any) -> Embeddings:
        """As `embeddings`, on the event loop."""
        failures: list[ProviderError] = []
        for provider in self._embedders():
            try:
                found = await provider.aembeddings(text, _known(provider, model, failures), **parameters)
            except ProviderError as error:
                failures.append(_may_go_on(error))
            else:
                return self._embedded(found, provider, failures)
        raise _nobody(failures)

    def _embedders(self) -> list[BaseLLM]:
        # The first says what is missing where nobody makes any.
        return [provider for provider in self.providers if provider.embeds] or self.providers[:1]

    def _embedded(self, found: Embeddings, provider: BaseLLM, failures: list[ProviderError]) -> Embeddings:
        if failures:
            told = f"the vectors are those of {provider.name}, not of {failures[0].provider}"
            warnings.warn(told, SubstitutionWarning, stacklevel=4)
        return found


def _known(provider: BaseLLM, model: str | None, failures: list[ProviderError]) -> str | None:
    return model if not failures or model in provider.list_models() else None


def _may_go_on(error: ProviderError) -> ProviderError:
    if not goes_on(error):
        raise error
    _log.warning("%s makes no embeddings now: %s", error.provider, type(error).__name__)
    return error


def _nobody(failures: list[ProviderError]) -> AllProvidersFailedError:
    attempts: list[Attempt] = [attempt for failure in failures for attempt in failure.attempts]
    error = AllProvidersFailedError(
        f"All providers failed for embedding. Last error: {failures[-1].message}",
        provider=failures[0].provider,
        status=failures[-1].status,
        attempts=tuple(attempts),
    )
    error.failures = tuple(failures)
    return error


def ordered(registry: ProviderRegistry) -> list[Link]:
    """Those of `fallback.order` that can be used, the first choice first; only the first where fallback is off."""
    found: list[Link] = []
    settings = fallback_settings(registry.workspace)
    for name in settings.order:
        if name == LMSTUDIO and not is_on(registry.workspace.environment, LMSTUDIO_AVAILABLE):
            _log.info("lmstudio is left out of the fallback: %s is not on", LMSTUDIO_AVAILABLE)
            continue
        try:
            link = _link(registry.get(name))
            link.provider.prepare(link.model)
        except MissingKeyError as error:
            _log.info("%s is left out of the fallback: %s", name, error)
        except LLMTesterError as error:
            warnings.warn(f"{name} is left out of the fallback: {error}", SubstitutionWarning, stacklevel=4)
        else:
            found.append(link)
        if found and not settings.enabled:
            break
    _log.info("fallback order: %s", ", ".join(link.name for link in found))
    return found


def with_others_behind(primary: BaseLLM, registry: ProviderRegistry) -> BaseLLM:
    """`primary`, and behind it those of the fallback order that can be used; itself where there are none."""
    if primary.is_simulated or not fallback_settings(registry.workspace).enabled:
        return primary
    behind = [link for link in ordered(registry) if link.provider.name != primary.name]
    return FallbackProvider([_link(primary), *behind], registry=registry) if behind else primary


def _link(provider: BaseLLM) -> Link:
    model = convenient_model(provider.name, provider.environment, provider.get_default_model())
    if model is None:
        raise ConfigurationError(
            f"{provider.name} has no default model",
            hint=f"Set one in config.json: providers.{provider.name}.default_model.",
        )
    return Link(provider, model)
