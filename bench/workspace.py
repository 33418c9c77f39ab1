"""A workspace with one provider, the loopback server, and one task of so many samples."""

from __future__ import annotations

import json
from pathlib import Path


def fill(root: Path, url: str, count: int, *, connections: int = 100) -> None:
    """Write the files."""
    provider, task = root / "providers" / "loop", root / "tasks" / "bench"
    provider.mkdir(parents=True)
    task.mkdir(parents=True)
    model = {"name": "loopback", "cost_input": 1, "cost_output": 2}
    catalogue = {
        "name": "loop",
        "api": "openai",
        "base_url": f"{url}/v1",
        "max_connections": connections,
        "llm_models": [model],
    }
    config = {
        "name": "bench",
        "prompt": "{{ input }}",
        "scorer": {"type": "exact"},
        "parameters": {"max_tokens": 5},
    }
    (root / "config.json").write_text("{}")
    (provider / "config.json").write_text(json.dumps(catalogue))
    (task / "task.json").write_text(json.dumps(config))
    with (task / "samples.jsonl").open("w") as samples:
        for number in range(count):
            line = {"id": f"s{number}", "input": f"Say ok, number {number}.", "target": "ok"}
            samples.write(json.dumps(line) + "\n")
