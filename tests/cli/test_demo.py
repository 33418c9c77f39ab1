"""`demo`: on the screen, and when it is interrupted."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.evals.conftest import Bench


def test_the_demonstration_in_a_process_of_its_own(bench: Bench, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    ended = bench.process("demo", folder=empty)
    assert (ended.code, ended.err) == (0, "")
    assert ": purchase_orders, expense_claims, word_problems; 5 entrants, 430 calls\n" in ended.out
    assert max(map(len, ended.out.partition("\nReport ")[0].splitlines())) <= 100
    (report,) = (empty / "llm-tester-demo" / "reports").glob("*.html")
    assert f"Report  {report}\n" in ended.out


def test_the_commands_that_it_names_work(bench: Bench, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    said = bench.elsewhere(empty, "demo").out.partition("Next    ")[2]
    named = [
        line.partition("   ")[0].split(" && llm-tester ") for line in said.replace("        cd", "cd").splitlines()
    ]
    assert [folder for folder, _ in named] == ["cd llm-tester-demo"] * 3
    for _, command in named:
        assert bench.elsewhere(empty / "llm-tester-demo", *command.split()).code == 0, command


def test_a_file_where_reports_belong_is_found_before_anything_runs(bench: Bench) -> None:
    bench.write("reports", "x")
    before = bench.snapshot()
    assert "reports is a file" in bench.cli("demo").error()
    assert bench.snapshot() == before
