"""Untrusted text made safe, and figures for people."""

from __future__ import annotations

import csv
import io
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_tester.reporting.text import csv_cell, dollars, markdown_cell, milliseconds, one_line, printable, share

ESC, BEL, ST = "\x1b", "\x07", "\x1b\\"


@pytest.mark.parametrize(
    ("text", "left"),
    [
        pytest.param("plain, ünï¢ode\n\tand 表", "plain, ünï¢ode\n\tand 表", id="plain text stays"),
        pytest.param(f"{ESC}[1;31mred{ESC}[0m", "red", id="colours"),
        pytest.param(f"a{ESC}[2Jb{ESC}[10;5Hc{ESC}[?25ld", "abcd", id="screen and cursor"),
        pytest.param(f"a{ESC}]52;c;c2VjcmV0{BEL}b", "ab", id="OSC 52, the clipboard, ended by BEL"),
        pytest.param(f"a{ESC}]52;c;c2VjcmV0{ST}b", "ab", id="OSC 52, ended by ST"),
        pytest.param(f"a{ESC}]0;title{BEL}b", "ab", id="OSC 0, the window's title"),
        pytest.param(f"{ESC}]8;;http://evil{ST}link{ESC}]8;;{ST}", "link", id="OSC 8, a link"),
        pytest.param(f"a{ESC}]52;c;c2VjcmV0", "a", id="an OSC that never ends"),
        pytest.param(f"a{ESC}P1$r{ST}b{ESC}_x{ST}c{ESC}^y{ST}d{ESC}Xz{ST}e", "abcde", id="DCS, APC, PM, SOS"),
        pytest.param(f"a{ESC}cb{ESC}7", "ab", id="reset and save"),
        pytest.param(f"a{ESC}", "a", id="a last escape"),
        pytest.param(f"a{ESC}{ESC}[31mb", "a[31mb", id="an escape before an escape"),
        pytest.param("a\x9b31mb\x9d52;c;x\x9cd", "a31mb52;c;xd", id="C1 introducers"),
        pytest.param("a\x00\x08\x0b\x0c\r\x7fb", "ab", id="C0 and DEL"),
        pytest.param("a\u202eb\u202cc\u2066d\u2069e\u200ef\u200fg\u061ch", "abcdefgh", id="marks of direction"),
    ],
)
def test_nothing_that_steers_a_terminal_is_left(text: str, left: str) -> None:
    assert printable(text) == left


@given(st.text(alphabet=st.characters() | st.sampled_from("\x1b\x07\x9b\x9d[]P\\;\r\u202e"), max_size=60))
def test_whatever_a_model_says_no_control_is_left(text: str) -> None:
    left = printable(text)
    assert not any((letter < " " and letter not in "\n\t") or "\x7f" <= letter <= "\x9f" for letter in left)
    assert "\u202e" not in left
    assert printable(left) == left


def test_one_line_is_one_short_line() -> None:
    assert one_line(f"  a\n\n b{ESC}[31m\tc ", 10) == "a b c"
    assert one_line("x" * 11, 10) == "x" * 9 + "…"
    assert one_line("x" * 10, 10) == "x" * 10


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ("a|b", r"a\|b"),
        ("two\nlines\r\n\tand more", "two lines and more"),
        ("**bold** _it_ ~no~ `code`", r"\*\*bold\*\* \_it\_ \~no\~ \`code\`"),
        ("[x](http://evil) ![i](u)", r"\[x\](http://evil) !\[i\](u)"),
        ("<script>&amp;</script>", "&lt;script&gt;&amp;amp;&lt;/script&gt;"),
        ("back\\slash|", "back\\\\slash\\|"),
        (f"{ESC}[31mred", "red"),
    ],
)
def test_a_markdown_cell_is_one_line_without_markup(text: str, cell: str) -> None:
    assert markdown_cell(text) == cell


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\0"])
def test_a_spreadsheet_takes_no_cell_for_a_formula(start: str) -> None:
    assert csv_cell(f"{start}1+1").startswith("'")


@pytest.mark.parametrize("text", ["", "1", "a=1", "'x", " =1"])
def test_other_cells_stay_as_they_are(text: str) -> None:
    assert csv_cell(text) == text


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"]) | st.sampled_from('\r\n",='), max_size=30))
def test_a_cell_is_one_cell_for_whoever_reads_it(text: str) -> None:
    """The csv module of Python 3.11 leaves a lone carriage return unquoted."""
    written = io.StringIO(newline="")
    csv.writer(written, lineterminator="\n").writerow(["a", csv_cell(text), "b"])
    assert list(csv.reader(io.StringIO(written.getvalue(), newline=""))) == [["a", csv_cell(text), "b"]]


@pytest.mark.parametrize(
    ("usd", "shown"),
    [
        (None, "–"),
        ("0", "$0"),
        ("1234.567", "$1,234.57"),
        ("1", "$1.00"),
        ("0.9996", "$1"),
        ("0.12345", "$0.123"),
        ("0.0516349", "$0.0516"),
        ("0.00000465", "$0.00000465"),
        ("0.000000000001", "$0.000000000001"),
        ("0.5", "$0.5"),
    ],
)
def test_dollars_for_people(usd: str | None, shown: str) -> None:
    assert dollars(None if usd is None else Decimal(usd)) == shown


@pytest.mark.parametrize(
    ("value", "shown"), [(None, "–"), (0.0, "0 ms"), (999.4, "999 ms"), (1000.0, "1.0 s"), (61_250.0, "61.2 s")]
)
def test_durations_for_people(value: float | None, shown: str) -> None:
    assert milliseconds(value) == shown


def test_shares() -> None:
    assert share(28, 1319) == "28/1,319"
