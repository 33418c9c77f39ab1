"""ProviderManager: policy around calls to many providers, with slots, prices and threads shared between them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import replace
from decimal import Decimal
from types import TracebackType
from typing import Any, Self

from llm_tester.cost_manager import Rates, cost_of
from llm_tester.errors import ConfigurationError
from llm_tester.llms.base import BaseLLM
from llm_tester.llms.budgets import Budget
from llm_tester.llms.chain import Relay, Step, fall_back
from llm_tester.llms.chained import CHAIN, Link, LinkRates, are_simulated, bound_of, links_of
from llm_tester.llms.choosing import chosen_provider
from llm_tester.llms.circuit_breaker import CircuitBreaker
from llm_tester.llms.exchange import Admission, CallPolicy, Journal, exchange
from llm_tester.llms.flow import Flow, Session, adrive, drive
from llm_tester.llms.guard import Guard, Patience
from llm_tester.llms.limiter import Limiter
from llm_tester.llms.limits import ConnectionSlots
from llm_tester.llms.llm_registry import ProviderRegistry, default_registry
from llm_tester.llms.manager_config import ManagerConfig
from llm_tester.llms.policy_settings import breaker_settings, retry_settings
from llm_tester.llms.price_sources import resolve_rates
from llm_tester.llms.response_cache import CacheStore, Flights, cache_key, through
from llm_tester.llms.retry import RetryBudget, RetryPolicy
from llm_tester.llms.streams import AsyncStream, Stream
from llm_tester.records import Message, Request, Response, UsageData


class ProviderManager:
    """Calls to the named providers (None: any). At most `max_connections` are in flight to one provider at once, the
    provider's own number where it is None; all together cost at most what `budget` allows.

    Its calls share limiters, circuit breakers and retries. With `patience` they wait out open breakers and refusals, as
    a run does, instead of failing at once.
    """

    def __init__(
        self,
        providers: Sequence[str] | None = None,
        *,
        registry: ProviderRegistry | None = None,
        retry: RetryPolicy | None = None,
        max_connections: int | None = None,
        session: Session | None = None,
        patience: Patience | None = None,
        clock: Callable[[], float] = time.monotonic,
        budget: Budget | None = None,
        cache: CacheStore | None = None,
    ) -> None:
        self._names = None if providers is None else tuple(providers)
        self._registry = registry or default_registry()
        self._retry = retry
        self._max_connections = max_connections
        self._sessions: dict[str, Session] = {}
        self._session = session
        self._patience, self._clock = patience, clock
        self._budget = budget
        self._cache, self._flights = cache, Flights()
        self._slots: dict[str, ConnectionSlots] = {}
        self._guards: dict[tuple[str, str], Guard] = {}
        self._common: dict[tuple[str, str, bool], CallPolicy] = {}
        self._rates: dict[tuple[str, str], Rates] = {}
        self._behind: tuple[Link, ...] = ()
        self._falls_back = True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._sessions.clear()

    def provider(self, name: str) -> BaseLLM:
        """The instance that serves `name`; raises ConfigurationError for one that this manager was not given."""
        if self._names is not None and name not in (*self._names, CHAIN):
            raise ConfigurationError(
                f'this manager was not given the provider "{name}"', hint=f"It has: {', '.join(self._names)}."
            )
        return self._registry.get(name)

    def get_response(
        self, provider: str, prompt: str, source: str = "", model_name: str | None = None
    ) -> tuple[str, UsageData]:
        """The answer of a provider to `prompt` about the text `source`, with its usage, after retries."""
        text = f"{prompt}\n\n{source}" if source else prompt
        response = self.respond(self.provider(provider).request(text, model_name))
        return response.text, response.usage

    def with_fallback(self, provider: BaseLLM | str) -> ProviderManager:
        """A manager like this one in which `provider`, with its default model, stands behind all that are asked."""
        behind = self._registry.get(provider) if isinstance(provider, str) else provider
        return self._like(_behind=(*self._behind, Link(behind, behind.request("").model)))

    def with_config(self, config: ManagerConfig) -> ProviderManager:
        """A manager like this one with these retries, and without fallback where `config` says so."""
        return self._like(_retry=config.retry, _falls_back=config.enable_fallback, _guards={}, _common={})

    def _like(self, **changes: Any) -> ProviderManager:
        # Slots and guards are the same objects: a provider's limits hold for both together.
        other = copy(self)
        vars(other).update(changes)
        return other

    async def generate(self, messages: Sequence[Message], **parameters: Any) -> str:
        """The text of the answer to `messages`, of the first provider's default model."""
        name = self._names[0] if self._names else chosen_provider(self._registry).name
        asked = self.provider(name).request("", parameters.pop("model", None))
        return (await self.arespond(replace(asked, messages=tuple(messages), parameters=parameters))).text

    def respond(self, request: Request, journal: Journal | None = None) -> Response:
        """The usage-tracked answer to `request`; raises the last ProviderError with every attempt in it."""
        flow, session = self._call(request, journal)
        return drive(flow, session)

    async def arespond(
        self, request: Request, journal: Journal | None = None, rates: LinkRates | None = None
    ) -> Response:
        """As `respond`, on the event loop; at `rates`, in the order of a chain's links, where they are given."""
        flow, session = self._call(request, journal, rates)
        return await adrive(flow, session)

    def stream(self, request: Request) -> Stream:
        """The answer's text as it comes, its `response` at the end; the slot is held until then."""
        return Stream(*self._call(request, streamed=True))

    def astream(self, request: Request) -> AsyncStream:
        """As `stream`, on the event loop."""
        return AsyncStream(*self._call(request, streamed=True))

    def _call(
        self,
        request: Request,
        journal: Journal | None = None,
        rates: LinkRates | None = None,
        *,
        streamed: bool = False,
    ) -> tuple[Flow[Response], Session]:
        links = self.links(request)
        flow, session = self._bought(request, links, journal, rates, streamed=streamed)
        if self._cache is None or streamed or are_simulated(links):
            return flow, session
        key = cache_key(links, self.bounded(request))
        return through(self._cache, self._flights, key, request, flow, journal), session

    def _bought(
        self,
        request: Request,
        links: Sequence[Link],
        journal: Journal | None,
        rates: LinkRates | None,
        *,
        streamed: bool,
    ) -> tuple[Flow[Response], Session]:
        asked = self.bounded(request)
        priced: LinkRates = rates or [self.rates(link.provider, link.model) for link in links]
        if len(links) == 1 and links[0].provider.name == request.provider:
            provider = links[0].provider
            policy = self.policy(provider, request.model, priced[0], journal=journal, streamed=streamed)
            return exchange(provider, asked, policy), self._driver(provider)
        steps = [self._step(link, own, streamed=streamed) for link, own in zip(links, priced, strict=True)]
        relay = Relay(steps[0].session)
        return fall_back(asked, steps, relay, journal, warn=bool(self._behind)), relay

    def _step(self, link: Link, rates: Rates, *, streamed: bool) -> Step:
        policy = self.policy(link.provider, link.model, rates, in_chain=True, streamed=streamed)
        session = self._driver(link.provider)
        if self._patience is None or link.provider.is_simulated:
            return Step(link.provider, link.model, session, policy)
        return Step(link.provider, link.model, session, policy, self.guard(link.provider, link.model).again)

    def links(self, request: Request) -> tuple[Link, ...]:
        """Who can serve `request`, the first choice first."""
        links = links_of(self.provider(request.provider), request.model)
        if len(links) > 1 and self._names is not None:
            links = tuple(Link(self.provider(link.provider.name), link.model) for link in links)
        if not (self._behind and self._falls_back):
            return links
        return (*links, *(link for link in self._behind if link.name not in {own.name for own in links}))

    def policy(
        self,
        provider: BaseLLM,
        model: str,
        rates: Rates,
        *,
        journal: Journal | None = None,
        in_chain: bool = False,
        streamed: bool = False,
    ) -> CallPolicy:
        """What surrounds a call to this model; one `in_chain` is refused where a patient one would wait."""
        key = (provider.name, model, in_chain)
        if key not in self._common:
            self._common[key] = self._policy_of_all(provider, model, in_chain=in_chain)
        common = self._common[key]
        charges = self._charges(provider, rates)
        return CallPolicy(
            common.retry,
            lambda usage: cost_of(usage, rates),
            (*common.admissions, *charges) if charges else common.admissions,
            common.budget,
            journal,
            streamed,
            common.refuse_changes,
            common.patient,
            common.is_open,
        )

    def _policy_of_all(self, provider: BaseLLM, model: str, *, in_chain: bool) -> CallPolicy:
        """What the calls to a model have in common."""
        retry, patience = self._retry_policy(), None if in_chain else self._patience
        if in_chain or provider.is_simulated:
            retry = replace(retry, requeue_limited=False)
        refuse = self._registry.workspace.settings.on_unsupported == "error"
        if provider.is_simulated:
            # Its failures are part of what is told, and there is nobody to spare.
            return CallPolicy(retry, admissions=(self.slots(provider),), refuse_changes=refuse)
        guard = self.guard(provider, model)
        return CallPolicy(
            retry,
            admissions=guard.admissions(longest=retry.max_delay, patience=patience),
            budget=guard.budget,
            refuse_changes=refuse,
            patient=patience is not None,
            is_open=guard.is_open,
        )

    def guard(self, provider: BaseLLM, model: str) -> Guard:
        """The limiter, breaker and retries that all calls to this model share."""
        key = (provider.name, model)
        if key not in self._guards:
            settings = breaker_settings(self._registry.workspace)
            name, clock = f"{provider.name}:{model}", self._clock
            threshold, timeout = settings.failure_threshold, settings.recovery_timeout
            breaker = CircuitBreaker(threshold, timeout, name=name, clock=clock) if settings.enabled else None
            limits = provider.model_entry(model).rate_limits or provider.config.rate_limits
            slots, most = self.slots(provider), self._retry_policy().max_retries
            limiter, budget = Limiter(slots.size, limits, clock=clock), RetryBudget(reserve=max(10, most))
            guard = Guard(limiter, slots, breaker, budget, 1 + most)
            # Another thread may be here too; all must get the same object.
            self._guards.setdefault(key, guard)
        return self._guards[key]

    def trouble(self, provider: str, model: str) -> str:
        """Why calls to this model, or to all of a chain, wait: it keeps failing, or wants to be left alone; empty where
        they do not."""
        links = links_of(self.provider(provider), model)
        real = [link for link in links if not link.provider.is_simulated]
        troubles = [self.guard(link.provider, link.model).trouble() for link in real]
        return "; ".join(troubles) if all(troubles) else ""

    def _retry_policy(self) -> RetryPolicy:
        if self._retry is None:
            settings = retry_settings(self._registry.workspace)
            self._retry = RetryPolicy(**settings.model_dump(), requeue_limited=self._patience is not None)
        return self._retry

    def _charges(self, provider: BaseLLM, rates: Rates) -> tuple[Admission, ...]:
        if self._budget is None or not self._budget.covers(provider):
            return ()
        return (self._budget.admission(provider, rates),)

    def bounded(self, request: Request) -> Request:
        """`request` with an end to its answer where a budget needs one."""
        budget = self._budget
        if budget is None or not any(budget.covers(link.provider) for link in self.links(request)):
            return request
        return budget.bounded(request)

    def at_most(self, request: Request, rates: LinkRates) -> Decimal | None:
        """What one attempt at `request` can cost in USD, whoever serves it; None where nothing bounds it."""
        return bound_of(self.links(request), request, rates)

    def rates(self, provider: BaseLLM, model: str) -> Rates:
        """The prices of a model, resolved once."""
        key = (provider.name, model)
        if key not in self._rates:
            self._rates[key] = resolve_rates(provider.config, provider.model_entry(model))
        return self._rates[key]

    def slots(self, provider: BaseLLM) -> ConnectionSlots:
        """The limit that all calls to this provider share."""
        if provider.name not in self._slots:
            # Another thread may be here too; all must get the same object.
            size = self._max_connections or provider.config.max_connections
            self._slots.setdefault(provider.name, ConnectionSlots(size))
        return self._slots[provider.name]

    def _driver(self, provider: BaseLLM) -> Session:
        if self._session is not None:
            return self._session
        if provider.name not in self._sessions:
            size = self.slots(provider).size
            asleep = self._patience.asleep if self._patience else asyncio.sleep
            session = Session(provider.make_transport(size), threads=size, asleep=asleep)
            self._sessions.setdefault(provider.name, session)
        return self._sessions[provider.name]
