"""`init`: a workspace, and what to type next."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.evals.conftest import Bench


def test_a_workspace_is_made_here_or_in_a_folder(bench: Bench, tmp_path: Path) -> None:
    here = tmp_path / "here"
    here.mkdir()
    ended = bench.elsewhere(here, "init")
    assert (ended.code, ended.err) == (0, "")
    assert sorted(ended.out.splitlines()) == [
        "Next: llm-tester tasks new my_task",
        "made .gitignore",
        "made config.json",
        "made providers/",
        "made tasks/",
    ]
    ended = bench.elsewhere(tmp_path, "init", "my place")
    assert "made my place/config.json\n" in ended.out
    assert ended.out.endswith("Next: cd 'my place' && llm-tester tasks new my_task\n")


def test_the_next_commands_work_as_they_stand(bench: Bench, tmp_path: Path) -> None:
    assert bench.process("init", "new", folder=tmp_path).code == 0
    made = tmp_path / "new"
    ended = bench.process("tasks", "new", "my_task", folder=made)
    assert (ended.code, ended.out.splitlines()[0]) == (0, f"made {made}/tasks/my_task/")
    assert bench.process("tasks", "check", "my_task", folder=made).code == 0
    assert bench.process("run", "my_task", "-m", "mock:careful", folder=made).code == 0


def test_a_workspace_stays_as_it_is(bench: Bench) -> None:
    bench.cli("init")
    bench.task()
    before = bench.snapshot()
    assert f"{bench.root} is a workspace already\n" in bench.cli("init").out
    assert bench.snapshot() == before


def test_a_place_that_cannot_be_one_is_an_error(bench: Bench) -> None:
    bench.write("file", "x")
    assert bench.cli("init", "file").error().startswith("file is a file")
    assert "file/below: cannot be made: Not a directory" in bench.cli("init", "file/below").error()
