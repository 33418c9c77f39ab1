"""How a run's plan is handed out: each lane in its order, none far ahead of another that it should wait for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest

from llm_tester.config import Workspace
from llm_tester.evals.execution import Execution
from llm_tester.evals.feed import CHUNK, LEAD, Feed, Plan
from llm_tester.evals.halt import Halt
from llm_tester.evals.lanes import LaneProgress
from llm_tester.evals.preparing import RunOptions, prepare
from llm_tester.llms.llm_registry import ProviderRegistry
from tests.evals.conftest import Bench
from tests.evals.drop_ins import PLAIN

SAMPLES = 2 * LEAD
AT_ONCE = LEAD + CHUNK
"""So many places one entrant gets before another one has taken any."""


@pytest.fixture
def execution(bench: Bench) -> Iterator[Execution]:
    bench.task(samples=SAMPLES)
    bench.provider("drop", PLAIN, models=["a", "b"])
    workspace = Workspace.open(bench.root)
    options = RunOptions(tasks=["sums"], models=["drop:a", "drop:b"])
    with (found := prepare(workspace, ProviderRegistry(workspace), options).start()).ledger:
        yield found


class Case:
    """Two lanes side by side; `trouble` names the lanes that are in trouble, by the name of their entrant."""

    def __init__(self, execution: Execution) -> None:
        self.halt, self.trouble = Halt(), set[str]()
        self.plan = Plan(execution.ledger, execution.run, self.halt, frozenset(), self._trouble)
        self.lanes = [LaneProgress(entrant, SAMPLES) for entrant in execution.entrants]

    def _trouble(self, lane: LaneProgress) -> str:
        return "HTTP 503" if lane.entrant.entrant.name in self.trouble else ""


def play(execution: Execution, acts: Callable[[Case, Feed, Feed], Coroutine[Any, Any, None]]) -> None:
    async def both() -> None:
        case = Case(execution)
        with case.plan.feed(case.lanes[0]) as first, case.plan.feed(case.lanes[1]) as second:
            await acts(case, first, second)

    asyncio.run(both())


async def positions(feed: Feed, count: int) -> list[int]:
    """Of the next places; fewer at the end."""
    found = [await feed.take() for _ in range(count)]
    return [place.position for place in found if place is not None]


async def is_waiting(task: asyncio.Task[Any]) -> bool:
    for _ in range(20):
        await asyncio.sleep(0)
    return not task.done()


def test_a_lane_gets_its_plan_in_order_to_the_end(execution: Execution) -> None:
    async def acts(case: Case, first: Feed, second: Feed) -> None:
        case.trouble = {"drop:b"}
        assert await positions(first, SAMPLES + 3) == list(range(SAMPLES))
        assert await first.take() is None

    play(execution, acts)


def test_many_workers_of_a_lane_get_each_place_once(execution: Execution) -> None:
    async def acts(case: Case, first: Feed, second: Feed) -> None:
        case.trouble = {"drop:b"}
        parts = await asyncio.gather(*[positions(first, SAMPLES) for _ in range(10)])
        assert sorted(position for part in parts for position in part) == list(range(SAMPLES))

    play(execution, acts)


def test_a_lane_that_is_far_ahead_waits_until_the_other_has_come_on(execution: Execution) -> None:
    async def acts(case: Case, first: Feed, second: Feed) -> None:
        assert await positions(first, AT_ONCE) == list(range(AT_ONCE))
        waiting = asyncio.create_task(positions(first, 1))
        assert await is_waiting(waiting)
        assert await positions(second, 1) == [0]
        assert await waiting == [AT_ONCE]

    play(execution, acts)


def test_nobody_waits_for_one_that_has_ended(execution: Execution) -> None:
    async def acts(case: Case, first: Feed, second: Feed) -> None:
        with case.plan.feed(LaneProgress(case.lanes[1].entrant, SAMPLES)):
            await positions(second, CHUNK)
            await positions(first, AT_ONCE)
            waiting = asyncio.create_task(positions(first, 1))
            assert await is_waiting(waiting)
        assert await waiting == [AT_ONCE]

    play(execution, acts)


def test_nothing_is_handed_out_once_the_run_is_to_stop(execution: Execution) -> None:
    async def acts(case: Case, first: Feed, second: Feed) -> None:
        assert await positions(first, CHUNK) == list(range(CHUNK))
        case.halt.set()
        assert await first.take() is None
        assert await second.take() is None

    play(execution, acts)
