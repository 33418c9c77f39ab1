"""Who runs a run: this process by host, id and start time, and whether another one still lives."""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path

LEASE_SECONDS = 60.0


def this_owner() -> str:
    """The name of this process, not shared with a later one of the same id."""
    return f"{socket.gethostname()}/{os.getpid()}/{_status(os.getpid())[1]}"


def is_alive(owner: str | None, lease_until: float | None, *, now: float | None = None) -> bool:
    """Whether the process behind `owner` runs; one on another host is believed until its lease ends."""
    if not owner:
        return False
    host, _, rest = owner.partition("/")
    pid, _, started = rest.partition("/")
    if host != socket.gethostname() or not pid.isdigit():
        return lease_until is not None and lease_until > (time.time() if now is None else now)
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    state, since = _status(int(pid))
    return state not in ("Z", "X") and started in ("", since)


def _status(pid: int) -> tuple[str, str]:
    """State letter and start time (clock ticks since boot) of a process; empty where the system does not tell."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return "", ""
    return fields[0], fields[19]
