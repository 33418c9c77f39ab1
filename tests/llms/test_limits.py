from __future__ import annotations

import asyncio
import subprocess
import sys
import threading

import pytest

from llm_tester.llms.limits import ConnectionSlots

INTERRUPTED = """
import signal
from llm_tester.llms.limits import ConnectionSlots

slots = ConnectionSlots(1)
slots.acquire()
signal.signal(signal.SIGALRM, signal.default_int_handler)
signal.setitimer(signal.ITIMER_REAL, 0.1)
try:
    slots.acquire()
except KeyboardInterrupt:
    slots.release()
    slots.acquire()
    print("free again")
"""


def test_no_more_than_size_hold_a_slot_at_once() -> None:
    slots, inside, most = ConnectionSlots(3), 0, 0

    async def work() -> None:
        nonlocal inside, most
        await slots.aacquire()
        inside += 1
        most = max(most, inside)
        await asyncio.sleep(0)
        inside -= 1
        slots.release()

    async def many() -> None:
        await asyncio.gather(*(work() for _ in range(50)))

    asyncio.run(many())
    assert (most, inside, slots.size) == (3, 0, 3)


def test_slots_are_handed_on_in_the_order_of_asking() -> None:
    slots, order = ConnectionSlots(1), []

    async def work(number: int) -> None:
        await slots.aacquire()
        order.append(number)
        await asyncio.sleep(0)
        slots.release()

    async def many() -> None:
        await asyncio.gather(*(work(number) for number in range(20)))

    asyncio.run(many())
    assert order == list(range(20))


def test_threads_and_event_loops_share_slots() -> None:
    slots = ConnectionSlots(1)
    slots.acquire()
    passed = threading.Event()

    async def wait() -> None:
        await slots.aacquire()
        passed.set()
        slots.release()

    thread = threading.Thread(target=lambda: asyncio.run(wait()))
    thread.start()
    assert not passed.wait(0.02)
    slots.release()
    thread.join(10)
    slots.acquire()
    assert passed.is_set()


def test_a_wait_that_is_cancelled_holds_no_slot() -> None:
    async def work() -> None:
        slots = ConnectionSlots(1)
        await slots.aacquire()
        waiting = [asyncio.create_task(slots.aacquire()) for _ in range(3)]
        await asyncio.sleep(0)
        waiting[0].cancel()
        waiting[1].cancel()
        await asyncio.wait(waiting[:2])
        slots.release()
        await asyncio.wait_for(waiting[2], 10)
        slots.release()
        await asyncio.wait_for(slots.aacquire(), 10)

    asyncio.run(work())


def test_a_slot_that_was_granted_to_a_cancelled_wait_is_handed_on() -> None:
    async def work() -> None:
        slots = ConnectionSlots(1)
        await slots.aacquire()
        waiting = asyncio.create_task(slots.aacquire())
        await asyncio.sleep(0)
        slots.release()
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await asyncio.wait_for(slots.aacquire(), 10)

    asyncio.run(work())


def test_an_interrupted_thread_holds_no_slot() -> None:
    done = subprocess.run([sys.executable, "-c", INTERRUPTED], capture_output=True, text=True, timeout=20, check=False)
    assert (done.stdout, done.stderr) == ("free again\n", "")
