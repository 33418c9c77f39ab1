from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import pytest

from llm_tester.errors import ProviderTimeoutError
from llm_tester.llms.flow import (
    Acquire,
    Call,
    DaemonPool,
    Do,
    Effect,
    Flow,
    Open,
    Read,
    Send,
    Session,
    Wait,
    adrive,
    drive,
)
from llm_tester.llms.limits import ConnectionSlots

Driven = Callable[..., Any]

HANGING = """
import asyncio, threading
from llm_tester.llms.flow import Call, Session, adrive, drive

def flow():
    return (yield Call(threading.Event().wait, (), 0.05))

print(drive(flow(), Session()))
print(asyncio.run(adrive(flow(), Session())))
"""


class Loopback:
    """A transport that answers with what it was sent."""

    def send(self, effect: Send | Open | Read) -> Any:
        return ("sync", effect)

    async def asend(self, effect: Send | Open | Read) -> Any:
        return ("async", effect)


class Clock:
    """Waits that take no time and are written down."""

    def __init__(self) -> None:
        self.waits: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)

    async def asleep(self, seconds: float) -> None:
        self.waits.append(seconds)

    def session(self, **options: Any) -> Session:
        return Session(sleep=self.sleep, asleep=self.asleep, **options)


def one(effect: Effect) -> Flow[Any]:
    return (yield effect)


def done(value: Any) -> Future[Any]:
    future: Future[Any] = Future()
    future.set_result(value)
    return future


def failed(error: BaseException) -> Future[Any]:
    future: Future[Any] = Future()
    future.set_exception(error)
    return future


def test_a_flow_without_effects_returns_its_value(driven: Driven) -> None:
    def flow() -> Flow[str]:
        return "at once"
        yield Wait(1)

    assert driven(flow(), Session()) == "at once"


def test_answers_are_sent_into_the_flow_in_order(driven: Driven) -> None:
    clock, slots = Clock(), ConnectionSlots(1)

    def flow() -> Flow[list[Any]]:
        answers = [(yield Wait(2.5)), (yield Do(lambda: done("kept"))), (yield Call(max, (3, 7), 1))]
        answers += [(yield Call(min, (3, 7), 1, blocking=False)), (yield Acquire(slots))]
        slots.release()
        return answers

    assert driven(flow(), clock.session()) == [None, "kept", 7, 3, 0]
    assert clock.waits == [2.5]


@pytest.mark.parametrize("effect", [Send("question", 1), Open("question", 1), Read("stream", 1)])
def test_the_network_is_reached_both_ways(driven: Driven, effect: Send | Open | Read) -> None:
    kind, sent = driven(one(effect), Session(Loopback()))
    assert kind in ("sync", "async")
    assert sent is effect


def test_sending_without_a_transport_is_a_mistake(driven: Driven) -> None:
    with pytest.raises(RuntimeError, match="no transport"):
        driven(one(Send("question", 1)), Session())


@pytest.mark.parametrize("error", [LookupError("mine"), SystemExit(2)])
def test_a_failure_reaches_the_flow_which_may_mend_it(driven: Driven, error: BaseException) -> None:
    def flow() -> Flow[Any]:
        try:
            yield Do(lambda: failed(error))
        except (LookupError, SystemExit) as caught:
            return (caught, (yield Call(max, (1, 2), 1)))

    assert driven(flow(), Session()) == (error, 2)


def test_a_failure_that_the_flow_does_not_mend_comes_out_after_it_has_settled(driven: Driven) -> None:
    slots = ConnectionSlots(1)

    def flow() -> Flow[None]:
        yield Acquire(slots)
        try:
            yield Do(lambda: failed(LookupError("mine")))
        finally:
            slots.release()

    with pytest.raises(LookupError, match="mine"):
        driven(flow(), Session())
    slots.acquire()


def test_an_error_in_the_flow_itself_comes_out(driven: Driven) -> None:
    def flow() -> Flow[None]:
        yield Wait(0)
        raise LookupError("in the flow")

    with pytest.raises(LookupError, match="in the flow"):
        driven(flow(), Clock().session())


def test_cancellation_reaches_the_flow_which_settles_with_effects_of_its_own() -> None:
    slots, seen = ConnectionSlots(1), []

    async def hang(_: object) -> None:
        await asyncio.Event().wait()

    def flow() -> Flow[None]:
        yield Acquire(slots)
        try:
            yield Call(hang, (None,), 10)
        except asyncio.CancelledError:
            seen.append((yield Do(lambda: done("settled"))))
            raise
        finally:
            slots.release()

    async def main() -> None:
        task = asyncio.create_task(adrive(flow(), Session()))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.wait_for(slots.aacquire(), 10)

    asyncio.run(main())
    assert seen == ["settled"]


@pytest.mark.parametrize("fails", [False, True])
def test_what_was_started_is_not_taken_back_by_cancellation(fails: bool) -> None:
    record: Future[None] = Future()

    async def main() -> None:
        task = asyncio.create_task(adrive(one(Do(lambda: record)), Session()))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert record.set_running_or_notify_cancel(), "an answer that was paid for is written all the same"
        if fails:
            record.set_exception(LookupError("too late for anybody"))
        else:
            record.set_result(None)

    asyncio.run(main())


