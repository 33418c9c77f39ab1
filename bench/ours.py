"""The same batch with LLM Tester, from nothing to the finished run: checked, planned, asked, scored and kept."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import aiohttp  # noqa: F401 - outside of what is measured, as in the script that it is compared with

from bench.cores import CLIENT_CORE, pin
from bench.gauge import Gauge
from bench.workspace import fill
from llm_tester.config import Workspace
from llm_tester.evals.preparing import RunOptions, prepare
from llm_tester.llms.llm_registry import ProviderRegistry


def main() -> None:
    """Measure one run."""
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("count", type=int)
    parser.add_argument("--synchronous", choices=("FULL", "OFF"), default="FULL")
    parser.add_argument("--profile", type=Path)
    chosen = parser.parse_args()
    pin(CLIENT_CORE)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        fill(root, chosen.url, chosen.count)
        with Gauge() as gauge:
            _profiled(root, chosen)
        gauge.extra["disk"] = (root / ".llm_tester" / "ledger.sqlite3").stat().st_size
    gauge.tell()


def _profiled(root: Path, chosen: argparse.Namespace) -> None:
    if chosen.profile is None:
        _run(root, chosen.synchronous)
        return
    import cProfile

    profile = cProfile.Profile()
    profile.runcall(_run, root, chosen.synchronous)
    profile.dump_stats(chosen.profile)


def _run(root: Path, synchronous: str) -> None:
    workspace = Workspace.open(root)
    options = RunOptions(tasks=["bench"], models=["loop:loopback"])
    execution = prepare(workspace, ProviderRegistry(workspace), options).start()
    if synchronous == "OFF":
        # Only here: a ledger that may lose what it was told is no ledger.
        execution.ledger.store._connection.execute("PRAGMA synchronous=OFF")  # noqa: SLF001
    with execution.ledger:
        status = execution.go()
    if status != "complete":
        sys.exit(f"the run ended as {status}")


if __name__ == "__main__":
    main()
