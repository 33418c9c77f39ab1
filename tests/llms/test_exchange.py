from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

import pytest

from llm_tester.cost_manager import Rates, cost_of
from llm_tester.errors import (
    AuthenticationError,
    BadRequestError,
    OverloadedError,
    ProviderError,
    QuotaExceededError,
    RateLimitError,
    error_for_status,
)
from llm_tester.llms.exchange import CallPolicy, Delivery, exchange
from llm_tester.llms.flow import Flow, Session, Wait, adrive
from llm_tester.llms.limits import ConnectionSlots
from llm_tester.llms.retry import RetryPolicy
from llm_tester.records import Request, Response, UsageData, chat

Driven = Callable[..., Any]
REQUEST = Request("p", "m", chat("hi"), {"temperature": 0}, call_id="c1")
GOOD = Delivery("fine", UsageData(10, 5, finish_reason="stop"))


@dataclass
class Scripted:
    """A provider that has its outcomes one after the other; each attempt takes half a second of its clock."""

    outcomes: list[Delivery | ProviderError | BaseException]
    is_simulated: bool = False
    name: str = "p"
    time: float = 100.0
    waits: list[float] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)

    def attempt(self, request: Request, number: int) -> Flow[Delivery | ProviderError]:
        self.numbers.append(number)
        self.time += 0.5
        outcome = self.outcomes.pop(0)
        if isinstance(outcome, BaseException) and not isinstance(outcome, ProviderError):
            raise outcome
        return outcome
        yield Wait(0)

    def attempt_stream(self, request: Request, number: int) -> Flow[Delivery | ProviderError]:
        return self.attempt(request, number)

    def redact(self, text: str) -> str:
        return text

    def not_applied(self, request: Request) -> tuple[str, ...]:
        return tuple(request.parameters)

    def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.time += seconds

    async def asleep(self, seconds: float) -> None:
        self.sleep(seconds)

    def policy(self, **options: Any) -> CallPolicy:
        plain = CallPolicy(RetryPolicy(jitter=False), clock=lambda: self.time, now=lambda: self.time + 1e9)
        return replace(plain, **options)

    def call(self, driven: Driven, **options: Any) -> Response:
        session = Session(sleep=self.sleep, asleep=self.asleep)
        response: Response = driven(exchange(self, REQUEST, self.policy(**options)), session)
        return response


@dataclass
class Diary:
    """A journal that writes down its steps; `broken` names the one that fails."""

    broken: str = ""
    steps: list[Any] = field(default_factory=list)

    def _note(self, name: str, value: Any = None) -> Future[Any]:
        future: Future[Any] = Future()
        if name == self.broken:
            future.set_exception(LookupError(f"{name} cannot be written"))
        else:
            self.steps.append((name, value) if value is not None else name)
            future.set_result(None)
        return future

    def claim(self) -> Future[Any]:
        return self._note("claim")

    def answered(self, response: Response) -> Future[Any]:
        return self._note("answered", response.text)

    def failed(self, error: ProviderError) -> Future[Any]:
        return self._note("failed", len(error.attempts))


def test_a_good_answer_at_once(driven: Driven) -> None:
    provider = Scripted([GOOD])
    rates = Rates({"input": Decimal(1), "output": Decimal(2)})
    response = provider.call(driven, cost=lambda usage: cost_of(usage, rates))
    assert (response.text, response.finish_reason, response.call_id) == ("fine", "stop", "c1")
    assert (response.provider, response.model, response.served_provider, response.served_model) == ("p", "m", "p", "m")
    assert response.cost.usd == Decimal("0.00002")
    assert response.not_applied == ("temperature",)
    assert response.simulated is False
    (attempt,) = response.attempts
    assert (attempt.number, attempt.ok, attempt.waited_ms, attempt.latency_ms) == (1, True, 0, 500)
    assert attempt.started_at == 1e9 + 100
    assert (response.latency_ms, provider.waits) == (500, [])


def test_three_retries_are_four_attempts(driven: Driven) -> None:
    provider = Scripted([OverloadedError("busy", status=503) for _ in range(5)])
    with pytest.raises(OverloadedError, match="busy") as caught:
        provider.call(driven)
    assert provider.numbers == [1, 2, 3, 4]
    assert provider.waits == [1, 2, 4]
    assert (caught.value.provider, caught.value.model) == ("p", "m")
    assert [attempt.waited_ms for attempt in caught.value.attempts] == [0, 1000, 2000, 4000]
    assert [attempt.number for attempt in caught.value.attempts] == [1, 2, 3, 4]
    assert {(a.ok, a.status, a.error, a.message, a.latency_ms) for a in caught.value.attempts} == {
        (False, 503, "OverloadedError", "busy", 500)
    }


