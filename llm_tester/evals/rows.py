"""Rows of JSONL and CSV files, streamed, each with its place."""

from __future__ import annotations

import csv
import io
import json
import sys
from codecs import BOM_UTF16_BE, BOM_UTF16_LE, lookup
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path
from typing import Any

from llm_tester.documents import parse_json
from llm_tester.errors import ConfigurationError, TaskError, suggestion

DELIMITERS = ",;\t|"
SNIFFED_LINES = 50


@dataclass(frozen=True, slots=True)
class Row:
    """What one row says; `place` is its line, or the file that it is, and `textual` that its targets are plain text."""

    file: Path
    place: int | Path
    values: Mapping[str, Any]
    textual: bool = False
    where: str = field(init=False, compare=False, repr=False)
    """Its place, as errors name it."""

    def __post_init__(self) -> None:
        where = f"{self.file}:{self.place}" if isinstance(self.place, int) else str(self.place)
        object.__setattr__(self, "where", where)


def jsonl_rows(file: Path, *, encoding: str | None = None) -> Iterator[Row]:
    """The objects of a JSONL file; raises TaskError with file and line."""
    for number, line in text_lines(file, encoding or "utf-8"):
        if not line.strip():
            continue
        where = f"{file}:{number}"
        try:
            record = parse_json(line.rstrip("\r\n"), file=str(file), first_line=number)
        except ConfigurationError as error:
            raise TaskError(error.message, hint=error.hint) from None
        if not isinstance(record, dict):
            raise TaskError(f"{where}: a sample is a JSON object")
        require_unicode(line, record, where)
        yield Row(file, number, record)


def require_unicode(text: str, value: Any, where: str) -> None:
    """Raise TaskError when the JSON `text` spells a `value` that no text can hold."""
    if "\\u" not in text:
        return
    try:
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        raise TaskError(
            f"{where}: holds half of a surrogate pair, which no text can hold",
            hint="Write the whole pair, such as \\ud83d\\ude00, or the character itself.",
        ) from None


def csv_rows(
    file: Path, *, wanted: Collection[str] = (), delimiter: str | None = None, encoding: str | None = None
) -> Iterator[Row]:
    """The rows of a CSV file by the names of its header, which must have all the `wanted` ones.

    Where no delimiter is named, it is the one of comma, semicolon, tab and bar that makes these columns.
    """
    csv.field_size_limit(min(sys.maxsize, 2**31 - 1))
    source = (line for _, line in text_lines(file, encoding or _marked_encoding(file)))
    first = list(islice(source, SNIFFED_LINES))
    reader = csv.reader(chain(first, source), delimiter=delimiter or _delimiter(first, wanted), strict=True)
    names: list[str] = []
    start = 1
    try:
        for cells in reader:
            if cells and not names:
                names = _header(cells, wanted, f"{file}:{start}")
            elif cells:
                if len(cells) != len(names):
                    raise TaskError(
                        f"{file}:{start}: not as many cells as the header has columns ({len(names)}): {len(cells)}",
                        hint="Quote cells that hold the delimiter, and double the quotes in them.",
                    )
                yield Row(file, start, dict(zip(names, cells, strict=True)), textual=True)
            start = reader.line_num + 1
    except csv.Error as error:
        hint = "Save the file with the usual ends of lines." if "new-line" in str(error) else "Check the quotes."
        raise TaskError(f"{file}:{start}: not valid CSV: {error}", hint=hint) from None


def _header(names: list[str], wanted: Collection[str], where: str) -> list[str]:
    twice = next((name for place, name in enumerate(names) if name in names[:place]), None)
    if twice is not None:
        raise TaskError(f'{where}: a column name stands twice in the header: "{twice}"', hint="Rename one of the two.")
    for name in wanted:
        if name not in names:
            raise missing_column(name, names, where)
    return names


def missing_column(name: str, columns: Collection[str], where: str) -> TaskError:
    """The error for a column that a row or a header does not have, with near names and all names."""
    listed = ", ".join(map(repr, islice(columns, 40))) + (", ..." if len(columns) > 40 else "")
    near = suggestion(name, columns)
    hint = f"{near} " if near.startswith("Did") else ""
    return TaskError(f'{where}: there is no column "{name}"', hint=f"{hint}The columns are: {listed or 'none'}.")


