"""Processes of the benchmark: the server, and scripts that print one line of JSON figures."""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from bench.cores import CLIENT_CORE, pin

ROOT = Path(__file__).resolve().parent.parent
QUIET = {
    "ANONYMIZED_TELEMETRY": "0",
    "DEEPEVAL_TELEMETRY_OPT_OUT": "1",
    "DEEPEVAL_DISABLE_DOTENV": "1",
    "DO_NOT_TRACK": "1",
    "HF_HUB_OFFLINE": "1",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "PROMPTFOO_DISABLE_TELEMETRY": "1",
    "PROMPTFOO_DISABLE_UPDATE": "1",
    "TELEMETRY_ENABLED": "0",
}
Figures = Mapping[str, float]


@contextmanager
def server(latency: float) -> Iterator[str]:
    """The loopback server's address, while it runs."""
    with server_of("server", "--latency", latency) as url:
        yield url


@contextmanager
def server_of(name: str, *arguments: object) -> Iterator[str]:
    """The address that a script of this folder prints; it ends with its input."""
    command = script(name, *arguments)
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None  # noqa: S101 - for the type
        yield process.stdout.readline().strip()
        process.communicate()


def figures(command: Sequence[str], *, timeout: float = 600, env: Mapping[str, str] | None = None) -> Figures | None:
    """What a script measured, which it prints as its last line; None when it failed, with the reason on stderr."""
    try:
        ended = subprocess.run(
            command,
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=timeout,
            stdin=subprocess.DEVNULL,
            env={**os.environ, **QUIET, **(env or {})},
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        sys.stderr.write(f"{' '.join(command)}: {error}\n")
        return None
    if ended.returncode:
        sys.stderr.write(f"{' '.join(command)}: code {ended.returncode}\n{ended.stderr[-600:]}\n")
        return None
    found: Figures = json.loads(ended.stdout.splitlines()[-1])
    return found


def script(name: str, *arguments: object) -> list[str]:
    """A script of this folder, run by this Python."""
    return [sys.executable, "-m", f"bench.{name}", *map(str, arguments)]


def interleaved(commands: Mapping[str, Sequence[str]], rounds: int) -> dict[str, list[Figures]]:
    """The figures of every command, taken in turn so that what else the machine does falls on all of them."""
    taken: dict[str, list[Figures]] = {name: [] for name in commands}
    for number in range(rounds):
        names = list(commands)
        for name in names if number % 2 == 0 else reversed(names):
            found = figures(commands[name])
            if found is not None:
                taken[name].append(found)
    return taken


def median(taken: Sequence[Figures], name: str) -> float | None:
    """The median of one figure over the rounds; None where nothing was measured."""
    return statistics.median(entry[name] for entry in taken) if taken else None


def cpu_of(command: Sequence[str]) -> float:
    """CPU seconds of a process from its start to its end."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        command,
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        check=True,
        preexec_fn=lambda: pin(CLIENT_CORE),
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
