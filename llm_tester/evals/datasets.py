"""Samples from JSONL and CSV files, streamed: one is in memory at a time."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from llm_tester.documents import Document, parse_json
from llm_tester.errors import ConfigurationError, TaskError, suggestion
from llm_tester.evals.samples import Sample
from llm_tester.records import digest

ALIASES = {"input": ("input", "source"), "target": ("target", "expected")}
KNOWN = {"id", "input", "source", "target", "expected", "prompt", "files", "metadata"}


class FieldMap(Document):
    """Which columns of the samples hold what, where they have names of their own."""

    id: str | None = None
    """The column of the id."""
    input: str | None = None
    """The column of the input."""
    target: str | tuple[str, ...] | None = None
    """The column of the target, or the columns that together make a target object."""


def read_samples(file: Path, columns: FieldMap) -> Iterator[Sample]:
    """The samples of a .jsonl or .csv file; raises TaskError with file and line for one that cannot be used."""
    readers: dict[str, Callable[[Path], Iterator[tuple[int, dict[str, Any]]]]] = {".jsonl": _jsonl, ".csv": _csv}
    reader = readers.get(file.suffix.lower())
    if reader is None:
        raise TaskError(f"{file}: samples are read from .jsonl and .csv files", hint="Rename or convert the file.")
    lines: dict[str, int] = {}
    for number, record in reader(file):
        sample = _sample(record, columns, f"{file}:{number}")
        if sample.id in lines:
            raise TaskError(
                f'{file}:{number}: the id "{sample.id}" was used in line {lines[sample.id]} already',
                hint="Give each sample an id of its own.",
            )
        lines[sample.id] = number
        yield sample
    if not lines:
        raise TaskError(f"{file}: holds no samples", hint="Add at least one sample.")


def _jsonl(file: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in _lines(file):
        if not line.strip():
            continue
        try:
            record = parse_json(line.rstrip("\r\n"), file=str(file), first_line=number)
        except ConfigurationError as error:
            raise TaskError(error.message, hint=error.hint) from None
        if not isinstance(record, dict):
            raise TaskError(f"{file}:{number}: a sample is a JSON object")
        if "\\u" in line and not _is_unicode(record):
            raise TaskError(
                f"{file}:{number}: holds half of a surrogate pair, which no text can hold",
                hint="Write the whole pair, such as \\ud83d\\ude00, or the character itself.",
            )
        yield number, record


def _is_unicode(record: Any) -> bool:
    try:
        json.dumps(record, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _csv(file: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    csv.field_size_limit(min(sys.maxsize, 2**31 - 1))
    reader = csv.DictReader((line for _, line in _lines(file)), strict=True)
    try:
        names = reader.fieldnames or []
        if len(set(names)) != len(names):
            raise TaskError(f"{file}:1: a column name stands twice in the header")
        for row in reader:
            if None in row or None in row.values():
                raise TaskError(f"{file}:{reader.line_num}: not as many cells as the header has columns ({len(names)})")
            yield reader.line_num, dict(row)
    except csv.Error as error:
        raise TaskError(f"{file}:{reader.line_num + 1}: not valid CSV: {error}") from None


def _lines(file: Path) -> Iterator[tuple[int, str]]:
    number = 0
    try:
        with file.open("rb") as opened:
            for number, line in enumerate(opened, 1):
                yield number, line.decode("utf-8-sig" if number == 1 else "utf-8")
    except UnicodeDecodeError:
        raise TaskError(f"{file}:{number}: not UTF-8 text", hint="Save the file as UTF-8.") from None
    except OSError as error:
        raise TaskError(f"{file}: the samples cannot be read: {error.strerror}") from None


def _sample(record: Mapping[str, Any], columns: FieldMap, where: str) -> Sample:
    if file_is_plain := not (columns.input or columns.target):
        unknown = sorted(set(record) - KNOWN - {columns.id})
        if unknown:
            raise TaskError(
                f'{where}: a sample has no key "{unknown[0]}". {suggestion(unknown[0], KNOWN)}',
                hint='Put it under "metadata", or name the columns under "fields" in task.json.',
            )
    text = _column(record, columns.input, "input", where)
    if not isinstance(text, str):
        raise TaskError(f"{where}: input must be text")
    target = _target(record, columns.target, where)
    prompt = record.get("prompt") if file_is_plain else None
    if prompt is not None and not isinstance(prompt, str):
        raise TaskError(f"{where}: prompt must be text")
    metadata = record.get("metadata") if file_is_plain else None
    if not isinstance(metadata, dict | None):
        raise TaskError(f"{where}: metadata must be an object")
    files = (record.get("files") or []) if file_is_plain else []
    if not (isinstance(files, list) and all(isinstance(name, str) for name in files)):
        raise TaskError(f"{where}: files must be a list of file names")
    return Sample(
        id=_id(record, columns, text, target, where),
        input=text,
        target=target,
        prompt=prompt or None,
        files=tuple(files),
        metadata=metadata or {},
    )


def _id(record: Mapping[str, Any], columns: FieldMap, text: str, target: Any, where: str) -> str:
    given = _column(record, columns.id, "id", where) if columns.id else record.get("id")
    if given is None or given == "":
        return digest([text, target])[:16]
    if isinstance(given, bool) or not isinstance(given, str | int):
        raise TaskError(f"{where}: id must be text or a whole number")
    return str(given)


def _column(record: Mapping[str, Any], named: str | None, role: str, where: str) -> Any:
    for name in (named,) if named else ALIASES.get(role, (role,)):
        if name in record:
            return record[name]
    wanted = f'column "{named}"' if named else role
    hint = suggestion(named, record) if named else f'Add "{role}" to the sample.'
    raise TaskError(f"{where}: the sample has no {wanted}", hint=hint)


def _target(record: Mapping[str, Any], named: str | tuple[str, ...] | None, where: str) -> Any:
    if isinstance(named, tuple):
        return {name: _cell(_column(record, name, "target", where)) for name in named}
    target = _column(record, named, "target", where)
    if target is None or target == "":
        raise TaskError(f"{where}: the target is empty", hint="A sample without a target cannot be scored.")
    return target


def _cell(value: Any) -> Any:
    return None if value == "" else value


def target_from_text(target: Any) -> Any:
    """A target that a CSV cell holds as JSON text, as the object or list that it stands for; others as they are."""
    if isinstance(target, str) and target.lstrip()[:1] in ("{", "["):
        try:
            return json.loads(target)
        except ValueError:
            return target
    return target
