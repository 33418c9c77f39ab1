"""Rows R: providers that want to be asked later, less, or not at all."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from email.utils import formatdate
from pathlib import Path

from faults.room import RETRIES, Room
from faults.table import Finding
from llm_tester.testing import LoopbackServer, Play, Received

TRIES = 1 + RETRIES


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
    held = long == -1 and date > 1 and all(0 <= gap < 1 for gap in odd)
    counted = f"121 s: {'no retry' if long == -1 else 'retried'}; a date: {date:.1f} s; nonsense: {max(odd):.2f} s"
    return Finding(
        "R2", "121 s, a date, NaN, negative", "Retry-After", "raised at once, obeyed, ignored", counted, held
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


ROWS: dict[str, Callable[[Path], Finding]] = {"R1": asked_to_wait, "R2": odd_waits, "R6": nested}
