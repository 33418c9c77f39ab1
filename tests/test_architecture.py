"""The shape of the code itself: what may import what, and how long things may be."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import llm_tester

ROOT = Path(__file__).resolve().parent.parent
OURS = sorted((ROOT / "llm_tester").rglob("*.py"))
DROP_INS = sorted((ROOT / "providers").rglob("*.py"))
TASKS = sorted((ROOT / "tasks").rglob("*.py"))
LONGEST_FUNCTION, LONGEST_FILE = 50, 400
LAZY = (ROOT / "llm_tester" / "__init__.py", ROOT / "llm_tester" / "cli")

Function = ast.FunctionDef | ast.AsyncFunctionDef


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def functions(path: Path) -> Iterator[Function]:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, Function):
            yield node


def imported(tree: ast.AST) -> Iterator[tuple[str, list[str]]]:
    """Module and names of every import; a plain `import m` names nothing."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, []) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield "." * node.level + (node.module or ""), [alias.name for alias in node.names]


def is_of(module: str, package: str) -> bool:
    return module.partition(".")[0] == package


def test_there_is_something_to_look_at() -> None:
    assert len(OURS) > 20
    assert len(DROP_INS) >= 3


def test_imports_run_downward(tmp_path: Path) -> None:
    command = [
        str(Path(sys.executable).with_name("lint-imports")),
        "--config",
        str(ROOT / "pyproject.toml"),
        "--no-cache",
    ]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 broken" in done.stdout


@pytest.mark.parametrize("path", [*OURS, *DROP_INS], ids=name_of)
def test_no_function_and_no_file_is_too_long(path: Path) -> None:
    assert len(path.read_text("utf-8").splitlines()) <= LONGEST_FILE
    lengths = {function.name: (function.end_lineno or 0) - function.lineno + 1 for function in functions(path)}
    assert {name: length for name, length in lengths.items() if length > LONGEST_FUNCTION} == {}


@pytest.mark.parametrize("path", [path for path in OURS if not any(map(path.is_relative_to, LAZY))], ids=name_of)
def test_own_modules_are_imported_at_the_top(path: Path) -> None:
    inside = [module for function in functions(path) for module, _ in imported(function)]
    assert [module for module in inside if is_of(module, "llm_tester") or module.startswith(".")] == []


@pytest.mark.parametrize("path", [*OURS, *DROP_INS, *TASKS], ids=name_of)
def test_nobody_imports_provider_folders(path: Path) -> None:
    tree = ast.parse(path.read_text("utf-8"))
    assert [module for module, _ in imported(tree) if is_of(module, "providers")] == []


@pytest.mark.parametrize("path", DROP_INS, ids=name_of)
def test_drop_ins_use_public_names_only(path: Path) -> None:
    ours = [found for found in imported(ast.parse(path.read_text("utf-8"))) if is_of(found[0], "llm_tester")]
    assert ours, "a drop-in that uses nothing of ours is no provider"
    for module, names in ours:
        assert module == "llm_tester"
        assert set(names) <= set(llm_tester.__all__)
