"""Runs that are killed at random instants and resumed: what was lost, bought twice or counted double."""

from __future__ import annotations

import json
import random
import re
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from faults.room import Room
from llm_tester.testing import LoopbackServer, Play, Received

SAMPLES, CONNECTIONS, LATENCY = 120, 8, 0.02
_UNKNOWN = re.compile(r"\((\w{26})\), at most")
_NUMBER = re.compile(r"What is (\d+) \+ 1")


@dataclass(frozen=True, slots=True)
class Kill:
    """What one kill did; every figure from `corrupt` on should be 0.

    `seen` are requests at the server before the kill, `stored` the answers that the ledger had then, `named` the calls
    of unknown fate that resume named. `unnamed`: requests beyond the ledger's that it did not name; `too_many`: named
    beyond those in flight; `rebought`: stored answers that were asked for again; `missing`, `double`: samples without
    a result, or with two; `differing`, `bill`: results and costs that an uninterrupted run has otherwise.
    """

    alive: bool
    seen: int
    stored: int
    named: int
    corrupt: int
    unnamed: int
    too_many: int
    rebought: int
    missing: int
    double: int
    differing: int
    bill: int

    @property
    def damage(self) -> int:
        """The sum of what should be 0."""
        parts = (self.corrupt, self.unnamed, self.too_many, self.rebought)
        return sum(parts) + self.missing + self.double + self.differing + self.bill


def answer(received: Received) -> Play:
    """The right number, with usage that differs from sample to sample."""
    found = _NUMBER.search(json.dumps(received.body))
    number = int(found[1]) if found else 0
    return Play(f"A: {number + (number % 5 != 0)}", usage={"input": 20 + number, "output": 3}, latency=LATENCY)


class Range:
    """A server and the results of an uninterrupted run, to which killed ones are compared."""

    def __init__(self, folder: Path, server: LoopbackServer) -> None:
        self._folder, self._server = folder, server
        whole = self._room("whole")
        ended = whole.batch("--max-connections", str(CONNECTIONS))
        if ended.code != 0:
            raise RuntimeError(f"the uninterrupted run ended with {ended.code}: {ended.err}")
        self._expected = _figures(whole.results())
        self._spent = _spent(whole)

    def _room(self, name: str) -> Room:
        self._server.reset()
        return Room(self._folder / name, f"{self._server.url}/v1", samples=SAMPLES)

    def kill(self, name: str, chance: random.Random) -> Kill:
        """Kill a run at an instant that `chance` chooses, resume it, and count."""
        room = self._room(name)
        with room.start("run", "sums", "-m", "p:m", "--yes", "--name", "r", "--max-connections", "8") as process:
            self._server.wait_for(chance.randint(1, SAMPLES), timeout=60)
            time.sleep(chance.uniform(0, 2 * LATENCY))
            alive = process.poll() is None
            process.kill()
            process.communicate(timeout=20)
        before = self._asked(room)
        stored = {call for (call,) in room.sql("SELECT call_id FROM calls WHERE state = 'answered'")}
        sound = room.sql("PRAGMA integrity_check") == [("ok",)]
        ended = room.run("resume", "r")
        named = set(_UNKNOWN.findall(ended.out))
        results = room.results() if ended.code == 0 else []
        per_sample = Counter(row["sample_id"] for row in results)
        after = Counter(received.call_id for received in self._server.received)
        return Kill(
            alive=alive,
            seen=len(before),
            stored=len(stored),
            named=len(named),
            corrupt=not sound,
            unnamed=len(before - stored - named),
            too_many=max(0, len(named) - CONNECTIONS),
            rebought=sum(after[call] > 1 for call in stored),
            missing=SAMPLES - len(per_sample),
            double=sum(count - 1 for count in per_sample.values()),
            differing=len(self._expected.items() ^ _figures(results).items()),
            bill=_spent(room) != self._spent or room.run("costs", "--verify").code != 0,
        )

    def _asked(self, room: Room) -> set[str]:
        """The calls for samples that the server saw."""
        others = {call for (call,) in room.sql("SELECT call_id FROM calls WHERE purpose <> 'sample'")}
        return {received.call_id for received in self._server.received} - others


def _figures(results: Iterable[dict[str, Any]]) -> dict[str, tuple[Any, ...]]:
    return {row["sample_id"]: (row["outcome"], row["score"], row["cost_usd"]) for row in results}


def _spent(room: Room) -> Any:
    """What the answers to samples cost, in picodollars."""
    return room.sql("SELECT sum(picodollars) FROM costs JOIN calls USING (call) WHERE purpose = 'sample'")


def kills(folder: Path, count: int, seed: int) -> list[Kill]:
    """So many kills, each of a run of its own."""
    chance = random.Random(seed)
    with LoopbackServer(answer) as server:
        place = Range(folder, server)
        return [place.kill(f"kill-{number}", chance) for number in range(count)]
