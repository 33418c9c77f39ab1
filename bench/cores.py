"""One core for the client, another for the server; where there is one core, or no way to choose, they share."""

from __future__ import annotations

import os

CLIENT_CORE, SERVER_CORE = 0, 1


def pin(core: int) -> None:
    """Keep this process on the core of that number among those it may use."""
    if hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {cores[core % len(cores)]})
