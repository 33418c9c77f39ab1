"""docs/extending.md as it is written: its files are made and its commands run, in an empty folder."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from llm_tester.cli.main import main
from llm_tester.testing import LoopbackServer, Play, Received
from tests.llms.packages import forget

PAGE = Path(__file__).resolve().parent.parent / "docs" / "extending.md"
BLOCK = re.compile(r"(?:^`(?P<file>[^`\n]+)`:\n\n)?^```(?P<kind>\w+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
ANYTHING = "..."
Run = Callable[[str], str]


@dataclass(frozen=True)
class Step:
    """A file to be made, or a command with what it must print."""

    line: int
    file: str = ""
    text: str = ""
    command: str = ""
    expected: tuple[str, ...] = ()


def steps(page: str) -> Iterator[Step]:
    for block in BLOCK.finditer(page):
        line = page.count("\n", 0, block.start()) + 1
        if block["file"]:
            yield Step(line, file=block["file"], text=block["text"])
        elif block["kind"] == "console":
            for command in re.split(r"^\$ ", block["text"], flags=re.MULTILINE)[1:]:
                first, *rest = command.splitlines()
                yield Step(line, command=first, expected=tuple(rest))


def gateway(received: Received) -> Play:
    """The gateway of the page."""
    assert received.headers.get("authorization") == "Bearer the-key"
    mood = "positive or negative" in received.body["messages"][-1]["content"]
    return Play("positive" if mood else "Paris", usage={"input": 20, "output": 1})


def said(line: str) -> str:
    return " ".join(line.split())


def missing(expected: tuple[str, ...], printed: str) -> list[str]:
    """The lines of the page that are not in the output, in their order; `...` stands for anything."""
    lines = [said(line) for line in printed.splitlines()]
    absent = []
    for wanted in filter(lambda line: line != ANYTHING, map(said, expected)):
        pattern = re.compile(".*".join(map(re.escape, wanted.split(ANYTHING))))
        place = next((number for number, line in enumerate(lines) if pattern.fullmatch(line)), None)
        if place is None:
            absent.append(wanted)
        else:
            lines = lines[place + 1 :]
    return absent


@pytest.fixture
def run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Iterator[Callable[[str], str]]:
    """Runs a command in the folder and returns all it prints."""
    site = tmp_path / "site"
    site.mkdir()
    folder = tmp_path / "empty"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setattr("sys.path", [str(site), *sys.path])
    pip = {"TARGET": str(site), "NO_DEPS": "1", "NO_INDEX": "1", "NO_BUILD_ISOLATION": "0", "QUIET": "1"}
    for name, value in pip.items():
        monkeypatch.setenv(f"PIP_{name}", value)

    def call(command: str) -> str:
        program, *arguments = shlex.split(command)
        if program != "llm-tester":
            module = [] if program == "python" else ["-m", program]
            environment = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
            done = subprocess.run(
                [sys.executable, *module, *arguments], env=environment, capture_output=True, text=True, check=False
            )
            return done.stdout + done.stderr
        monkeypatch.setattr(sys, "argv", [program, *arguments])
        capfd.readouterr()
        with pytest.raises(SystemExit):
            main()
        printed = capfd.readouterr()
        return f"{printed.out}\n{printed.err}"

    yield call
    forget("research", "llm_tester_weather")


def test_the_page_holds_what_it_should() -> None:
    found = list(steps(PAGE.read_text("utf-8")))
    assert len([step for step in found if step.file]) >= 15
    assert len([step for step in found if step.command]) >= 15
    assert len(PAGE.read_text("utf-8").split("```")) // 2 == len(list(BLOCK.finditer(PAGE.read_text("utf-8"))))


def test_the_page_works_as_it_is_written(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = []
    with LoopbackServer(gateway) as server:
        monkeypatch.setenv("HARBOUR_URL", server.url)
        for step in steps(PAGE.read_text("utf-8")):
            if step.file:
                Path(step.file).parent.mkdir(parents=True, exist_ok=True)
                Path(step.file).write_text(step.text, "utf-8")
                continue
            printed = run(step.command)
            wrong += [(step.line, step.command, line, printed) for line in missing(step.expected, printed)]
            if wrong:
                break
    assert not wrong, "line {}, $ {}: {!r} is not in\n{}".format(*wrong[0])


def test_what_is_missing_is_noticed() -> None:
    assert missing(("a  b", "...", "d 1... ms"), "a b\nc\nd 12 ms\n") == []
    assert missing(("b", "a"), "a\nb\n") == ["a"]
