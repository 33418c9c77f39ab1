"""Rows N: what goes wrong between this machine and a provider."""

from __future__ import annotations

import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from faults.room import RETRIES, Room
from faults.table import Finding
from llm_tester.testing import LoopbackServer, Play
from llm_tester.testing.plays import Fault

TRIES = 1 + RETRIES
DEADLINE = 1.0
GRACE = 0.2
Row = Callable[[Path], Finding]


def refused(folder: Path) -> Finding:
    """N1"""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    room = Room(folder, f"http://127.0.0.1:{port}/v1")
    ended = room.batch()
    errors = {error for (error,) in room.sql("SELECT error FROM attempts")}
    held = ended.code == 3 and ended.clean and room.attempts() == TRIES and errors == {"ProviderConnectionError"}
    counted = f"{room.attempts()} attempts, {', '.join(sorted(errors))}, {ended.seconds:.1f} s"
    return Finding("N1", "connect refused", "closed port", f"{TRIES} attempts, ProviderConnectionError", counted, held)


def broken(folder: Path) -> Finding:
    """N2"""
    kinds: tuple[Fault, ...] = ("reset", "close", "bad_chunk", "garbage")
    found = {}
    stored = 0
    for kind in kinds:
        with LoopbackServer(Play(fault=kind)) as server:
            room = Room(folder / kind, f"{server.url}/v1")
            room.batch()
            found[kind] = max(server.by_call.values())
            stored += room.sql("SELECT count(*) FROM calls WHERE state = 'failed'")[0][0]
    counted = ", ".join(f"{kind} {tries}" for kind, tries in found.items()) + f"; {stored} rows"
    held = set(found.values()) == {TRIES} and stored == len(kinds)
    return Finding("N2", "reset, empty, bad chunk, garbage", "server", f"{TRIES} attempts, row stored", counted, held)


def slow(folder: Path) -> Finding:
    """N3"""
    kinds: tuple[Fault, ...] = ("dribble_headers", "dribble_body", "hang")
    over = []
    for kind in kinds:
        with LoopbackServer(Play(fault=kind)) as server:
            room = Room(folder / kind, f"{server.url}/v1", timeout=DEADLINE, config={"retry": {"max_retries": 0}})
            room.batch()
            over += [took / 1000 - DEADLINE for (took,) in room.sql("SELECT latency_ms FROM attempts")]
    counted = f"at most {max(over):.3f} s over {DEADLINE:g} s"
    return Finding("N3", "slow headers, slow body, silence", "server", "a total deadline", counted, max(over) < GRACE)


def black_hole(folder: Path) -> Finding:
    """N4"""
    with _full_queue() as port:
        room = Room(folder, f"http://127.0.0.1:{port}/v1", connect_timeout=0.3)
        ended = room.batch()
    times = [took for (took,) in room.sql("SELECT latency_ms FROM attempts")]
    held = ended.code == 3 and ended.clean and len(times) == TRIES and max(times) < 1500
    counted = f"{len(times)} attempts, the longest {max(times):.0f} ms; {ended.seconds:.1f} s in all"
    return Finding(
        "N4", "black hole", "a full queue of connections", "connect timeout (0.3 s), clean end", counted, held
    )


@contextmanager
def _full_queue() -> Iterator[int]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        address = listener.getsockname()
        # Two connections that nobody accepts fill the queue; what comes after them gets no answer at all.
        waiting = [socket.socket() for _ in range(2)]
        for each in waiting:
            each.setblocking(False)
            each.connect_ex(address)
        yield address[1]
        for each in waiting:
            each.close()


def passing(folder: Path) -> Finding:
    """N5"""
    return _statuses(folder, "N5", (408, 409, 500, 502, 503, 504, 529), TRIES)


def final(folder: Path) -> Finding:
    """N6"""
    return _statuses(folder, "N6", (400, 401, 403, 404, 422), 1)


def _statuses(folder: Path, number: str, statuses: tuple[int, ...], tries: int) -> Finding:
    found = {}
    for status in statuses:
        with LoopbackServer(Play(status=status)) as server:
            ended = Room(folder / str(status), f"{server.url}/v1").ask()
            found[status] = server.count if ended.code == 1 and ended.clean else -1
    counted = ", ".join(f"{status}: {count}" for status, count in found.items())
    required = f"a single call: {tries} attempt{'s' if tries > 1 else ''}"
    return Finding(number, "/".join(map(str, statuses)), "server", required, counted, set(found.values()) == {tries})


def untrusted(folder: Path) -> Finding:
    """N7"""
    openssl = shutil.which("openssl")
    fault, required = "TLS with a bad certificate", "refused, nothing sent"
    if openssl is None:
        return Finding("N7", fault, "self-signed", required, "openssl is not installed", None)
    folder.mkdir(parents=True, exist_ok=True)
    certificate, key = folder / "cert.pem", folder / "key.pem"
    kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-days", "2", "-nodes", "-subj", "/CN=x"]
    files = ["-out", str(certificate), "-keyout", str(key)]
    subprocess.run([openssl, "req", "-x509", *kind, *files], check=True, capture_output=True)
    with LoopbackServer(certificate=certificate, key=key) as server:
        room = Room(folder / "room", f"{server.url}/v1")
        ended = room.batch()
        count, made = server.count, server.connections
    held = (count, made) == (0, 0) and ended.code == 3 and room.attempts() == TRIES
    return Finding("N7", fault, "self-signed", required, f"{count} requests, {made} connections accepted", held)


ROWS: dict[str, Row] = {
    "N1": refused,
    "N2": broken,
    "N3": slow,
    "N4": black_hole,
    "N5": passing,
    "N6": final,
    "N7": untrusted,
}
