"""Rows R: providers that want to be asked later, less, or not at all."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from email.utils import formatdate
from itertools import pairwise
from pathlib import Path

from faults.room import RETRIES, Room
from faults.table import Finding
from llm_tester.testing import LoopbackServer, Play, Rate, Received
from llm_tester.testing.traffic import TokenBucket

TRIES = 1 + RETRIES
STORM, FAST, SLOW, TURN = 560, 50, 10, 8.0
"""A storm: so many samples; requests per second that are allowed until so many seconds after the first, and then."""
USED, AMPLIFIED = 0.85, 1.5
BUDGET = Decimal("0.05")
OUTAGE, RECOVERY = 3.5, 1.0
SAME = 0.3
"""Seconds by which two waits that are meant to be the same may differ."""


def _gap(folder: Path, headers: Mapping[str, str]) -> float:
    """Seconds between the attempts of a single call that is refused once; -1 when there is only one."""

    def refusing(received: Received) -> Play:
        return Play(status=429, headers=headers) if received.number == 1 else Play("1")

    with LoopbackServer(refusing) as server:
        Room(folder, f"{server.url}/v1").ask()
        times = [received.at for received in server.received]
    return times[1] - times[0] if len(times) > 1 else -1.0


def asked_to_wait(folder: Path) -> Finding:
    """R1"""
    asked = {"retry-after": ("1", 1.0), "retry-after-ms": ("400", 0.4)}
    found = {name: _gap(folder / name, {name: value}) for name, (value, _) in asked.items()}
    early = [name for name, (_, seconds) in asked.items() if found[name] < seconds]
    counted = f"{len(early)} early; " + ", ".join(f"{name} {gap:.2f} s" for name, gap in found.items())
    return Finding(
        "R1", "429 that says when", "Retry-After: 1, -ms: 400", "waits at least that long", counted, not early
    )


def odd_waits(folder: Path) -> Finding:
    """R2"""
    long = _gap(folder / "long", {"retry-after": "121"})
    # A date has whole seconds, and the program takes a part of one to start.
    date = _gap(folder / "date", {"retry-after": formatdate(time.time() + 4, usegmt=True)})
    odd = [_gap(folder / f"odd{n}", {"retry-after": value}) for n, value in enumerate(("NaN", "-5"))]
    # Without a time the limiter's own pace counts, and so it must where the time is nonsense.
    plain = _gap(folder / "plain", {})
    held = long == -1 and date > plain and all(abs(gap - plain) < SAME for gap in odd)
    told = "no retry" if long == -1 else "retried"
    counted = f"121 s: {told}; a date: {date:.1f} s; nonsense: {max(odd):.2f} s, no header: {plain:.2f} s"
    return Finding(
        "R2", "121 s, a date, NaN, negative", "Retry-After", "raised at once, obeyed, ignored", counted, held
    )


class Storm:
    """Lets FAST requests per second through, and SLOW after TURN seconds; others are told when to come back."""

    def __init__(self) -> None:
        self.passed: list[float] = []
        self.asked = 0
        self._began = self._turned = 0.0

    def __call__(self, received: Received) -> Play:
        self.asked += 1
        if not self._began:
            self._began = received.at
            self._bucket = TokenBucket(Rate(FAST))
        after = received.at - self._began
        if after >= TURN and not self._turned:
            self._turned = after
            self._bucket = TokenBucket(Rate(SLOW))
        wait = self._bucket.take()
        if wait:
            return Play(status=429, headers={"retry-after": f"{wait:.3f}"})
        self.passed.append(after)
        return Play("1", latency=0.05)

    def used(self) -> float:
        """What part was used of what was allowed."""
        last = self.passed[-1]
        # The bucket is full at first, with the requests of one second.
        return len(self.passed) / (FAST + FAST * min(last, TURN) + SLOW * max(0.0, last - TURN))


def stormed(folder: Path) -> Finding:
    """R3"""
    storm = Storm()
    with LoopbackServer(storm, keep=False) as server:
        room = Room(folder, f"{server.url}/v1", samples=STORM, max_connections=100)
        ended = room.batch()
    errors = sum(row["outcome"] in ("error", "not_run") for row in room.results())
    load = storm.asked / len(storm.passed)
    held = (ended.code, errors) == (0, 0) and storm.used() >= USED and load <= AMPLIFIED
    return Finding(
        "R3",
        f"429 storm, 100 workers, {STORM} samples",
        f"{FAST} requests/s allowed, then {SLOW}",
        f"no error, >= {USED:.0%} of what is allowed, <= {AMPLIFIED} attempts per call",
        f"{errors} errors, {storm.used():.0%} used, {load:.2f} attempts per call, {ended.seconds:.0f} s",
        held,
    )


def budgeted(folder: Path) -> Finding:
    """R4"""
    dear = {"name": "m", "cost_input": 100, "cost_output": 200}
    with LoopbackServer(Play("1", latency=0.02)) as server:
        room = Room(folder, f"{server.url}/v1", samples=100, llm_models=[dear])
        ended = room.batch("--budget", str(BUDGET))
        counts = server.sent["m"]
        cost = (counts["input"] * 100 + counts["output"] * 200) * Decimal("1e-6")
        made = server.count
        resumed = room.run("resume", "r", "--budget", "1").code
        whole = sum(row["outcome"] in ("correct", "wrong") for row in room.results())
    overshoot = max(Decimal(0), cost - BUDGET)
    held = (ended.code, resumed, whole) == (3, 0, 100) and 0 < cost <= BUDGET
    counted = f"{made} calls for ${cost.normalize()}, overshoot ${overshoot}, exit {ended.code}; {whole} after resume"
    return Finding(
        "R4", "a budget in the middle of a run", f"--budget {BUDGET}", "stops before it is crossed", counted, held
    )


def _bursts(times: Sequence[float]) -> list[int]:
    """How many requests came together, each time that some came."""
    sizes = [1]
    for before, after in pairwise(times):
        if after - before > RECOVERY / 2:
            sizes.append(0)
        sizes[-1] += 1
    return sizes


def broken(folder: Path) -> Finding:
    """R5"""
    failed: list[float] = []

    def failing(received: Received) -> Play:
        if received.number <= 20 or (failed and received.at > failed[0] + OUTAGE):
            return Play("1")
        failed.append(received.at)
        return Play(status=503)

    with LoopbackServer(failing) as server:
        config = {"circuit_breaker": {"failure_threshold": 5, "recovery_timeout": RECOVERY}}
        retry = {"retry": {"max_retries": RETRIES, "initial_delay": 0.01}}
        room = Room(folder, f"{server.url}/v1", samples=100, max_connections=8, config={**config, **retry})
        ended = room.batch()
    whole = sum(row["outcome"] in ("correct", "wrong") for row in room.results())
    first, *probes = _bursts(failed)
    held = (ended.code, whole) == (0, 100) and len(probes) > 0 and set(probes) == {1} and first <= 8 * TRIES
    counted = f"{first} until it opened, then {len(probes)} probes of {max(probes, default=0)}; {whole} of 100 answered"
    return Finding(
        "R5",
        f"an outage of {OUTAGE:g} s in a run",
        "503; the breaker opens for 1 s",
        "nothing while open, one probe each time, no sample lost",
        counted,
        held,
    )


def nested(folder: Path) -> Finding:
    """R6"""
    found = {}
    for status, tries in ((500, TRIES), (429, TRIES), (400, 1)):
        with LoopbackServer(Play(status=status)) as server:
            Room(folder / str(status), f"{server.url}/v1", transport="sdk").ask()
            found[status] = (server.count, tries)
    held = all(count == tries for count, tries in found.values())
    counted = ", ".join(f"{status}: {count}" for status, (count, _) in found.items())
    return Finding(
        "R6", "retries of an SDK within ours", 'transport "sdk"', f"{TRIES}, {TRIES} and 1 attempts", counted, held
    )


ROWS: dict[str, Callable[[Path], Finding]] = {
    "R1": asked_to_wait,
    "R2": odd_waits,
    "R3": stormed,
    "R4": budgeted,
    "R5": broken,
    "R6": nested,
}
