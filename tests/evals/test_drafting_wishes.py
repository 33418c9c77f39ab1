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


# --- encodings


def test_an_encoding_for_a_file_that_is_utf_8_is_doubted(bench: Bench) -> None:
    bench.write("t.csv", TICKETS)
    made = bench.cli(*NEW, "--target", "Art", "--encoding", "cp1252")
    said = "t.csv is read as cp1252, but is valid UTF-8 with letters beyond ASCII: are all of them right?"
    assert f"Note: {said} Else leave the encoding away.\n" in made.out
    assert "Warning: samples.csv is read as cp1252, but is valid" in bench.cli("tasks", "check", "mine").out


@pytest.mark.parametrize(
    ("content", "encoding"),
    [
        (TICKETS.encode("cp1252"), "cp1252"),
        (TICKETS.encode(), "utf8"),
        (TICKETS.replace("Grüße", "Gruss").encode(), "latin-1"),
    ],
)
def test_one_that_fits_is_not(bench: Bench, content: bytes, encoding: str) -> None:
    bench.write("t.csv", content)
    made = bench.cli(*NEW, "--target", "Art", "--encoding", encoding)
    assert (made.code, "Note" in made.out) == (0, False)
    assert "Warning: samples" not in bench.cli("tasks", "check", "mine").out


def test_a_file_that_is_not_there_is_told_with_the_option(bench: Bench) -> None:
    said = bench.cli(*NEW).error()
    assert said == "t.csv: there is no such file or folder\n  --from names it, from the folder that you are in.\n"
