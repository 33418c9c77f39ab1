"""The policy of one call as a flow: admit, send, read, settle, try again. No I/O in it, and no clock of its own."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from llm_tester.cost_manager import UNPRICED, cost_of
from llm_tester.errors import (
    BadResponseError,
    BudgetExceededError,
    ConfigurationError,
    ProviderConnectionError,
    ProviderError,
    ProviderTimeoutError,
    StreamAbandoned,
    is_providers_own,
)
from llm_tester.llms import call_log
from llm_tester.llms.flow import Do, Effect, Flow, Wait
from llm_tester.llms.retry import RetryBudget, RetryPolicy
from llm_tester.records import Allowance, Attempt, Cost, Request, Response, UsageData


@dataclass(frozen=True, slots=True)
class Delivery:
    """What one successful attempt brought."""

    text: str
    usage: UsageData
    allowance: Allowance | None = None


class Deferred(Exception):
    """Raised by a session's wait that is to end now: the call is left for later."""


class Journal(Protocol):
    """The durable record of one call; a future is done when the step is on disk, where there is one."""

    def claim(self) -> Future[Any]:
        """Before anything is sent."""

    def answered(self, response: Response) -> Future[Any] | None:
        """None where the answer is only taken over, to be on disk before any later claim is."""

    def failed(self, error: ProviderError) -> Future[Any] | None:
        """After the last attempt at a model; None where another model is asked next."""

    def deferred(self, attempts: tuple[Attempt, ...]) -> Future[Any]:
        """A claimed call is left for later, between two attempts."""


class Provider(Protocol):
    """What the policy needs of a provider."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def is_simulated(self) -> bool:
        """Whether its answers cost no new money."""

    def attempt(self, request: Request, number: int) -> Flow[Delivery | ProviderError]:
        """One try."""

    def attempt_stream(self, request: Request, number: int) -> Flow[Delivery | ProviderError]:
        """One try that emits the text as it comes."""

    def not_applied(self, request: Request) -> tuple[str, ...]:
        """The parameters that it does not hand on."""

    def redact(self, text: str) -> str:
        """`text` without the provider's key."""


class Admission(Protocol):
    """What an attempt must pass: a budget, a limit, a breaker. A ProviderError that it raises refuses the attempt."""

    def admit(self, request: Request, number: int) -> Generator[Effect, Any, Settle]:
        """Let attempt `number` pass, perhaps after a wait; raises what refuses it. What it returns is told the end."""


Settle = Callable[["Response | ProviderError | None"], None]
"""Told what an attempt came to: the response, the failure (its cost is in `attempts`), None for one broken off."""


def _unpriced(usage: UsageData) -> Cost:
    return cost_of(usage, UNPRICED)


@dataclass(frozen=True, slots=True)
class CallPolicy:
    """What surrounds the attempts of a call: retries, admissions in their order, prices, the journal and the clocks.

    A `patient` call waits out an open breaker and a long Retry-After, where another one fails at once; `is_open` says
    whether the breaker is open now.
    """

    retry: RetryPolicy = field(default_factory=RetryPolicy)
    cost: Callable[[UsageData], Cost] = _unpriced
    admissions: tuple[Admission, ...] = ()
    budget: RetryBudget | None = None
    journal: Journal | None = None
    streamed: bool = False
    refuse_changes: bool = False
    patient: bool = False
    is_open: Callable[[], bool] = bool
    clock: Callable[[], float] = time.monotonic
    now: Callable[[], float] = time.time


@dataclass(slots=True)
class _Call:
    """A call on its way: `again` is the wait before the next attempt in seconds, None where there is none."""

    provider: Provider
    request: Request
    policy: CallPolicy
    attempts: list[Attempt] = field(default_factory=list)
    retries: int = 0
    again: float | None = None
    waited: float = 0.0


