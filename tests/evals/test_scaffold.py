"""New workspaces and tasks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from llm_tester.config import Workspace
from llm_tester.errors import ConfigurationError
from llm_tester.evals.checking import check_task
from llm_tester.evals.scaffold import make_task, make_workspace
from llm_tester.evals.tasks import Task

if TYPE_CHECKING:
    from tests.evals.conftest import Bench


def test_a_new_workspace_is_one_and_is_made_once(tmp_path: Path) -> None:
    root = tmp_path / "new" / "place"
    assert {path.name for path in make_workspace(root)} == {"config.json", "tasks", "providers", ".gitignore"}
    assert Workspace.find(root / "tasks", {}).root == root
    assert (root / ".gitignore").read_text() == ".llm_tester/\nreports/\n.env\n"
    assert make_workspace(root) == []


def test_what_stands_already_stays_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "tasks").mkdir()
    (tmp_path / ".gitignore").write_text("mine")
    assert {path.name for path in make_workspace(tmp_path)} == {"config.json", "providers"}
    assert (tmp_path / ".gitignore").read_text() == "mine"


def test_a_file_or_a_foreign_config_is_no_place_for_a_workspace(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("x")
    with pytest.raises(ConfigurationError, match="file is a file"):
        make_workspace(file)
    with pytest.raises(ConfigurationError, match=r"below: cannot be made: Not a directory"):
        make_workspace(file / "below")
    (tmp_path / "config.json").write_text('{"name": "another program"}')
    with pytest.raises(ConfigurationError, match='unknown key "name"'):
        make_workspace(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config.json", "file"]


def test_a_new_task_passes_its_check_as_it_stands(bench: Bench) -> None:
    folder = make_task("my-task.2", Workspace.open(bench.root))
    assert folder == bench.root / "tasks" / "my-task.2"
    found = check_task(Task.load(folder))
    assert (found.samples, found.passed, found.chance) == (3, True, 0.0)


@pytest.mark.parametrize("name", ["", "../x", "a b", "-x", ".hidden", "a/b"])
def test_a_name_that_is_no_task_s_is_refused(bench: Bench, name: str) -> None:
    before = bench.snapshot()
    with pytest.raises(ConfigurationError, match="cannot be a task's name"):
        make_task(name, Workspace.open(bench.root))
    assert bench.snapshot() == before


def test_a_task_is_not_made_over_another_or_where_none_can_be(bench: Bench, tmp_path: Path) -> None:
    bench.task("sums")
    with pytest.raises(ConfigurationError, match="sums exists already"):
        make_task("sums", Workspace.open(bench.root))
    with pytest.raises(ConfigurationError, match="this is not a workspace"):
        make_task("x", Workspace(None))
    root = tmp_path / "blocked"
    root.mkdir()
    (root / "tasks").write_text("x")
    with pytest.raises(ConfigurationError, match="x: cannot be made: Not a directory"):
        make_task("x", Workspace(root))