def column_names(file: Path, *, wanted: Collection[str] = (), encoding: str | None = None) -> list[str]:
    """The names that the header of a CSV file, or the first object of a JSONL file, has."""
    if not is_csv(file):
        return next((list(row.values) for row in jsonl_rows(file, encoding=encoding)), [])
    source = (line for _, line in text_lines(file, encoding or _marked_encoding(file)))
    first = list(islice(source, SNIFFED_LINES))
    delimiter = "\t" if file.suffix.lower() == ".tsv" else _delimiter(first, wanted)
    return next((cells for cells in csv.reader(first, delimiter=delimiter) if cells), [])


def encoding_note(file: Path, encoding: str | None) -> str:
    """A doubt about the encoding that is declared for a file: it has letters beyond ASCII, and reads as UTF-8."""
    if encoding is None or not file.is_file() or lookup(encoding).name.startswith("utf"):
        return ""
    beyond = False
    try:
        with file.open("rb") as opened:
            for line in opened:
                beyond = beyond or not line.isascii()
                line.decode("utf-8")
    except UnicodeDecodeError:
        return ""
    told = f"{file.name} is read as {encoding}, but is valid UTF-8 with letters beyond ASCII: are all of them right?"
    return f"{told} Else leave the encoding away" if beyond else ""


def is_csv(file: Path) -> bool:
    """Whether the file's name is that of a CSV file."""
    return file.suffix.lower() in (".csv", ".tsv")


def _delimiter(first: list[str], wanted: Collection[str]) -> str:
    def fitness(delimiter: str) -> tuple[int, int]:
        try:
            names = next((cells for cells in csv.reader(first, delimiter=delimiter) if cells), [])
        except csv.Error:
            return 0, 0
        return sum(name in names for name in wanted), len(names)

    # The first of equals: a file of one column is comma-separated.
    return max(DELIMITERS, key=fitness)


def _marked_encoding(file: Path) -> str:
    """UTF-16 where a byte order mark says so, as in what Excel calls Unicode text; else UTF-8."""
    try:
        with file.open("rb") as opened:
            mark = opened.read(2)
    except OSError as error:
        raise _unreadable(file, error) from None
    return "utf-16" if mark in (BOM_UTF16_LE, BOM_UTF16_BE) else "utf-8"


def text_lines(file: Path, encoding: str) -> Iterator[tuple[int, str]]:
    """The lines of a file with their numbers; raises TaskError that names the first that is not in this encoding."""
    try:
        codec = lookup(encoding).name
    except LookupError:
        raise TaskError(
            f'{file}: there is no encoding "{encoding}"', hint="Usual ones are utf-8, utf-16, cp1252 and latin-1."
        ) from None
    number = 0
    try:
        with file.open("rb") as opened:
            for number, line in enumerate(_decoded(opened, codec), 1):
                # A quarter of a million rows may pass here: the mark is looked for in the first line only.
                yield number, line.removeprefix("\ufeff") if number == 1 else line
    except UnicodeError:
        shown = "UTF-8" if codec == "utf-8" else encoding
        hint = 'Save the file as UTF-8, or name its encoding: "samples": {..., "encoding": "cp1252"}, or --encoding.'
        raise TaskError(f"{file}:{number + 1}: not {shown} text", hint=hint) from None
    except OSError as error:
        raise _unreadable(file, error) from None


def _decoded(opened: io.BufferedReader, codec: str) -> Iterator[str]:
    if codec.startswith(("utf-16", "utf-32", "utf-7")):
        # Here a byte 10 is not always the end of a line.
        with io.TextIOWrapper(opened, codec, newline="") as reader:
            yield from reader
    else:
        yield from (line.decode(codec) for line in opened)


def _unreadable(file: Path, error: OSError) -> TaskError:
    return TaskError(f"{file}: the samples cannot be read: {error.strerror}")