def exchange(
    provider: Provider, request: Request, policy: CallPolicy, earlier: tuple[Attempt, ...] = ()
) -> Flow[Response]:
    """One usage-tracked answer; raises the last ProviderError, with every attempt in it, when none came.

    `earlier` are attempts that others made of the same call, which then is claimed already. With `refuse_changes` a
    parameter that cannot be sent as asked is a ConfigurationError, and nothing is sent. A wait that is broken off by
    Deferred, or a budget that is used up, leaves the call, which the journal is told.
    """
    if policy.refuse_changes:
        refuse_changes(provider, request)
    call_log.asked(request)
    call = _Call(provider, request, policy, list(earlier))
    if policy.budget is not None:
        policy.budget.earn()
    try:
        outcome = yield from _until_final(call)
    except (Deferred, BudgetExceededError):
        if policy.journal is not None and call.attempts:
            attempts, journal = tuple(call.attempts), policy.journal
            yield Do(lambda: journal.deferred(attempts))
        raise
    if isinstance(outcome, Response):
        call_log.answered(request, outcome)
        return outcome
    outcome.hint = outcome.hint or policy.retry.explain(len(call.attempts), outcome)
    call_log.failed(request, outcome)
    raise outcome


def _until_final(call: _Call) -> Generator[Effect, Any, Response | ProviderError]:
    while True:
        outcome = yield from _admitted(call)
        if isinstance(outcome, Response):
            return outcome
        if call.again is None:
            if not _waits_out(call, outcome):
                return outcome
            if not call.policy.is_open():
                yield from _note_end(call, outcome)
                return outcome
            call.again = call.policy.retry.delay(call.policy.retry.max_retries, outcome) or 0.0
        call_log.retrying(call.request, outcome, call.again)
        call.waited = call.again * 1000
        yield Wait(call.again)


def _waits_out(call: _Call, error: ProviderError) -> bool:
    """Whether this failure is not the call's last one as long as the breaker is open, as it is the provider's own.

    A call that failed twice as often as any may is given up: it may be its own prompt that the provider fails at.
    """
    few = len(call.attempts) < 2 * (call.policy.retry.max_retries + 1)
    return call.policy.patient and few and is_providers_own(error) and not error.text


def refuse_changes(provider: Provider, request: Request) -> None:
    """Raise ConfigurationError when a parameter would be left out or renamed."""
    changes = provider.not_applied(request)
    if changes:
        raise ConfigurationError(
            f"{provider.name}:{request.model} does not take as asked: {', '.join(changes)}",
            hint='Leave it away, or set on_unsupported to "warn" in config.json.',
            path="on_unsupported",
        )


def _admitted(call: _Call) -> Generator[Effect, Any, Response | ProviderError]:
    """One attempt that passes each admission anew, and tells each what came of it once the journal has it."""
    settles: list[Settle] = []
    outcome: Response | ProviderError | None = None
    try:
        refusal = yield from _admit(call, settles)
        if refusal is not None:
            return refusal
        outcome = yield from _attempt(call)
        return outcome
    finally:
        for told in reversed(settles):
            told(outcome)


def _admit(call: _Call, settles: list[Settle]) -> Generator[Effect, Any, ProviderError | None]:
    """Pass the admissions; the refusal that a provider's limiter or breaker answers with, where one does."""
    try:
        for admission in call.policy.admissions:
            settle = yield from admission.admit(call.request, len(call.attempts) + 1)
            settles.append(settle)
    except ProviderError as refusal:
        call.again = 0.0 if call.policy.patient else None
        refusal.provider, refusal.model = call.provider.name, call.request.model
        refusal.attempts = tuple(call.attempts)
        if call.again is None and call.attempts:
            yield from _note_end(call, refusal)
        return refusal
    return None


def _attempt(call: _Call) -> Generator[Effect, Any, Response | ProviderError]:
    """One attempt, from the claim until the journal has its result."""
    provider, request, policy, attempts = call.provider, call.request, call.policy, call.attempts
    if policy.journal is not None and not attempts:
        yield Do(policy.journal.claim)
    started, begun = policy.now(), policy.clock()
    attempt = provider.attempt_stream if policy.streamed else provider.attempt
    outcome = _without_key((yield from attempt(request, len(attempts) + 1)), provider)
    attempts.append(_record(call, outcome, (policy.clock() - begun) * 1000, started))
    if isinstance(outcome, ProviderError):
        yield from _note_failure(call, outcome)
        return outcome
    response = _response(provider, request, policy, attempts, outcome)
    if policy.journal is not None:
        journal = policy.journal
        yield Do(lambda: journal.answered(response))
    return response


