"""Futures that other threads settle, awaited on an event loop."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Future

import pytest

from llm_tester.errors import LedgerError
from llm_tester.llms.handover import Handover


def test_many_futures_settled_by_another_thread_reach_who_waits_for_them() -> None:
    futures: list[Future[int]] = [Future() for _ in range(300)]

    def settle() -> None:
        for number, future in enumerate(futures):
            future.set_result(number)

    async def work() -> list[int]:
        handover = Handover()
        waits = [asyncio.ensure_future(handover.wait(future)) for future in futures]
        await asyncio.sleep(0)
        threading.Thread(target=settle).start()
        return [await wait for wait in waits]

    assert asyncio.run(work()) == list(range(300))


def test_errors_and_cancellations_are_passed_on() -> None:
    refused: Future[int] = Future()
    refused.set_exception(LedgerError("the disk is full"))
    dropped: Future[int] = Future()
    dropped.cancel()

    async def work() -> None:
        handover = Handover()
        with pytest.raises(LedgerError, match="the disk is full"):
            await handover.wait(refused)
        with pytest.raises(asyncio.CancelledError):
            await handover.wait(dropped)

    asyncio.run(work())


def test_a_wait_that_is_cancelled_leaves_the_future_alone() -> None:
    future: Future[int] = Future()

    async def work() -> None:
        wait = asyncio.ensure_future(Handover().wait(future))
        await asyncio.sleep(0)
        wait.cancel()
        with pytest.raises(asyncio.CancelledError):
            await wait
        assert not future.cancelled()
        future.set_result(1)
        await asyncio.sleep(0)

    asyncio.run(work())
    assert future.result() == 1


def test_a_future_settled_after_the_loop_has_ended_disturbs_nobody(caplog: pytest.LogCaptureFixture) -> None:
    future: Future[int] = Future()

    async def work() -> None:
        wait = asyncio.ensure_future(Handover().wait(future))
        await asyncio.sleep(0)
        wait.cancel()

    asyncio.run(work())
    future.set_result(1)
    assert not caplog.records
