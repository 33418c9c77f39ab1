"""A workspace of its own for each fault, and the installed program at work in it."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PROGRAM = (sys.executable, "-m", "llm_tester.cli.main")
# Tracing every line would stretch each run from seconds to a minute.
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}
RETRIES = 2
LATE = 60


@dataclass(frozen=True, slots=True)
class Ended:
    """How a process ended, and in how many seconds."""

    code: int
    out: str
    err: str
    seconds: float

    @property
    def clean(self) -> bool:
        """Whether it told what it had to tell without a traceback."""
        return "Traceback" not in self.out + self.err


class Room:
    """A workspace with the provider `p` at an address, whose model is `m`, and the task `sums`.

    `settings` lie over the provider's config.json. Retries wait for no time to speak of.
    """

    def __init__(self, root: Path, base_url: str, *, samples: int = 1, config: Any = None, **settings: Any) -> None:
        self.root = root
        model = {"name": "m", "cost_input": 1, "cost_output": 2}
        provider = {"name": "p", "api": "openai", "base_url": base_url, "llm_models": [model], **settings}
        task = {
            "name": "sums",
            "prompt": "{{ input }}",
            "scorer": {"type": "numeric"},
            "parameters": {"max_tokens": 50},
        }
        rows = [{"id": f"s{n}", "input": f"What is {n} + 1?", "target": n + 1} for n in range(samples)]
        retry = {"max_retries": RETRIES, "initial_delay": 0.01}
        self._write("config.json", {"run": {"canary": False}, "retry": retry, **(config or {})})
        self._write("providers/p/config.json", provider)
        self._write("tasks/sums/task.json", task)
        (root / "tasks/sums/samples.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))

    def _write(self, name: str, content: Any) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content))

    def start(self, *arguments: str, before: Sequence[str] = ()) -> subprocess.Popen[str]:
        """The program, in a process of its own; `before` is a command that starts it."""
        return subprocess.Popen(
            [*before, *PROGRAM, *arguments],
            cwd=self.root,
            env=ENVIRONMENT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str, before: Sequence[str] = ()) -> Ended:
        """The program, to its end."""
        begun = time.monotonic()
        with self.start(*arguments, before=before) as process:
            out, err = process.communicate(timeout=LATE)
        return Ended(process.returncode, out, err, time.monotonic() - begun)

    def batch(self, *more: str, before: Sequence[str] = ()) -> Ended:
        """A run of the task."""
        return self.run("run", "sums", "-m", "p:m", "--yes", "--name", "r", *more, before=before)

    def ask(self, *more: str) -> Ended:
        """A single call."""
        return self.run("ask", "How many?", "-m", "p:m", *more)

    @property
    def ledger(self) -> Path:
        """The ledger's file."""
        return self.root / ".llm_tester" / "ledger.sqlite3"

    def sql(self, query: str) -> list[tuple[Any, ...]]:
        """What a query on the ledger brings."""
        connection = sqlite3.connect(self.ledger)
        try:
            return connection.execute(query).fetchall()
        finally:
            connection.close()

    def attempts(self) -> int:
        """The most attempts that the ledger has of one call."""
        found: int = self.sql("SELECT coalesce(max(number), 0) FROM attempts")[0][0]
        return found

    def results(self) -> list[dict[str, Any]]:
        """The rows of the run's report."""
        ended = self.run("report", "r", "--format", "json")
        rows: list[dict[str, Any]] = json.loads(ended.out, parse_constant=_refuse)["results"]
        return rows


def _refuse(name: str) -> Any:
    raise ValueError(f"{name} is no number")