def _without_key(outcome: Delivery | ProviderError, provider: Provider) -> Delivery | ProviderError:
    """Servers and client libraries may quote the key that they were sent."""
    if isinstance(outcome, Delivery):
        text = provider.redact(outcome.text)
        return outcome if text is outcome.text else replace(outcome, text=text)
    outcome.message = provider.redact(outcome.message)
    outcome.args = (outcome.message,)
    outcome.hint, outcome.text = provider.redact(outcome.hint), provider.redact(outcome.text)
    outcome.raw = provider.redact(outcome.raw)
    return outcome


def _note_failure(call: _Call, error: ProviderError) -> Generator[Effect, Any, None]:
    error.provider, error.model = call.provider.name, call.request.model
    error.attempts = tuple(call.attempts)
    call.again = _delay(call, error)
    if call.again is None and not _waits_out(call, error):
        yield from _note_end(call, error)


def _delay(call: _Call, error: ProviderError) -> float | None:
    """Seconds until the next attempt, which is paid for with a retry of the call's own and one of the shared budget."""
    policy = call.policy
    if policy.retry.requeues(error):
        return 0.0
    delay = policy.retry.delay(call.retries + 1, error)
    if delay is None or (policy.budget is not None and not policy.budget.spend()):
        return None
    call.retries += 1
    return delay


def _note_end(call: _Call, error: ProviderError) -> Generator[Effect, Any, None]:
    if call.policy.journal is not None:
        journal = call.policy.journal
        yield Do(lambda: journal.failed(error))


def _record(call: _Call, outcome: Delivery | ProviderError, elapsed: float, started: float) -> Attempt:
    provider, latency = call.provider, elapsed
    if isinstance(outcome, ProviderError):
        kind, status, text = type(outcome).__name__, outcome.status, outcome.message
    else:
        kind, status, text, latency = "", None, "", _latency(provider, outcome.usage, elapsed)  # type: ignore[assignment]
    return Attempt(
        len(call.attempts) + 1,
        provider.name,
        call.request.model,
        not kind,
        status,
        kind,
        text,
        call.waited,
        None if provider.is_simulated and kind else latency,
        started,
        outcome.usage,
        _cost(outcome, call.policy),
    )


def _cost(outcome: Delivery | ProviderError, policy: CallPolicy) -> Cost | None:
    """The cost of one try; None where nothing can have been billed."""
    if isinstance(outcome, Delivery):
        return policy.cost(outcome.usage)
    if outcome.usage is not None:
        cost = policy.cost(outcome.usage)
        # What a stream had counted when it broke off is not all that was made.
        return cost._replace(complete=False) if outcome.text or isinstance(outcome, StreamAbandoned) else cost
    cut = isinstance(outcome, ProviderConnectionError) and outcome.sent
    if cut or outcome.text or isinstance(outcome, BadResponseError | ProviderTimeoutError | StreamAbandoned):
        return policy.cost(UsageData())
    return None


def _latency(provider: Provider, usage: UsageData, elapsed: float) -> float | None:
    """What the provider declares; what was measured here says nothing of an answer that is only simulated."""
    if usage.latency_ms is not None or provider.is_simulated:
        return usage.latency_ms
    return elapsed


def _response(
    provider: Provider, request: Request, policy: CallPolicy, attempts: list[Attempt], delivery: Delivery
) -> Response:
    return Response(
        text=delivery.text,
        provider=provider.name,
        model=request.model,
        served_provider=provider.name,
        served_model=delivery.usage.served_model or request.model,
        usage=delivery.usage,
        cost=attempts[-1].cost or policy.cost(delivery.usage),
        finish_reason=delivery.usage.finish_reason,
        attempts=tuple(attempts),
        latency_ms=attempts[-1].latency_ms,
        not_applied=provider.not_applied(request),
        simulated=provider.is_simulated,
        call_id=request.call_id,
        allowance=delivery.allowance,
    )
