"""The loopback server in a process of its own, on a core of its own: prints its address, ends with its input."""

from __future__ import annotations

import argparse
import sys

from bench.cores import SERVER_CORE, pin
from llm_tester.testing import LoopbackServer, Play


def main() -> None:
    """Serve until standard input ends."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--latency", type=float, default=0.05)
    chosen = parser.parse_args()
    pin(SERVER_CORE)
    with LoopbackServer(Play(text="ok", latency=chosen.latency), keep=False) as server:
        sys.stdout.write(f"{server.url}\n")
        sys.stdout.flush()
        sys.stdin.read()


if __name__ == "__main__":
    main()
