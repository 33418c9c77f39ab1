"""A workspace to fill with tasks and providers, and the program at work in it."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from llm_tester.cli.main import main


@dataclass(frozen=True)
class Ended:
    """How one command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Standard output, which must be one JSON value and nothing else."""
        return json.loads(self.out)

    def error(self, *, code: int = 2) -> str:
        """The message of a command that must have ended with one clear error."""
        assert self.code == code, self
        assert self.err.startswith("Error: "), self.err
        assert self.err.count("Error: ") == 1, self.err
        assert "Traceback" not in self.err, self.err
        return self.err.removeprefix("Error: ")


class Bench:
    """A workspace: what tests put into it, and the program run in it."""

    def __init__(self, root: Path, call: Callable[..., Ended]) -> None:
        self.root = root
        self._call = call

    def write(self, name: str, content: Any) -> Path:
        """A file: text and bytes as they are, all else as JSON."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if not isinstance(content, str | bytes):
            content = json.dumps(content)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def lines(self, name: str, rows: Iterable[Any]) -> Path:
        """A JSONL file."""
        return self.write(name, "".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows))

    def task(self, name: str = "sums", samples: Iterable[Any] | int | None = 3, **config: Any) -> Path:
        """A task's folder; a number of samples asks "1 + 1?", "2 + 1?" and so on."""
        config = {"name": name, "prompt": "{{ input }}", "scorer": {"type": "numeric"}, **config}
        if isinstance(samples, int):
            samples = [{"id": f"s{n}", "input": f"{n} + 1?", "target": n + 1} for n in range(1, samples + 1)]
        if samples is not None:
            self.lines(f"tasks/{name}/samples.jsonl", samples)
        return self.write(f"tasks/{name}/task.json", config).parent

    def replay(self, name: str, answers: Mapping[str, Mapping[str, Any]], **config: Any) -> Path:
        """A provider that replays: per model the answer by sample id, a text or the fields of the line."""
        models = [{"name": model, "answers": f"{model}.jsonl", "cost_input": 1, "cost_output": 2} for model in answers]
        for model, given in answers.items():
            texts = {key: value if isinstance(value, dict) else {"answer": value} for key, value in given.items()}
            self.lines(f"providers/{name}/{model}.jsonl", [{"id": key, **line} for key, line in texts.items()])
        listed = {"name": name, "api": "replay", "llm_models": models, **config}
        return self.write(f"providers/{name}/config.json", listed).parent

    def provider(self, name: str, code: str, *, models: Iterable[str] = ("m",), **config: Any) -> Path:
        """A drop-in provider."""
        entries = [{"name": model, "cost_input": 1, "cost_output": 2} for model in models]
        self.write(f"providers/{name}/provider.py", textwrap.dedent(code))
        return self.write(f"providers/{name}/config.json", {"name": name, "llm_models": entries, **config}).parent

    def cli(self, *arguments: str) -> Ended:
        """The program, called in this process from the workspace's folder."""
        return self._call(self.root, *arguments)

    def elsewhere(self, folder: Path, *arguments: str) -> Ended:
        """The program, called in this process from another folder."""
        return self._call(folder, *arguments)

    def process(self, *arguments: str, folder: Path | None = None, **environment: str) -> Ended:
        """The program in a process of its own."""
        ended = subprocess.run(
            [sys.executable, "-m", "llm_tester.cli.main", *arguments],
            cwd=folder or self.root,
            env={**os.environ, **environment},
            capture_output=True,
            encoding="utf-8",
            timeout=60,
            check=False,
        )
        return Ended(ended.returncode, ended.stdout, ended.stderr)

    def report(self, run: str = "last") -> dict[str, Any]:
        """What `report RUN --format json` prints."""
        found: dict[str, Any] = self.cli("report", run, "--format", "json").json
        return found

    def results(self, run: str = "last") -> dict[tuple[str, str], dict[str, Any]]:
        """The rows of a run by sample and entrant."""
        return {(row["sample_id"], row["entrant"]): row for row in self.report(run)["results"]}

    def sql(self, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """The rows that a statement on the ledger's file brings, by a connection of its own."""
        connection = sqlite3.connect(self.root / ".llm_tester" / "ledger.sqlite3")
        try:
            rows = connection.execute(statement, parameters).fetchall()
            connection.commit()
        finally:
            connection.close()
        return rows

    def snapshot(self) -> dict[str, bytes | None]:
        """Every file of the workspace with its bytes, and every folder."""
        found = {path: path.read_bytes() if path.is_file() else None for path in self.root.rglob("*")}
        return {str(path.relative_to(self.root)): content for path, content in found.items()}


@pytest.fixture
def bench(workspace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Bench:
    """An empty workspace to work in."""

    def call(folder: Path, *arguments: str) -> Ended:
        monkeypatch.chdir(folder)
        monkeypatch.setattr(sys, "argv", ["llm-tester", *arguments])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        printed = capsys.readouterr()
        code = ended.value.code
        return Ended(code if isinstance(code, int) else 0, printed.out, printed.err)

    return Bench(workspace, call)
