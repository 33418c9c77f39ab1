"""Rows of CSV files: delimiters, encodings, places."""

from __future__ import annotations

from pathlib import Path

import pytest

from llm_tester.errors import TaskError
from llm_tester.evals.rows import column_names, csv_rows, jsonl_rows


def values(
    file: Path, content: str, written: str = "utf-8", *, encoding: str | None = None, delimiter: str | None = None
) -> list[dict[str, str]]:
    file.write_bytes(content.encode(written))
    return [dict(row.values) for row in csv_rows(file, encoding=encoding, delimiter=delimiter)]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_found_out(tmp_path: Path, delimiter: str) -> None:
    file = tmp_path / "s.csv"
    content = f'a{delimiter}"b,;|\tb"{delimiter}c\n1{delimiter}2{delimiter}3\n'
    assert values(file, content) == [{"a": "1", "b,;|\tb": "2", "c": "3"}]
    assert column_names(file) == ["a", "b,;|\tb", "c"]


def test_the_delimiter_is_the_one_that_makes_the_wanted_columns(tmp_path: Path) -> None:
    file = tmp_path / "s.csv"
    file.write_text("a, the first, of three;b\n1;2\n")
    assert next(csv_rows(file, wanted=["a, the first, of three", "b"])).values["b"] == "2"
    assert column_names(file, wanted=["b"]) == ["a, the first, of three", "b"]
    assert column_names(file) == ["a", " the first", " of three;b"]


def test_a_declared_delimiter_and_a_tsv_file_are_taken_at_their_word(tmp_path: Path) -> None:
    assert values(tmp_path / "s.csv", "a,b:c\n1:2\n", delimiter=":") == [{"a,b": "1", "c": "2"}]
    file = tmp_path / "s.tsv"
    file.write_text("a,b,c\td\n")
    assert column_names(file) == ["a,b,c", "d"]


@pytest.mark.parametrize(
    ("written", "declared"),
    [("utf-8-sig", None), ("utf-16", None), ("cp1252", "cp1252"), ("utf-16-le", "utf-16-le"), ("shift_jis", "sjis")],
)
def test_a_file_is_read_in_its_encoding(tmp_path: Path, written: str, declared: str | None) -> None:
    word = "ありがとう" if written == "shift_jis" else "Ünï\nč" if written != "cp1252" else "Ünï\né"
    found = values(tmp_path / "s.csv", f'a;b\r\n1;"{word}"\r\n', written, encoding=declared)
    assert found == [{"a": "1", "b": word}]


def test_a_row_is_named_by_the_line_where_it_begins(tmp_path: Path) -> None:
    file = tmp_path / "s.csv"
    file.write_text('a,b\n\n1,"x\ny\nz"\n\n2,w\n')
    assert [row.where for row in csv_rows(file)] == [f"{file}:3", f"{file}:7"]


@pytest.mark.parametrize(
    ("content", "said", "hint"),
    [
        (b"a,b\r1,2\r3,4\r", "s.csv:1: not valid CSV: new-line character", "ends of lines"),
        (b"a,b\n1,2,3\n", "s.csv:2: not as many cells as the header has columns (2): 3", "Quote cells"),
        (b"a,b\n1,\xff\n", "s.csv:2: not UTF-8 text", '"encoding": "cp1252"'),
        (b"a,b,a\n", 's.csv:1: a column name stands twice in the header: "a"', "Rename"),
        (b"\xff\xfea", "s.csv:1: not utf-16 text", "UTF-8"),
        (b'a,b\n1,"2"x\n', "s.csv:2: not valid CSV", "quotes"),
    ],
)
def test_a_file_that_cannot_be_read_is_named_with_the_line(
    tmp_path: Path, content: bytes, said: str, hint: str
) -> None:
    file = tmp_path / "s.csv"
    file.write_bytes(content)
    with pytest.raises(TaskError) as raised:
        list(csv_rows(file))
    assert said in raised.value.message
    assert hint in raised.value.hint


def test_an_unknown_encoding_and_a_missing_file_are_named(tmp_path: Path) -> None:
    file = tmp_path / "s.csv"
    with pytest.raises(TaskError, match=r"s\.csv: the samples cannot be read: No such file"):
        list(csv_rows(file))
    file.write_text("a\n")
    with pytest.raises(TaskError, match='there is no encoding "klingon"'):
        list(csv_rows(file, encoding="klingon"))


def test_a_missing_column_is_named_once_for_the_file_with_all_names(tmp_path: Path) -> None:
    file = tmp_path / "s.csv"
    file.write_text(",".join(f"c{n}" for n in range(60)) + "\n")
    with pytest.raises(TaskError) as raised:
        list(csv_rows(file, wanted=["zzz"]))
    assert raised.value.message == f'{file}:1: there is no column "zzz"'
    assert raised.value.hint.startswith("The columns are: 'c0', 'c1'")
    assert raised.value.hint.endswith("'c39', ....")


def test_the_names_of_a_jsonl_file_are_the_keys_of_its_first_object(tmp_path: Path) -> None:
    file = tmp_path / "s.jsonl"
    file.write_text('\n{"a": 1, "b": 2}\n{"c": 3}\n')
    assert column_names(file) == ["a", "b"]
    file.write_bytes('{"ä": 1}'.encode("latin-1"))
    assert [row.values for row in jsonl_rows(file, encoding="latin-1")] == [{"ä": 1}]
