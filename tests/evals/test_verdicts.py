"""How answers come to their verdicts: in order, some side by side, never more than there is room for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from llm_tester.evals.verdicts import Verdict, Verdicts


class Judge:
    """Makes verdicts of numbers; those that wait do so until `gate` opens."""

    def __init__(self) -> None:
        self.made: list[int] = []
        self.under_way = self.most = 0
        self.gate = asyncio.Event()

    def verdict(self, number: int, *, at_once: bool) -> Verdict:
        async def make() -> None:
            self.under_way += 1
            self.most = max(self.most, self.under_way)
            if not at_once:
                await self.gate.wait()
            self.under_way -= 1
            self.made.append(number)

        return Verdict(make, at_once)


async def settled() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


def play(acts: Callable[[Judge, Verdicts], Coroutine[Any, Any, None]], size: int = 3) -> Judge:
    async def both() -> Judge:
        judge, verdicts = Judge(), Verdicts(size)
        async with asyncio.TaskGroup() as group:
            group.create_task(verdicts.make())
            await acts(judge, verdicts)
            await verdicts.end()
        return judge

    return asyncio.run(both())


def test_they_are_made_in_their_order() -> None:
    async def acts(judge: Judge, verdicts: Verdicts) -> None:
        for number in range(50):
            await verdicts.add(judge.verdict(number, at_once=True))

    judge = play(acts)
    assert (judge.made, judge.most) == (list(range(50)), 1)


def test_those_that_wait_are_made_side_by_side_and_hold_up_who_adds_more() -> None:
    async def acts(judge: Judge, verdicts: Verdicts) -> None:
        async def add() -> None:
            for number in range(20):
                await verdicts.add(judge.verdict(number, at_once=False))
                added.append(number)

        added: list[int] = []
        adding = asyncio.create_task(add())
        await settled()
        # Three are being made, three wait for their turn, and the one who adds waits with the seventh.
        assert (judge.under_way, added, judge.made) == (3, [0, 1, 2, 3, 4, 5], [])
        judge.gate.set()
        await adding

    judge = play(acts)
    assert (sorted(judge.made), judge.most) == (list(range(20)), 3)


def test_one_that_fails_ends_them_all() -> None:
    async def fail() -> None:
        raise ValueError("no score")

    async def acts(judge: Judge, verdicts: Verdicts) -> None:
        await verdicts.add(judge.verdict(1, at_once=False))
        await verdicts.add(Verdict(fail, at_once=True))
        await settled()

    with pytest.raises(ExceptionGroup) as raised:
        play(acts)
    assert raised.group_contains(ValueError, match="no score")
