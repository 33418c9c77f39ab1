"""From futures of other threads to the event loop that waits for them, many with one wake-up."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from concurrent.futures import Future
from typing import Any
from weakref import WeakKeyDictionary

Pair = tuple["asyncio.Future[Any]", "Future[Any]"]


def done(value: Any = None) -> Future[Any]:
    """A future that has its result."""
    future: Future[Any] = Future()
    future.set_result(value)
    return future


class Handover:
    """Awaits futures that another thread settles. A commit settles a hundred: waking the loop once for each is dear."""

    def __init__(self) -> None:
        self._loops: WeakKeyDictionary[asyncio.AbstractEventLoop, _Desk] = WeakKeyDictionary()

    async def wait(self, future: Future[Any]) -> Any:
        """What the future brings; a wait that is cancelled leaves the future alone."""
        if future.done() and not future.cancelled():
            return future.result()
        loop = asyncio.get_running_loop()
        desk = self._loops.get(loop)
        if desk is None:
            desk = self._loops[loop] = _Desk()
        waiter: asyncio.Future[Any] = loop.create_future()
        future.add_done_callback(lambda done: desk.put(loop, (waiter, done)))
        return await waiter


class _Desk:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._settled: list[Pair] = []

    def put(self, loop: asyncio.AbstractEventLoop, pair: Pair) -> None:
        with self._lock:
            self._settled.append(pair)
            if len(self._settled) > 1:
                return
        # A loop that is closed has nobody left who waits.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(self._hand_out)

    def _hand_out(self) -> None:
        with self._lock:
            settled, self._settled = self._settled, []
        for waiter, future in settled:
            if waiter.done():
                continue
            if future.cancelled():
                waiter.cancel()
            elif (error := future.exception()) is not None:
                waiter.set_exception(error)
            else:
                waiter.set_result(future.result())