@pytest.mark.parametrize("blocking", [True, False])
@pytest.mark.parametrize("error", [ValueError("mine"), SystemExit(3), TimeoutError("theirs")])
def test_what_provider_code_raises_is_an_answer(driven: Driven, error: BaseException, blocking: bool) -> None:
    def function() -> None:
        raise error

    async def coroutine() -> None:
        raise error

    session = Session()
    assert driven(one(Call(function, (), 1, blocking)), session) is error
    assert driven(one(Call(coroutine, (), 1, blocking)), session) is error


def test_even_a_cancellation_that_provider_code_raises_is_an_answer(driven: Driven) -> None:
    def function() -> None:
        raise asyncio.CancelledError

    assert isinstance(driven(one(Call(function, (), 1)), Session()), asyncio.CancelledError)


@pytest.mark.parametrize("blocking", [True, False])
def test_coroutine_functions_are_awaited(driven: Driven, blocking: bool) -> None:
    async def double(number: int) -> int:
        await asyncio.sleep(0)
        return 2 * number

    assert driven(one(Call(double, (21,), 1, blocking)), Session()) == 42


def test_a_function_that_hands_a_coroutine_on_is_awaited(driven: Driven) -> None:
    async def inner(number: int) -> int:
        return 2 * number

    def outer(number: int) -> Any:
        return inner(number)

    assert driven(one(Call(outer, (21,), 1)), Session()) == 42


def test_code_that_may_block_runs_on_a_thread_of_its_own(driven: Driven) -> None:
    def here() -> int:
        return threading.get_ident()

    assert driven(one(Call(here, (), 1, blocking=True)), Session()) != threading.get_ident()
    assert driven(one(Call(here, (), 1, blocking=False)), Session()) == threading.get_ident()


def test_code_that_hangs_times_out_and_does_not_keep_later_code_from_running(driven: Driven) -> None:
    session, release = Session(threads=1), threading.Event()

    def flow() -> Flow[list[Any]]:
        hang = Call(release.wait, (), 0.02)
        return [(yield hang), (yield hang), (yield hang), (yield Call(max, (1, 2), 10))]

    *hung, answer = driven(flow(), session)
    assert [(type(error), error.message) for error in hung] == [(ProviderTimeoutError, "no answer within 0.02 s")] * 3
    assert answer == 2
    release.set()
    assert driven(one(Call(max, (3, 4), 10)), session) == 4


def test_an_async_function_that_hangs_times_out(driven: Driven) -> None:
    async def hang() -> None:
        await asyncio.Event().wait()

    assert isinstance(driven(one(Call(hang, (), 0.02)), Session()), ProviderTimeoutError)


def test_a_call_that_timed_out_in_the_queue_is_never_made() -> None:
    session, entered, release = Session(threads=1), threading.Event(), threading.Event()
    made: list[str] = []

    def hold() -> bool:
        entered.set()
        return release.wait(10)

    holder = threading.Thread(target=lambda: drive(one(Call(hold, (), 10)), session))
    holder.start()
    assert entered.wait(10)
    late = drive(one(Call(made.append, ("too late",), 0.02)), session)
    release.set()
    holder.join(10)
    assert isinstance(late, ProviderTimeoutError)
    assert drive(one(Call(max, (1, 2), 10)), session) == 2
    assert made == []


def test_code_that_hangs_does_not_keep_the_process_from_ending() -> None:
    done = subprocess.run([sys.executable, "-c", HANGING], capture_output=True, text=True, timeout=20, check=True)
    assert done.stdout == "no answer within 0.05 s\n" * 2


def test_a_cancelled_call_leaves_its_thread_to_another() -> None:
    session, entered, release = Session(threads=1), threading.Event(), threading.Event()

    def hold() -> bool:
        entered.set()
        return release.wait(10)

    async def main() -> None:
        task = asyncio.create_task(adrive(one(Call(hold, (), 10)), session))
        assert await asyncio.to_thread(entered.wait, 10)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await adrive(one(Call(max, (1, 2), 10)), session) == 2

    asyncio.run(main())
    release.set()


def test_a_pool_has_no_more_threads_than_its_size() -> None:
    pool, release = DaemonPool(3), threading.Event()
    names: set[int] = set()

    def work() -> None:
        names.add(threading.get_ident())
        release.wait(10)

    jobs = [pool.submit(work) for _ in range(12)]
    release.set()
    for job in jobs:
        job.result(10)
    assert 1 <= len(names) <= 3


def test_a_pool_hands_any_exception_to_who_waits() -> None:
    def work() -> None:
        raise GeneratorExit

    with pytest.raises(GeneratorExit):
        DaemonPool(1).submit(work).result(10)


def test_jobs_that_wait_behind_one_that_hangs_get_a_thread_when_it_is_given_up() -> None:
    pool, entered, release = DaemonPool(1), threading.Event(), threading.Event()

    def hold() -> bool:
        entered.set()
        return release.wait(10)

    hung, waiting = pool.submit(hold), pool.submit(max, 1, 2)
    assert entered.wait(10)
    pool.abandon(hung)
    assert waiting.result(10) == 2
    release.set()
    assert hung.result(10) is True
    assert pool.submit(max, 3, 4).result(10) == 4
