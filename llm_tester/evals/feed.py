"""Hands a run's plan out to the workers of its lanes, in its order and none far ahead of the others."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import Self

from llm_tester.evals.halt import Halt
from llm_tester.evals.lanes import LaneProgress
from llm_tester.evals.ledger import Ledger
from llm_tester.evals.run_records import Place, RunRecord

CHUNK = 64
"""How many positions of the plan are read at once."""
LEAD = 4 * CHUNK
"""By how many positions one entrant may be ahead of another, so that a run that stops early has shared samples."""
LOOK = 1.0
"""How often a lane that waits for others looks at them, in seconds."""


class Plan:
    """What a run has left to do. Samples whose last call is in a state of `leave` are done; lanes do not wait for one
    that is in trouble, as `trouble` says."""

    def __init__(
        self,
        ledger: Ledger,
        run: RunRecord,
        halt: Halt,
        leave: frozenset[str],
        trouble: Callable[[LaneProgress], str],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ledger, self._run, self._halt = ledger, run, halt
        self._leave, self._trouble, self._clock = leave, trouble, clock
        self._abreast: list[LaneProgress] = []
        self._moved = asyncio.Event()

    def feed(self, lane: LaneProgress) -> Feed:
        """The places of one lane; the others wait for it while it is entered."""
        return Feed(self, lane)

    def begin(self, lane: LaneProgress) -> None:
        """`lane` takes its places: the others wait for it."""
        self._abreast.append(lane)

    def end(self, lane: LaneProgress) -> None:
        """`lane` takes no more: nobody waits for it."""
        self._abreast.remove(lane)
        self._wake()

    async def next_places(self, lane: LaneProgress) -> list[Place] | None:
        """What is left at the lane's next positions, once the others have caught up; None at the end, and when nothing
        more is to be sent."""
        await self._let_others_catch_up(lane)
        if self._halt.is_set:
            return None
        found = self._ledger.places(self._run, lane.entrant.key, lane.reached, CHUNK)
        if not found:
            return None
        lane.reached += CHUNK
        self._wake()
        return [place for place in found if place.state not in self._leave and not place.scored]

    async def _let_others_catch_up(self, lane: LaneProgress) -> None:
        while self._is_far_ahead(lane) and not self._halt.is_set:
            await self._next_move()
            # What it waits for others is no outage of its own.
            lane.good_at = self._clock()

    def _is_far_ahead(self, lane: LaneProgress) -> bool:
        """Whether others, which are not in trouble, have to catch up."""
        behind = [other for other in self._abreast if other.reached < lane.reached - LEAD]
        return any(not self._trouble(other) for other in behind)

    async def _next_move(self) -> None:
        moved = self._moved
        try:
            await asyncio.wait_for(moved.wait(), LOOK)
        except TimeoutError:
            return

    def _wake(self) -> None:
        self._moved.set()
        self._moved = asyncio.Event()


class Feed:
    """What one lane's workers take their places from."""

    def __init__(self, plan: Plan, lane: LaneProgress) -> None:
        self._plan, self._lane = plan, lane
        self._ready: deque[Place] = deque()
        self._turn = asyncio.Lock()
        self._ended = False

    def __enter__(self) -> Self:
        self._plan.begin(self._lane)
        return self

    def __exit__(self, *_: object) -> None:
        self._plan.end(self._lane)

    async def take(self) -> Place | None:
        """The next place; None when there is no more."""
        while not self._ready:
            async with self._turn:
                if not self._ready and not await self._fetch():
                    return None
        return self._ready.popleft()

    async def _fetch(self) -> bool:
        """Read on, over places that may all be done; False at the end."""
        found = None if self._ended else await self._plan.next_places(self._lane)
        self._ended = found is None
        self._ready.extend(found or ())
        if not found:
            # Of a resumed run thousands may be done: who else has something to do comes in between.
            await asyncio.sleep(0)
        return not self._ended
