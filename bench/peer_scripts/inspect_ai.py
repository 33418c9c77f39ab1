"""The batch with inspect_ai, in its own environment: exact match, 100 connections, its own log kept."""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time

# This folder holds a file of the package's name.
sys.path = [entry for entry in sys.path if not entry.endswith("peer_scripts")]
os.sched_setaffinity(0, {sorted(os.sched_getaffinity(0))[0]})

from inspect_ai import Task, eval  # noqa: A004, E402
from inspect_ai.dataset import MemoryDataset, Sample  # noqa: E402
from inspect_ai.model import get_model  # noqa: E402
from inspect_ai.scorer import exact  # noqa: E402
from inspect_ai.solver import generate  # noqa: E402


def main(url: str, count: int) -> None:
    """One run."""
    samples = [Sample(id=n + 1, input=f"Say ok, number {n}.", target="ok") for n in range(count)]
    task = Task(dataset=MemoryDataset(samples), solver=generate(), scorer=exact())
    model = get_model("openai-api/loop/loopback", base_url=f"{url}/v1", api_key="none")
    begun = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        logs = eval(
            task, model=model, max_connections=100, max_samples=100, display="none", log_dir=folder, max_tokens=5
        )
    if logs[0].status != "success" or logs[0].results.completed_samples != count:
        sys.exit(f"{logs[0].status}: {logs[0].error}")
    sys.stdout.write(json.dumps({"count": count, "seconds": time.perf_counter() - begun}) + "\n")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