def test_an_answer_after_failures_records_every_attempt(driven: Driven) -> None:
    provider = Scripted([RateLimitError("slow down", status=429, retry_after=7), OverloadedError("busy"), GOOD])
    response = provider.call(driven)
    assert provider.waits == [7, 2]
    assert [(a.ok, a.error, a.waited_ms) for a in response.attempts] == [
        (False, "RateLimitError", 0),
        (False, "OverloadedError", 7000),
        (True, "", 2000),
    ]
    assert response.latency_ms == 500, "without the waits"


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 413, 422])
def test_what_cannot_get_better_is_tried_exactly_once(driven: Driven, status: int) -> None:
    provider = Scripted([error_for_status(status, "no", retry_after=1.0), GOOD])
    with pytest.raises((BadRequestError, AuthenticationError, QuotaExceededError)) as caught:
        provider.call(driven)
    assert (len(caught.value.attempts), provider.waits) == (1, [])


def test_a_wait_above_the_cap_is_final_and_tells_how_long(driven: Driven) -> None:
    provider = Scripted([RateLimitError("no", retry_after=121), GOOD])
    with pytest.raises(RateLimitError) as caught:
        provider.call(driven)
    assert (caught.value.retry_after, len(caught.value.attempts), provider.waits) == (121, 1, [])


def test_declared_latency_wins_over_measured(driven: Driven) -> None:
    declared = Delivery("x", UsageData(latency_ms=12.5))
    assert Scripted([declared]).call(driven).latency_ms == 12.5


def test_the_time_that_a_simulation_takes_says_nothing(driven: Driven) -> None:
    provider = Scripted([OverloadedError("busy"), GOOD], is_simulated=True)
    response = provider.call(driven)
    assert [attempt.latency_ms for attempt in response.attempts] == [None, None]
    assert (response.latency_ms, response.simulated) == (None, True)


def test_the_model_that_served_is_recorded(driven: Driven) -> None:
    response = Scripted([Delivery("x", UsageData(served_model="m-2026"))]).call(driven)
    assert (response.model, response.served_model) == ("m", "m-2026")


def test_an_unpriced_answer_has_an_unknown_cost(driven: Driven) -> None:
    assert Scripted([GOOD]).call(driven).cost.usd is None


@pytest.mark.parametrize(
    ("outcomes", "steps"),
    [
        ([GOOD], ["claim", ("answered", "fine")]),
        ([OverloadedError("busy"), GOOD], ["claim", ("answered", "fine")]),
        ([BadRequestError("no")], ["claim", ("failed", 1)]),
        ([OverloadedError("busy") for _ in range(4)], ["claim", ("failed", 4)]),
    ],
)
def test_the_journal_has_one_claim_and_one_end(driven: Driven, outcomes: list[Any], steps: list[Any]) -> None:
    diary = Diary()
    provider = Scripted(list(outcomes))
    if isinstance(outcomes[-1], ProviderError):
        with pytest.raises(ProviderError):
            provider.call(driven, journal=diary)
    else:
        provider.call(driven, journal=diary)
    assert diary.steps == steps


def test_nothing_is_sent_when_the_claim_cannot_be_written(driven: Driven) -> None:
    provider, slots = Scripted([GOOD]), ConnectionSlots(1)
    with pytest.raises(LookupError, match="claim cannot be written"):
        provider.call(driven, journal=Diary("claim"), admissions=(slots,))
    assert provider.numbers == []
    slots.acquire()


@pytest.mark.parametrize("outcome", [GOOD, BadRequestError("no"), LookupError("a mistake of ours")])
@pytest.mark.parametrize("broken", ["", "answered", "failed"])
def test_the_slot_is_given_back_whatever_happens(driven: Driven, outcome: Any, broken: str) -> None:
    slots = ConnectionSlots(1)
    with contextlib.suppress(BadRequestError, LookupError):
        Scripted([outcome]).call(driven, admissions=(slots,), journal=Diary(broken))
    slots.acquire()


def test_the_slot_is_free_while_a_retry_waits(driven: Driven) -> None:
    slots = ConnectionSlots(1)
    provider = Scripted([OverloadedError("busy"), GOOD])

    class Borrowing(Session):
        """While it waits somebody else takes the slot and gives it back."""

        def perform(self, effect: Any) -> Any:
            if isinstance(effect, Wait):
                slots.acquire()
                slots.release()
                return None
            return super().perform(effect)

        async def aperform(self, effect: Any) -> Any:
            return self.perform(effect) if isinstance(effect, Wait) else await super().aperform(effect)

    assert driven(exchange(provider, REQUEST, provider.policy(admissions=(slots,))), Borrowing()).text == "fine"


def test_the_slot_is_given_back_when_the_call_is_cancelled() -> None:
    slots = ConnectionSlots(1)

    class Hanging(Scripted):
        def attempt(self, request: Request, number: int) -> Flow[Delivery | ProviderError]:
            yield Wait(10)
            return GOOD

    async def forever(seconds: float) -> None:
        await asyncio.Event().wait()

    async def main() -> None:
        flow = exchange(Hanging([]), REQUEST, CallPolicy(admissions=(slots,)))
        task = asyncio.create_task(adrive(flow, Session(asleep=forever)))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    slots.acquire()
