"""The program as a whole: help, version, unknown commands and options, how errors are printed."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from llm_tester.cli.main import COMMANDS
from llm_tester.version import __version__
from tests.cli.conftest import GOOD

if TYPE_CHECKING:
    from tests.evals.conftest import Bench

NOWHERE = "this is not a workspace: no config.json of llm-tester here or in a folder above"


@pytest.mark.parametrize("arguments", [["--help"], ["-h"]])
def test_help_lists_every_command(bench: Bench, arguments: list[str]) -> None:
    ended = bench.process(*arguments)
    assert (ended.code, ended.err) == (0, "")
    listed = [line.split()[0] for line in ended.out.partition("Commands:\n")[2].splitlines() if line[2:3] != " "]
    assert listed == list(COMMANDS)
    assert listed[:8] == ["demo", "init", "tasks", "plan", "run", "resume", "show", "report"]


def test_without_a_command_there_is_help(bench: Bench) -> None:
    for arguments in ([], ["tasks"], ["runs"]):
        ended = bench.cli(*arguments)
        assert ended.code == 2
        assert "Usage: llm-tester" in ended.out + ended.err


def test_the_version(bench: Bench) -> None:
    ended = bench.process("--version")
    assert (ended.code, ended.out, ended.err) == (0, f"llm-tester {__version__}\n", "")


@pytest.mark.parametrize(
    "command",
    [[name] for name in COMMANDS] + [["tasks", name] for name in ("list", "check", "new")] + [["runs", "list"]],
)
def test_every_command_explains_itself(bench: Bench, command: list[str]) -> None:
    before = bench.snapshot()
    ended = bench.cli(*command, "--help")
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.startswith(f"Usage: llm-tester {' '.join(command)}")
    assert "[[" not in ended.out
    assert bench.snapshot() == before


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["run", "--nonsense"],
        ["run", "--stream"],
        ["run", "--epochs", "2"],
        ["run", "--budget", "1"],
        ["run", "--cache"],
        ["run", "--limit", "0"],
        ["run", "--limit", "x"],
        ["run", "--max-connections", "0"],
        ["run", "--max-connections", "1025"],
        ["run", "--fail-under", "1.1"],
        ["run", "--fail-under", "-0.1"],
        ["report"],
        ["report", "last", "--format", "pdf"],
        ["show"],
        ["tasks", "check"],
        ["tasks", "new"],
        ["tasks", "nonsense"],
    ],
)
def test_what_it_does_not_know_is_a_usage_error(bench: Bench, arguments: list[str]) -> None:
    before = bench.snapshot()
    ended = bench.cli(*arguments)
    assert ended.code == 2
    assert ended.out == ""
    assert ended.err.count("Error: ") == 1
    assert bench.snapshot() == before


@pytest.mark.parametrize(
    "arguments",
    [
        ["run", "sums", "-m", "mock:careful"],
        ["resume"],
        ["show", "last"],
        ["report", "last"],
        ["runs", "list"],
        ["tasks", "new", "x"],
    ],
)
def test_outside_a_workspace_the_error_names_init_and_demo(bench: Bench, tmp_path: Path, arguments: list[str]) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    said = bench.elsewhere(empty, *arguments).error()
    assert said.startswith(NOWHERE)
    assert "`llm-tester init`" in said
    assert "`llm-tester demo`" in said
    assert list(empty.iterdir()) == []


@pytest.mark.parametrize("arguments", [["resume"], ["show", "last"], ["report", "last"], ["runs", "list"]])
def test_where_nothing_ran_yet_the_error_says_so(bench: Bench, arguments: list[str]) -> None:
    before = bench.snapshot()
    assert bench.cli(*arguments).error().startswith("there are no runs in this workspace yet")
    assert bench.snapshot() == before


def test_a_workspace_is_found_above_and_by_name_and_by_the_environment(bench: Bench, tmp_path: Path) -> None:
    bench.task("mine")
    empty = tmp_path / "empty"
    empty.mkdir()
    ways = [
        bench.elsewhere(bench.root / "tasks" / "mine", "tasks", "list", "--json"),
        bench.elsewhere(empty, "tasks", "list", "--json", "--workspace", str(bench.root)),
        bench.process("tasks", "list", "--json", folder=empty, LLM_TESTER_WORKSPACE=str(bench.root)),
    ]
    assert [ended.json[0]["name"] for ended in ways] == ["mine"] * 3
    said = bench.elsewhere(empty, "tasks", "list", "--workspace", str(empty)).error()
    assert "is not a workspace: it has no config.json" in said


def test_control_codes_in_a_message_are_spelled_out(bench: Bench) -> None:
    bench.task(samples=[{"id": "\x1b]52;c;eA==\x07\u202e", "input": "q", "target": "no number"}])
    said = bench.cli("tasks", "check", "sums").error()
    assert r'sample "\x1b]52;c;eA==\x07\u202e": ' in said
    assert "\x1b" not in said


def test_a_terminal_that_takes_only_ascii_is_no_crash(bench: Bench) -> None:
    bench.task()
    bench.replay("rep", {"m": {"s1": "2", "s2": "3", "s3": "naïve …"}})
    ended = bench.process("run", "sums", "-m", "rep:m", PYTHONIOENCODING="ascii")
    assert (ended.code, ended.err) == (0, "")
    assert "rep:m scores 0.667" in ended.out
    assert r"na\xefve \u2026" in bench.process("report", "last", "--format", "csv", PYTHONIOENCODING="ascii").out


def test_a_reader_that_goes_away_is_no_crash(bench: Bench) -> None:
    bench.cli("demo")
    with subprocess.Popen(
        [sys.executable, "-m", "llm_tester.cli.main", "report", "last", "--format", "json"],
        cwd=bench.root,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as reporting:
        assert reporting.stdout is not None
        assert reporting.stderr is not None
        reporting.stdout.readline()
        reporting.stdout.close()
        assert "Traceback" not in reporting.stderr.read()


def test_a_log_has_a_line_per_call_and_at_debug_the_prompts(ready: Bench) -> None:
    assert ready.process("--log", "calls.log", *GOOD).code == 0
    lines = (ready.root / "calls.log").read_text().splitlines()
    assert len(lines) == 3
    assert all(re.match(r"20\S+Z INFO llm_tester\.llms: rep:good \(\w{26}\) answered", line) for line in lines)
    assert ready.process("--log", "calls.log", "--log-level", "debug", *GOOD).code == 0
    assert "+ 1?" in (ready.root / "calls.log").read_text()
    assert "--log missing/calls.log: No such file" in ready.process("--log", "missing/calls.log", "runs").error()
