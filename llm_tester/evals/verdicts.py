"""The answers of a lane that wait for their verdict, scored in the order in which they came."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, NamedTuple


class Verdict(NamedTuple):
    """What makes a verdict; `at_once` where it then waits for nothing but that the answer is on disk."""

    make: Callable[[], Coroutine[Any, Any, None]]
    at_once: bool


class Verdicts:
    """At most `size` verdicts wait to be made, and as many that wait for something are made side by side.

    One task makes all the others: answers come to disk in the order in which they were handed to the writer, and a task
    for each is dear.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._queue: asyncio.Queue[Verdict | None] = asyncio.Queue(size)

    async def add(self, verdict: Verdict) -> None:
        """Have it made, once there is room."""
        await self._queue.put(verdict)

    async def end(self) -> None:
        """No more are added."""
        await self._queue.put(None)

    async def make(self) -> None:
        """Make them until the end; raises what any of them does."""
        async with asyncio.TaskGroup() as group:
            side_by_side: set[asyncio.Task[None]] = set()
            while (verdict := await self._queue.get()) is not None:
                if verdict.at_once:
                    await verdict.make()
                    continue
                task = group.create_task(verdict.make())
                side_by_side.add(task)
                task.add_done_callback(side_by_side.discard)
                if len(side_by_side) >= self._size:
                    await asyncio.wait(side_by_side, return_when=asyncio.FIRST_COMPLETED)
