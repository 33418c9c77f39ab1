"""Rows X: signals, kills, disks and clocks."""

from __future__ import annotations

import shutil
import signal
import sqlite3
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

from faults.kills import SAMPLES, answer, kills
from faults.room import Room
from faults.table import Finding
from llm_tester.testing import LoopbackServer

SEED = 20261121
UNSHARE, STRACE = shutil.which("unshare"), shutil.which("strace")
Row = Callable[[Path], Finding]


def signals(folder: Path) -> Finding:
    """X1"""
    told = []
    held = True
    for name, sent, code in (
        ("SIGINT", [signal.SIGINT], 130),
        ("SIGTERM", [signal.SIGTERM], 143),
        ("SIGINT twice", [signal.SIGINT, signal.SIGINT], 130),
    ):
        with LoopbackServer(answer) as server:
            room = Room(folder / name.replace(" ", "_"), f"{server.url}/v1", samples=SAMPLES)
            with room.start("run", "sums", "-m", "p:m", "--yes", "--name", "r", "--max-connections", "8") as process:
                server.wait_for(SAMPLES // 3, timeout=20)
                for number in sent:
                    process.send_signal(number)
                process.communicate(timeout=20)
            (stored,) = room.sql("SELECT count(*) FROM calls WHERE state = 'answered'")[0]
            lost = server.count - stored
            resumed = room.run("resume", "r").code
            whole = sum(row["outcome"] in ("correct", "wrong") for row in room.results())
        in_flight = 8 if len(sent) > 1 else 0
        held = held and process.returncode == code and lost <= in_flight and (resumed, whole) == (0, SAMPLES)
        told.append(f"{name}: exit {process.returncode}, {lost} lost, {whole} of {SAMPLES} after resume")
    required = "what is in flight is finished (twice: stopped), resumable, 130 / 143"
    return Finding("X1", "signals", "kill", required, "; ".join(told), held)


def killed(count: int) -> Row:
    """X2 and X3"""

    def row(folder: Path) -> Finding:
        found = kills(folder, count, SEED)
        names = ("corrupt", "unnamed", "too_many", "rebought", "missing", "double", "differing", "bill")
        sums = {name: sum(getattr(kill, name) for kill in found) for name in names}
        alive = sum(kill.alive for kill in found)
        named = max(kill.named for kill in found)
        counted = f"{alive} of {count} alive when killed, at most {named} of unknown fate; " + ", ".join(
            f"{name} {total}" for name, total in sums.items()
        )
        held = alive > count // 2 and not any(sums.values())
        required = "nothing lost, corrupt, double or bought again; unknown fates named, no more than in flight"
        return Finding("X2 X3", "kill -9 at random instants, resume", f"{count} times", required, counted, held)

    return row


def power(_: Path) -> Finding:
    """X4"""
    return Finding("X4", "power cut", "no rig for it", "synchronous=FULL", "the setting only, by a test", None)


def full_disk(folder: Path) -> Finding:
    """X5"""
    fault, required = "disk full", "one clear error, exit code not 0, the ledger readable"
    if UNSHARE is None:
        return Finding("X5", fault, "1 MB tmpfs", required, "unshare is not installed", None)
    with LoopbackServer(answer) as server:
        room = Room(folder, f"{server.url}/v1", samples=3000)
        place, kept = room.ledger.parent, folder / "kept"
        place.mkdir()
        script = f'mount -t tmpfs -o size=1m tmpfs {place} && "$@"; code=$?; cp -r {place} {kept}; exit $code'
        ended = room.batch(before=[UNSHARE, "-m", "sh", "-c", script, "sh"])
    if not (kept / "ledger.sqlite3").is_file():
        return Finding("X5", fault, "1 MB tmpfs", required, f"no mount here: {ended.err.strip()[:80]}", None)
    ledger = sqlite3.connect(kept / "ledger.sqlite3")
    sound = ledger.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    (stored,) = ledger.execute("SELECT count(*) FROM answers").fetchone()
    ledger.close()
    held = ended.code != 0 and ended.clean and ended.err.count("Error: ") == 1 and sound
    counted = f"exit {ended.code}, {stored} answers readable, {'sound' if sound else 'corrupt'}"
    return Finding("X5", fault, "1 MB tmpfs", required, counted, held)


def failing_fsync(folder: Path) -> Finding:
    """X6"""
    fault, required = "fsync fails", "not acknowledged: nothing is sent on a claim that is not durable"
    if STRACE is None:
        return Finding("X6", fault, "strace", required, "strace is not installed", None)
    inject = ["-f", "-qq", "-o", "/dev/null", "-e", "trace=fsync,fdatasync"]
    failing = ["-e", "inject=fsync,fdatasync:error=EIO:when=12+"]
    with LoopbackServer(answer) as server:
        room = Room(folder, f"{server.url}/v1", samples=SAMPLES)
        ended = room.batch("--max-connections", "8", before=[STRACE, *inject, *failing])
        seen = {received.call_id for received in server.received}
    claimed = {call for (call,) in room.sql("SELECT call_id FROM calls")}
    unclaimed = len(seen - claimed)
    held = ended.code not in (0, 1) and ended.clean and unclaimed == 0 and len(seen) < SAMPLES
    counted = f"exit {ended.code}, {len(seen)} requests, {unclaimed} of them without a durable claim"
    return Finding("X6", fault, "strace, EIO from the 12th on", required, counted, held)


def read_only(folder: Path) -> Finding:
    """X7"""
    fault, required = "read-only folder", "an error before the first call"
    if UNSHARE is None:
        return Finding("X7", fault, "ro mount", required, "unshare is not installed", None)
    with LoopbackServer(answer) as server:
        room = Room(folder, f"{server.url}/v1", samples=5)
        script = f'mount --bind {folder} {folder} && mount -o remount,ro,bind {folder} && cd {folder} && "$@"'
        ended = room.batch(before=[UNSHARE, "-m", "sh", "-c", script, "sh"])
        count = server.count
    if "mount" in ended.err.partition("Error")[0]:
        return Finding("X7", fault, "ro mount", required, f"no mount here: {ended.err.strip()[:80]}", None)
    held = count == 0 and ended.code not in (0, 1) and ended.clean and ended.err.startswith("Error: ")
    return Finding("X7", fault, "ro mount", required, f"{count} calls, exit {ended.code}", held)


def two_processes(folder: Path) -> Finding:
    """X8"""
    with LoopbackServer(answer) as server:
        room = Room(folder, f"{server.url}/v1", samples=SAMPLES)
        both = [room.start("run", "sums", "-m", "p:m", "--yes", "--name", f"r{number}") for number in range(2)]
        codes = []
        for process in both:
            process.communicate(timeout=60)
            codes.append(process.returncode)
        sent = server.sent["m"]
    (answers,) = room.sql("SELECT count(*) FROM calls WHERE state = 'answered' AND purpose = 'sample'")[0]
    (tokens,) = room.sql("SELECT sum(tokens) FROM costs")[0]
    verified = room.run("costs", "--verify").code == 0
    expected = sum(count for name, count in sent.items() if name in ("input", "output"))
    held = codes == [0, 0] and answers == 2 * SAMPLES and tokens == expected and verified
    counted = f"exits {codes}, {answers} of {2 * SAMPLES} answers, {tokens:,} of {expected:,} tokens"
    return Finding("X8", "two processes, one ledger", "two runs at once", "no lost rows", counted, held)


def clock(folder: Path) -> Finding:
    """X9"""
    fault, injected, required = "the clock jumps", "an hour back, an hour on", "no negative duration, the run ends well"
    library = _faketime()
    if library is None:
        return Finding("X9", fault, injected, required, "`pip install libfaketime` makes this row run", None)
    folder.mkdir(parents=True)
    hands = folder / "clock"
    hands.write_text("+0")
    faked = [
        f"LD_PRELOAD={library}",
        f"FAKETIME_TIMESTAMP_FILE={hands}",
        "FAKETIME_NO_CACHE=1",
        "FAKETIME_DONT_FAKE_MONOTONIC=1",
        "DONT_FAKE_MONOTONIC=1",
    ]
    with LoopbackServer(answer) as server:
        room = Room(folder / "room", f"{server.url}/v1", samples=SAMPLES)
        with room.start("run", "sums", "-m", "p:m", "--yes", "--name", "r", before=["env", *faked]) as process:
            for share, offset in ((0.25, "-1h"), (0.5, "+1h")):
                server.wait_for(int(SAMPLES * share), timeout=20)
                hands.write_text(offset)
            process.communicate(timeout=60)
    (negative,) = room.sql("SELECT count(*) FROM attempts WHERE latency_ms < 0 OR waited_ms < 0")[0]
    ((span,),) = room.sql("SELECT max(claimed_at) - min(claimed_at) FROM calls")
    counted = f"exit {process.returncode}, {negative} negative durations, claims {span / 60:.0f} minutes apart"
    held = process.returncode == 0 and negative == 0 and span > 3600
    return Finding("X9", fault, injected, required, counted, held)


def _faketime() -> Path | None:
    spec = find_spec("libfaketime")
    folder = Path(spec.origin).parent if spec and spec.origin else Path()
    return next(folder.rglob("libfaketime.so.1"), None) if spec else None


def rows(count: int) -> dict[str, Row]:
    """The rows, with so many kills."""
    return {
        "X1": signals,
        "X2": killed(count),
        "X4": power,
        "X5": full_disk,
        "X6": failing_fsync,
        "X7": read_only,
        "X8": two_processes,
        "X9": clock,
    }
