"""What is measured without the server: start-up, discovery, the cost of a call, the bill over many calls."""

from __future__ import annotations

import json
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from bench.cores import CLIENT_CORE, pin
from bench.gauge import Gauge
from bench.workspace import fill
from llm_tester.config import Workspace
from llm_tester.cost_manager import cost_of
from llm_tester.evals.preparing import RunOptions, prepare
from llm_tester.evals.rollups import costs, differences, rebuild
from llm_tester.llms.llm_registry import ProviderRegistry
from llm_tester.llms.provider_manager import ProviderManager
from llm_tester.records import UsageData

_CALLS = """
INSERT INTO calls (call_id, run, entrant, position, epoch, purpose, attempt_group, state, claimed_at, ended_at)
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count})
SELECT 'c' || i, run, entrant, i % 100, 1, 'sample', 1 + i / 100, 'answered', 1.78e9 + i * 10, 1.78e9 + i * 10
FROM n, entrants
"""
_ANSWERS = "INSERT INTO answers (call, text, usage, cost_complete) SELECT call, 'ok', '{}', 1 FROM calls"
_COSTS = "INSERT INTO costs SELECT call, price, ?, ?, ? FROM calls JOIN entrants USING (entrant)"


def discovery(root: Path, count: int) -> Gauge:
    """So many provider folders of 10 models each, found and read."""
    for number in range(count):
        folder = root / "providers" / f"p{number}"
        folder.mkdir(parents=True)
        models = [{"name": f"m{index}", "cost_input": 1, "cost_output": 2} for index in range(10)]
        catalogue = {"name": f"p{number}", "api": "openai", "base_url": "http://127.0.0.1:9/v1", "llm_models": models}
        (folder / "config.json").write_text(json.dumps(catalogue))
    (root / "config.json").write_text("{}")
    workspace = Workspace.open(root)
    with Gauge() as gauge:
        found = ProviderRegistry(workspace).discovered()
    if sum(name.startswith("p") for name in found) < count:
        sys.exit("not all were discovered")
    return gauge


def cost_of_a_call(root: Path, count: int) -> Gauge:
    """The exact cost of so many calls, rates resolved once."""
    fill(root, "http://127.0.0.1:9", 1)
    manager = ProviderManager(registry=ProviderRegistry(Workspace.open(root)))
    rates = manager.rates(manager.provider("loop"), "loopback")
    usage = UsageData(1000, 500)
    with Gauge() as gauge:
        for _ in range(count):
            cost_of(usage, rates)
    gauge.extra["count"] = count
    return gauge


def _fill(connection: sqlite3.Connection, count: int) -> None:
    connection.execute(_CALLS.format(count=count))
    connection.execute(_ANSWERS)
    for token_class, tokens in (("input", 10), ("output", 5)):
        connection.execute(_COSTS, (token_class, tokens, 10_000_000))


def bill(root: Path, count: int) -> Gauge:
    """The bill by model and day over a ledger of so many calls, written through the real schema."""
    fill(root, "http://127.0.0.1:9", 100)
    workspace = Workspace.open(root)
    execution = prepare(workspace, ProviderRegistry(workspace), RunOptions(["bench"], ["loop:loopback"])).start()
    with execution.ledger as ledger:
        ledger.store.write(lambda connection: _fill(connection, count))
        rebuild(ledger.store)
        if count <= 50_000 and differences(ledger.store):
            sys.exit("the sums differ from the raw rows")
        times = []
        for _ in range(5):
            with Gauge() as gauge:
                rows = costs(ledger.store, ["model", "day"])
            times.append(time.perf_counter() - gauge.started)
        if sum(row.calls for row in rows) != count:
            sys.exit("calls are missing from the bill")
    gauge.extra["query_ms"] = sorted(times)[2] * 1000
    return gauge


JOBS: dict[str, Callable[[Path, int], Gauge]] = {"discovery": discovery, "cost": cost_of_a_call, "bill": bill}

if __name__ == "__main__":
    pin(CLIENT_CORE)
    with tempfile.TemporaryDirectory() as folder:
        measured = JOBS[sys.argv[1]](Path(folder), int(sys.argv[2]))
    measured.tell()
