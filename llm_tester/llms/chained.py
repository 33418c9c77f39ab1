"""Providers that stand behind each other, as one provider: the base class, and the chains that config.json names."""

from __future__ import annotations

import threading
import time
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from llm_tester.catalogue import ModelConfig, ModelEntry, ProviderConfig
from llm_tester.config import CircuitBreakerSettings
from llm_tester.cost_manager import Rates
from llm_tester.errors import ConfigurationError, UnknownModelError, suggestion
from llm_tester.llms.base import BaseLLM
from llm_tester.llms.bounds import worst_case
from llm_tester.llms.chain import Relay, Step, fall_back
from llm_tester.llms.circuit_breaker import CircuitBreaker
from llm_tester.llms.flow import Flow, Session
from llm_tester.records import Request, Response, UsageData, chat

CHAIN = "chain"
"""The provider name under which the chains of config.json are asked."""
LinkRates = Sequence[Rates]
"""The rates of each link, in their order."""


@dataclass(frozen=True, slots=True)
class Link:
    """One model of a chain."""

    provider: BaseLLM
    model: str

    @property
    def name(self) -> str:
        """provider:model."""
        return f"{self.provider.name}:{self.model}"


class Chained(BaseLLM):
    """A provider whose every call goes to the first of its links that can serve it.

    `_warns` says whether an answer of another one than the first is a SubstitutionWarning.
    """

    _warns = False

    def __init__(
        self,
        name: str,
        *,
        breaker: CircuitBreakerSettings | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(ProviderConfig(name=name, open_catalogue=True))
        self.breakers: dict[str, CircuitBreaker] = {}
        self._breaker, self._clock = breaker or CircuitBreakerSettings(), clock
        self._lock = threading.Lock()

    @abstractmethod
    def links(self, model: str) -> tuple[Link, ...]:
        """Who serves calls to `model`, the first choice first."""

    def prepare(self, model_name: str) -> None:
        """Check each link: its model, and its key where one is needed."""
        for link in self.links(model_name):
            link.provider.prepare(link.model)

    def not_applied(self, request: Request) -> tuple[str, ...]:
        """What any of the links does not hand on."""
        links = self.links(request.model)
        found = (link.provider.not_applied(replace(request, model=link.model)) for link in links)
        return tuple(sorted({name for names in found for name in names}))

    def _call_llm_api(
        self, prompt: str, system_prompt: str, model_name: str, model_config: ModelConfig
    ) -> tuple[str, dict[str, Any] | UsageData]:
        parameters: Mapping[str, Any] = model_config.parameters
        schema = model_config.output_schema
        asked = Request(self.name, model_name, chat(prompt, system_prompt), parameters, output_schema=schema)
        response = self.respond(asked)
        return response.text, response.usage

    def _call_flow(self, request: Request, *, streamed: bool = False) -> tuple[Flow[Response], Session]:
        """Of a stream the next one is asked only as long as no text has come."""
        steps = [self._step(link, streamed=streamed) for link in self.links(request.model)]
        relay = Relay(steps[0].session)
        return fall_back(request, steps, relay, warn=self._warns), relay

    def _step(self, link: Link, *, streamed: bool) -> Step:
        provider = link.provider
        policy = provider._policy(link.model, streamed=streamed)  # noqa: SLF001 - of its own class
        if self._breaker.enabled:
            policy = replace(policy, admissions=(*policy.admissions, self._breaker_of(link).admission()))
        return Step(provider, link.model, provider._session, policy)  # noqa: SLF001 - of its own class

    def _breaker_of(self, link: Link) -> CircuitBreaker:
        with self._lock:
            if link.name not in self.breakers:
                threshold, timeout = self._breaker.failure_threshold, self._breaker.recovery_timeout
                self.breakers[link.name] = CircuitBreaker(threshold, timeout, name=link.name, clock=self._clock)
            return self.breakers[link.name]


class NamedChains(Chained):
    """The chains of config.json as one provider, whose models they are."""

    def __init__(
        self,
        chains: Mapping[str, Sequence[tuple[str, str]]],
        get: Callable[[str], BaseLLM],
        breaker: CircuitBreakerSettings | None = None,
    ) -> None:
        """`chains` hold provider and model of each link; `get` gives the instance of a provider."""
        super().__init__(CHAIN, breaker=breaker)
        self._chains, self._get = chains, get

    def list_models(self) -> list[str]:
        """The names of the chains."""
        return list(self._chains)

    def is_model_available(self, name: str) -> bool:
        """Whether there is a chain of that name."""
        return name in self._chains

    def links(self, model: str) -> tuple[Link, ...]:
        """The links of a chain; raises UnknownModelError, and ConfigurationError for what cannot stand in one chain."""
        if model not in self._chains:
            raise UnknownModelError(
                f'there is no chain "{model}"',
                hint=suggestion(model, self._chains) or "Name its models in config.json under fallback.chains.",
            )
        links = tuple(Link(self._get(provider), name) for provider, name in self._chains[model])
        where = f"fallback.chains.{model}"
        if len({link.provider.is_simulated for link in links}) > 1:
            raise ConfigurationError(
                f'the chain "{model}" has simulated and real models', hint="Keep them apart.", path=where
            )
        return links

    def model_entry(self, name: str) -> ModelEntry:
        """What a chain takes: what all of its models take."""
        entries = [link.provider.model_entry(link.model) for link in self.links(name)]
        inputs = [entry.max_input_tokens for entry in entries if entry.max_input_tokens is not None]
        return ModelEntry(name=name, max_input_tokens=min(inputs, default=None))

    def redact(self, text: str) -> str:
        """`text` without any key of its links."""
        for chain in self._chains:
            for link in self.links(chain):
                text = link.provider.redact(text)
        return text


def links_of(provider: BaseLLM, model: str) -> tuple[Link, ...]:
    """Who serves calls to a model: the links of a chain, else the provider itself."""
    return provider.links(model) if isinstance(provider, Chained) else (Link(provider, model),)


def are_simulated(links: Sequence[Link]) -> bool:
    """Whether no call of theirs costs new money."""
    return all(link.provider.is_simulated for link in links)


def hosts_of(links: Sequence[Link]) -> str:
    """The hosts that their calls go to."""
    return ", ".join(dict.fromkeys(link.provider.host for link in links if link.provider.host))


def of_link(request: Request, link: Link) -> Request:
    """`request` as one link is asked."""
    if request.provider == link.provider.name and request.model == link.model:
        return request
    return replace(request, provider=link.provider.name, model=link.model)


def bound_of(links: Sequence[Link], request: Request, rates: LinkRates) -> Decimal | None:
    """What one attempt can cost in USD at most, whoever of `links` makes it; None where nothing bounds one of them."""
    if len(links) == 1:
        return worst_case(links[0].provider, of_link(request, links[0]), rates[0])
    priced = zip(links, rates, strict=True)
    bounds = [worst_case(link.provider, of_link(request, link), own) for link, own in priced]
    known = [bound for bound in bounds if bound is not None]
    return max(known) if len(known) == len(bounds) else None
