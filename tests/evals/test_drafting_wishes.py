"""What is asked of a new task and cannot be, or is of doubt."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.evals.conftest import Bench

TICKETS = "Nr,Text,Art,Betrag EUR\n1,Grüße,Frage,5\n2,Hallo,Bitte,7\n"
NEW = ("tasks", "new", "mine", "--from", "t.csv", "--input", "Text")


@pytest.mark.parametrize("scorer", ["choice", "exact", "numeric"])
def test_a_scorer_of_one_target_takes_no_two(bench: Bench, scorer: str) -> None:
    bench.write("t.csv", TICKETS)
    said = bench.cli(*NEW, "--target", "Art", "--target", "Betrag EUR", "--scorer", scorer).error()
    assert f'the scorer "{scorer}" takes one target, and 2 are named' in said
    assert not (bench.root / "tasks/mine").exists()
