"""ProviderManager: policy around calls to many providers, with slots, prices and threads shared between them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from types import TracebackType
from typing import Any, Self

from llm_tester.cost_manager import Rates, cost_of
from llm_tester.errors import ConfigurationError
from llm_tester.llms.base import BaseLLM
from llm_tester.llms.bounds import capped
from llm_tester.llms.budgets import Budget
from llm_tester.llms.circuit_breaker import CircuitBreaker
from llm_tester.llms.exchange import Admission, CallPolicy, Journal, exchange
from llm_tester.llms.flow import Session, adrive, drive
from llm_tester.llms.guard import Guard, Patience
from llm_tester.llms.limiter import Limiter
from llm_tester.llms.limits import ConnectionSlots
from llm_tester.llms.llm_registry import ProviderRegistry, default_registry
from llm_tester.llms.policy_settings import breaker_settings, retry_settings
from llm_tester.llms.price_sources import resolve_rates
from llm_tester.llms.retry import RetryBudget, RetryPolicy
from llm_tester.llms.streams import AsyncStream, Stream
from llm_tester.records import Request, Response, UsageData


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
    ) -> None:
        self._names = None if providers is None else tuple(providers)
        self._registry = registry or default_registry()
        self._retry = retry
        self._max_connections = max_connections
        self._sessions: dict[str, Session] = {}
        self._session = session
        self._patience, self._clock = patience, clock
        self._budget = budget
        self._slots: dict[str, ConnectionSlots] = {}
        self._guards: dict[tuple[str, str], Guard] = {}
        self._rates: dict[tuple[str, str], Rates] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._sessions.clear()

    def provider(self, name: str) -> BaseLLM:
        """The instance that serves `name`; raises ConfigurationError for one that this manager was not given."""
        if self._names is not None and name not in self._names:
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

    def respond(self, request: Request, journal: Journal | None = None) -> Response:
        """The usage-tracked answer to `request`; raises the last ProviderError with every attempt in it."""
        provider = self.provider(request.provider)
        policy = self.policy(provider, request.model, journal)
        return drive(exchange(provider, self.bounded(request), policy), self._driver(provider))

    async def arespond(self, request: Request, journal: Journal | None = None, rates: Rates | None = None) -> Response:
        """As `respond`, on the event loop; at `rates` where they are given."""
        provider = self.provider(request.provider)
        policy = self.policy(provider, request.model, journal, rates)
        return await adrive(exchange(provider, self.bounded(request), policy), self._driver(provider))

    def stream(self, request: Request) -> Stream:
        """The answer's text as it comes, its `response` at the end; the slot is held until then."""
        provider = self.provider(request.provider)
        policy = replace(self.policy(provider, request.model), streamed=True)
        return Stream(exchange(provider, self.bounded(request), policy), self._driver(provider))

    def astream(self, request: Request) -> AsyncStream:
        """As `stream`, on the event loop."""
        provider = self.provider(request.provider)
        policy = replace(self.policy(provider, request.model), streamed=True)
        return AsyncStream(exchange(provider, self.bounded(request), policy), self._driver(provider))

    def policy(
        self, provider: BaseLLM, model: str, journal: Journal | None = None, rates: Rates | None = None
    ) -> CallPolicy:
        """What surrounds a call to this model."""
        priced = rates or self.rates(provider, model)
        retry = self._retry_policy()
        shared: dict[str, Any]
        if provider.is_simulated:
            # Its failures are part of what is told, and there is nobody to spare.
            shared = {"retry": replace(retry, requeue_limited=False), "admissions": (self.slots(provider),)}
        else:
            guard = self.guard(provider, model)
            waits = guard.admissions(longest=retry.max_delay, patience=self._patience)
            shared = {
                "retry": retry,
                "admissions": (*waits, *self._charges(provider, priced)),
                "budget": guard.budget,
                "patient": self._patience is not None,
                "is_open": guard.is_open,
            }
        return CallPolicy(
            **shared,
            refuse_changes=self._registry.workspace.settings.on_unsupported == "error",
            cost=lambda usage: cost_of(usage, priced),
            journal=journal,
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
        """Why calls to this model wait: it keeps failing, or wants to be left alone; empty where they do not."""
        found = self.provider(provider)
        return "" if found.is_simulated else self.guard(found, model).trouble()

    def _retry_policy(self) -> RetryPolicy:
        if self._retry is None:
            settings = retry_settings(self._registry.workspace)
            self._retry = RetryPolicy(**settings.model_dump(), requeue_limited=self._patience is not None)
        return self._retry

    def _charges(self, provider: BaseLLM, rates: Rates) -> tuple[Admission, ...]:
        if self._budget is None:
            return ()
        return (self._budget.admission(provider, rates),)

    def bounded(self, request: Request) -> Request:
        """`request` with an end to its answer where a budget needs one."""
        budgeted = self._budget is not None and not self.provider(request.provider).is_simulated
        return capped(request) if budgeted else request

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
