"""A run that is interrupted or killed, and then resumed: nothing is lost, bought twice or counted double."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

PROVIDER = '''
import json
import os
import time
from functools import cache
from pathlib import Path

from llm_tester import BaseLLM

FOLDER = Path(__file__).parent


@cache
def answers(model):
    lines = (FOLDER / f"{model}.jsonl").read_text("utf-8").splitlines()
    return {row["id"]: row["answer"] for row in map(json.loads, lines)}


class Recorder(BaseLLM):
    """Replays answers in 5 ms a call and leaves a line per call."""

    applies = frozenset({"max_tokens"})

    def _call_llm_api(self, prompt, system_prompt, model_name, model_config):
        sample = model_config.tags["sample_id"]
        log = os.open(FOLDER / "calls.log", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(log, f"{model_name} {sample}\\n".encode())
        os.close(log)
        time.sleep(0.005)
        return answers(model_name)[sample], {"input": len(prompt), "output": 7}
'''
CONNECTIONS = 8
# Tracing every line would stretch each run from seconds to a minute.
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}
MODELS = ("small", "large")
RECORDED = 500
UNKNOWN = re.compile(r"^ {2}sums / (\S+) / recorder:(\S+) \(\w{26}\), at most", re.MULTILINE)


class Case:
    """A workspace with a task and the recording provider, and the program at work in it."""

    def __init__(
        self, root: Path, samples: Sequence[dict[str, str]], answers: dict[str, Sequence[dict[str, str]]]
    ) -> None:
        self.root = root
        task, self.provider = root / "tasks" / "sums", root / "providers" / "recorder"
        task.mkdir(parents=True)
        self.provider.mkdir(parents=True)
        (root / "config.json").write_text('{"run": {"canary": false}}')
        config = {
            "name": "sums",
            "prompt": "{{ input }}",
            "scorer": {"type": "numeric"},
            "parameters": {"max_tokens": 9},
        }
        (task / "task.json").write_text(json.dumps(config))
        _write_lines(task / "samples.jsonl", samples)
        (self.provider / "provider.py").write_text(PROVIDER)
        for model, lines in answers.items():
            _write_lines(self.provider / f"{model}.jsonl", lines)
        models = [{"name": model, "cost_input": 1, "cost_output": 2} for model in MODELS]
        (self.provider / "config.json").write_text(json.dumps({"name": "recorder", "llm_models": models}))
        self.calls = len(samples) * len(MODELS)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """The program, in a process of its own."""
        return subprocess.Popen(
            [sys.executable, "-m", "llm_tester.cli.main", *arguments],
            cwd=self.root,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=ENVIRONMENT,
        )

    def run(self, *arguments: str) -> tuple[int, str, str]:
        """Exit code, output and error output of the program."""
        with self.start(*arguments) as process:
            output, problems = process.communicate(timeout=60)
        return process.returncode, output, problems

    def start_run(self) -> subprocess.Popen[str]:
        """A run of both models over all samples."""
        models = [argument for model in MODELS for argument in ("-m", f"recorder:{model}")]
        return self.start("run", "sums", *models, "--max-connections", str(CONNECTIONS), "--name", "r")

    def log(self) -> list[str]:
        """One line per call that reached the provider: model and sample."""
        file = self.provider / "calls.log"
        return file.read_text().splitlines() if file.exists() else []

    def wait_for(self, lines: int) -> None:
        """Until so many calls have reached the provider."""
        for _ in range(2000):
            if len(self.log()) >= lines:
                return
            time.sleep(0.01)
        raise AssertionError(f"only {len(self.log())} calls after 20 s")

    def stored(self) -> set[str]:
        """Model and sample of every answer in the ledger."""
        query = (
            "SELECT e.model || ' ' || p.sample_id FROM answers JOIN calls c USING (call)"
            " JOIN entrants e USING (entrant) JOIN plan p ON p.run = c.run AND p.position = c.position"
        )
        ledger = sqlite3.connect(self.root / ".llm_tester" / "ledger.sqlite3")
        try:
            assert ledger.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            return {row[0] for row in ledger.execute(query)}
        finally:
            ledger.close()

    def results(self) -> dict[tuple[str, str], dict[str, Any]]:
        """What the report says of every sample and entrant."""
        code, output, problems = self.run("report", "r", "--format", "json")
        assert code == 0, problems
        rows = json.loads(output)["results"]
        assert len(rows) == self.calls
        return {(row["entrant"], row["sample_id"]): {**row, "latency_ms": None} for row in rows}


def _write_lines(file: Path, rows: Sequence[dict[str, str]]) -> None:
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")


def _synthetic() -> tuple[list[dict[str, str]], dict[str, Sequence[dict[str, str]]]]:
    samples = [{"id": f"s{n}", "input": f"{n} + {n}", "target": str(2 * n)} for n in range(300)]
    small = [{"id": f"s{n}", "answer": f"A: {2 * n if n % 3 else 7}"} for n in range(300)]
    large = [{"id": f"s{n}", "answer": f"It is {2 * n}"} for n in range(300)]
    return samples, {"small": small, "large": large}


def _recorded(folder: Path) -> tuple[list[dict[str, str]], dict[str, Sequence[dict[str, str]]]]:
    def lines(name: str) -> list[dict[str, str]]:
        return [json.loads(line) for line in (folder / name).read_text("utf-8").splitlines()]

    answers: dict[str, Sequence[dict[str, str]]] = {
        "small": lines("answers_6b_finetuning.jsonl"),
        "large": lines("answers_175b_verification.jsonl"),
    }
    return lines("samples.jsonl")[:RECORDED], answers


@pytest.fixture(scope="module", params=["synthetic", "recorded"])
def prepared(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Callable[[Path], Case], Any]:
    """A maker of fresh cases, and the results of an uninterrupted run."""
    if request.param == "recorded":
        data = os.environ.get("LLM_TESTER_TEST_DATA")
        if not data:
            pytest.skip("LLM_TESTER_TEST_DATA is not set: the recorded answers are not at hand")
        samples, answers = _recorded(Path(data) / "gsm8k")
    else:
        samples, answers = _synthetic()
    whole = Case(tmp_path_factory.mktemp("whole"), samples, answers)
    with whole.start_run() as process:
        _, problems = process.communicate(timeout=60)
    assert process.returncode == 0, problems
    assert max(Counter(whole.log()).values()) == 1
    return lambda root: Case(root, samples, answers), whole.results()


def test_ctrl_c_finishes_what_is_in_flight_and_resume_goes_on(prepared: Any, tmp_path: Path) -> None:
    make, expected = prepared
    case = make(tmp_path)
    with case.start_run() as process:
        case.wait_for(case.calls // 3)
        process.send_signal(signal.SIGINT)
        output, problems = process.communicate(timeout=30)
    assert process.returncode == 130, problems
    assert "Traceback" not in problems
    assert "llm-tester resume" in output
    assert case.stored() == set(case.log())
    assert len(case.log()) < case.calls

    code, output, problems = case.run("resume", "r")
    assert code == 0, problems
    assert "unknown fate" not in output
    assert sorted(case.log()) == sorted(set(case.log()))
    assert case.results() == expected


@pytest.mark.parametrize("share", [0.2, 0.6])
def test_kill_9_loses_nothing_and_names_what_may_have_been_bought(prepared: Any, tmp_path: Path, share: float) -> None:
    make, expected = prepared
    case = make(tmp_path)
    with case.start_run() as process:
        case.wait_for(int(case.calls * share))
        process.kill()
        process.communicate(timeout=30)
    before, stored = Counter(case.log()), case.stored()
    assert max(before.values()) == 1
    assert stored <= set(before)
    assert len(before) < case.calls

    code, output, problems = case.run("resume", "r")
    assert code == 0, problems
    unknown = {f"{model} {sample}" for sample, model in UNKNOWN.findall(output)}
    after = Counter(case.log())
    twice = {line for line, count in after.items() if count > 1}
    assert max(after.values()) <= 2
    assert not twice & stored, "a stored answer was asked for again"
    assert twice <= unknown, "a call was repeated that resume did not name"
    assert set(before) - stored <= unknown, "a call whose answer is lost was not named"
    assert len(unknown) <= CONNECTIONS
    assert case.results() == expected


def test_sigterm_ends_with_143_and_two_ctrl_c_stop_at_once(prepared: Any, tmp_path: Path) -> None:
    make, expected = prepared
    case = make(tmp_path)
    with case.start_run() as process:
        case.wait_for(case.calls // 4)
        process.terminate()
        process.communicate(timeout=30)
    assert process.returncode == 143
    with case.start("resume", "r") as process:
        case.wait_for(case.calls // 2)
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGINT)
        _, problems = process.communicate(timeout=30)
    assert process.returncode == 130, problems
    code, _, problems = case.run("resume", "last")
    assert code == 0, problems
    assert case.results() == expected


def test_resume_refuses_changed_samples_and_a_run_that_is_alive(prepared: Any, tmp_path: Path) -> None:
    make, _ = prepared
    case = make(tmp_path)
    with case.start_run() as process:
        case.wait_for(case.calls // 5)
        process.send_signal(signal.SIGSTOP)
        code, _, problems = case.run("resume", "r")
        process.send_signal(signal.SIGCONT)
        assert code == 2
        assert "another process works on the run" in problems
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)
    samples = case.root / "tasks" / "sums" / "samples.jsonl"
    kept = samples.read_text("utf-8")
    samples.write_text(kept.replace('"target": "', '"target": "1', 1), "utf-8")
    code, _, problems = case.run("resume", "r")
    assert code == 2
    assert 'the samples of the task "sums" changed' in problems
    samples.write_text(kept, "utf-8")
    shutil.rmtree(case.root / "reports", ignore_errors=True)
    assert case.run("resume", "r")[0] == 0
