"""The rows of `python -m faults`: those that take no time, tried, and the table drawn."""

from __future__ import annotations

from pathlib import Path

import pytest

from faults import answers, network
from faults.table import Finding, render


@pytest.mark.parametrize("number", ["N1", "N7", "P6", "P8", "P9"])
def test_a_row_holds(number: str, tmp_path: Path) -> None:
    finding = {**network.ROWS, **answers.ROWS}[number](tmp_path / "room")
    assert (finding.number, finding.verdict) in ((number, "held"), ("N7", "not run")), finding


def test_the_table_names_what_did_not_hold() -> None:
    rows = [Finding("X1", "a", "b", "c", "d", held) for held in (True, False, None)]
    drawn = render(rows)
    assert [line.split("|")[-2].strip() for line in drawn.splitlines()[2:]] == ["held", "NOT HELD", "not run"]
