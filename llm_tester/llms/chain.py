"""One call over several models: where one cannot serve it the next one is asked. A flow, as every call is."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from typing import Any

from llm_tester.errors import (
    AllProvidersFailedError,
    BadRequestError,
    ProviderError,
    StreamAbandoned,
    SubstitutionWarning,
)
from llm_tester.llms import call_log
from llm_tester.llms.exchange import CallPolicy, Deferred, Journal, Provider, exchange
from llm_tester.llms.flow import Do, Effect, Flow, Session, Wait
from llm_tester.records import Attempt, Request, Response

NOT_FOUND = 404


def _final(_: ProviderError) -> None:
    return None


@dataclass(frozen=True, slots=True)
class Step:
    """One model of a chain with what its calls are made by.

    `again` says in how many seconds it is worth coming back after a failure; None where that failure is final.
    """

    provider: Provider
    model: str
    session: Session
    policy: CallPolicy
    again: Callable[[ProviderError], float | None] = _final

    @property
    def name(self) -> str:
        """provider:model."""
        return f"{self.provider.name}:{self.model}"


class Relay(Session):
    """Carries out the effects of a chained call by the session of the model that is asked at the moment."""

    def __init__(self, first: Session) -> None:
        # Nothing of its own: threads and network are those of the sessions.
        self.current = first

    def perform(self, effect: Effect) -> Any:
        """The answer to one effect, waiting in this thread."""
        return self.current.perform(effect)

    async def aperform(self, effect: Effect) -> Any:
        """The answer to one effect, waiting on the event loop."""
        return await self.current.aperform(effect)


class _OneCall:
    """The journal of a chained call as one of its models sees it: the failure of one is not that of the call."""

    def __init__(self, journal: Journal, asked: Request) -> None:
        self._journal, self._asked = journal, asked
        self.claim = journal.claim
        self.deferred = journal.deferred

    def answered(self, response: Response) -> Future[Any] | None:
        """The call's answer, whoever gave it."""
        return self._journal.answered(as_asked(response, self._asked))

    def failed(self, error: ProviderError) -> None:
        """Nothing yet: the chain tells the end of the call itself."""


def goes_on(error: ProviderError) -> bool:
    """Whether the next model may be asked: not for what is wrong with the request, nor once text was handed on."""
    if error.text or isinstance(error, StreamAbandoned):
        return False
    # A model that a provider no longer has says nothing against the request.
    return not isinstance(error, BadRequestError) or (type(error) is BadRequestError and error.status == NOT_FOUND)


def as_asked(response: Response, asked: Request) -> Response:
    """The answer to `asked`, whoever was asked in its place."""
    return replace(response, provider=asked.provider, model=asked.model)


def fall_back(
    asked: Request, steps: Sequence[Step], relay: Relay, journal: Journal | None = None, *, warn: bool = False
) -> Flow[Response]:
    """The answer of the first step that gives one, with the attempts of all that were asked.

    Raises what is wrong with the request itself as it is, and AllProvidersFailedError when nobody can serve it. With
    `warn` an answer of another one than the first is a SubstitutionWarning.
    """
    attempts: tuple[Attempt, ...] = ()
    own = None if journal is None else _OneCall(journal, asked)
    left = list(steps)
    while True:
        failures: list[ProviderError] = []
        for step in left:
            relay.current = step.session
            request = replace(asked, provider=step.provider.name, model=step.model)
            try:
                response = yield from exchange(step.provider, request, replace(step.policy, journal=own), attempts)
            except ProviderError as error:
                attempts = error.attempts
                failures.append(error)
            else:
                if warn and step is not steps[0]:
                    _warn(step, steps[0])
                return as_asked(response, asked)
            if not goes_on(failures[-1]):
                yield from _ended(journal, failures[-1])
                raise failures[-1]
        waits = {step: step.again(error) for step, error in zip(left, failures, strict=True)}
        left = [step for step, seconds in waits.items() if seconds is not None]
        if not left:
            raise (yield from _nobody(asked, failures, journal))
        yield from _wait(min(seconds for seconds in waits.values() if seconds is not None), attempts, journal)


def _nobody(
    asked: Request, failures: list[ProviderError], journal: Journal | None
) -> Generator[Effect, Any, ProviderError]:
    last = failures[-1]
    error = AllProvidersFailedError(
        f"All providers failed for completion. Last error: {last.message}",
        hint="; ".join(f"{failure.provider}:{failure.model}: {type(failure).__name__}" for failure in failures),
        provider=asked.provider,
        model=asked.model,
        status=last.status,
        retry_after=last.retry_after,
        attempts=last.attempts,
    )
    error.failures = tuple(failures)
    yield from _ended(journal, error)
    call_log.failed(asked, error)
    return error


def _ended(journal: Journal | None, error: ProviderError) -> Generator[Effect, Any, None]:
    if journal is not None and error.attempts:
        yield Do(lambda: journal.failed(error))


def _wait(seconds: float, attempts: tuple[Attempt, ...], journal: Journal | None) -> Generator[Effect, Any, None]:
    try:
        yield Wait(seconds)
    except Deferred:
        if journal is not None and attempts:
            yield Do(lambda: journal.deferred(attempts))
        raise


def _warn(served: Step, first: Step) -> None:
    warnings.warn(f"{served.name} answered in place of {first.name}", SubstitutionWarning, stacklevel=2)
