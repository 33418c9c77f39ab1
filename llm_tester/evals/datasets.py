"""Samples from JSONL files, CSV files and folders, streamed: one is in memory at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, get_args

from pydantic import Field, field_validator

from llm_tester.documents import Document
from llm_tester.errors import TaskError, suggestion
from llm_tester.evals.cells import Cells, CellType
from llm_tester.evals.folders import folder_rows
from llm_tester.evals.rows import Row, csv_rows, is_csv, jsonl_rows, missing_column
from llm_tester.evals.samples import Sample, transcript
from llm_tester.evals.scorers.numbers import DecimalMark
from llm_tester.records import Message, Role, digest

ALIASES = {"input": ("input", "source"), "target": ("target", "expected")}
KNOWN = {"id", "input", "source", "target", "expected", "prompt", "files", "metadata"}
ROLES = [role for role in get_args(Role) if role != "tool"]


class FieldMap(Document):
    """Which columns of the samples hold what, where they have names of their own."""

    id: str | None = None
    """The column of the id."""
    input: str | None = None
    """The column of the input."""
    target: str | tuple[str, ...] | dict[str, str] | None = None
    """The column of the target; or the columns that together make a target object, as a list or as {key: column}."""
    metadata: tuple[str, ...] = ()
    """Columns that prompts may use, as {{ metadata.name }} or {{ metadata["the name"] }}."""

    @field_validator("target")
    @classmethod
    def _some(cls, target: Any) -> Any:
        if isinstance(target, tuple | dict) and not target:
            raise ValueError("names no column")
        return target

    @property
    def named(self) -> tuple[str, ...]:
        """The names of all columns that it names."""
        target = (self.target,) if isinstance(self.target, str) else tuple(self.parts.values())
        return tuple(name for name in (self.id, self.input, *target, *self.metadata) if name is not None)

    @property
    def parts(self) -> dict[str, str]:
        """Columns by the key that they fill in the target object; {} where the target is one column."""
        if isinstance(self.target, tuple):
            return {name: name for name in self.target}
        return dict(self.target) if isinstance(self.target, dict) else {}


class SamplesConfig(Document):
    """Where the samples stand, and how they are read."""

    file: str
    """A .jsonl, .csv or .tsv file, or a folder with one file per input; relative to the task's folder."""
    delimiter: str | None = Field(default=None, min_length=1, max_length=1)
    """What stands between the cells of a CSV file; found out where absent."""
    encoding: str | None = None
    """UTF-8, or what a byte order mark says, where absent."""
    types: dict[str, CellType] = Field(default_factory=dict)
    """What columns hold: text, number, integer, boolean or json; as the output schema says where absent."""
    decimal_mark: DecimalMark = "."
    """What stands before the decimals of numbers in cells. Where it is a comma, points may set thousands apart."""
    skip: tuple[Literal["duplicates", "empty"], ...] = ()
    """What is left out and is no error: samples that say the same as an earlier one, or lack input or target."""
    inputs: str | None = None
    """Of a folder: the folder in it that holds the inputs."""
    targets: str | None = None
    """Of a folder: the folder in it that holds the targets; beside the inputs where absent."""
    prompts: str | None = None
    """Of a folder: the folder in it that holds a prompt for each input."""


def read_samples(
    path: Path,
    columns: FieldMap,
    config: SamplesConfig | None = None,
    cells: Cells | None = None,
    *,
    left_out: Callable[[str, Row], None] | None = None,
) -> Iterator[Sample]:
    """The samples of a file or folder; raises TaskError with file and line for one that cannot be used.

    `left_out` is told of each row that `skip` leaves out, and why.
    """
    config = config or SamplesConfig(file=str(path))
    cells = cells or Cells(config.types, decimal_mark=config.decimal_mark)
    skipped = left_out or _nobody
    seen: dict[str, int | Path] = {}
    contents: dict[str, int] = {}
    for row in _rows(path, columns, config):
        sample = _sample(row, columns, cells, skip_empty="empty" in config.skip)
        if sample is None:
            skipped("empty", row)
            continue
        repeated = seen.setdefault(sample.id, row.place) != row.place
        if "duplicates" in config.skip:
            content = hash((sample.input, repr(sample.target)))
            if contents.setdefault(sample.id, content) == content and repeated:
                skipped("duplicates", row)
                continue
        if repeated:
            raise _duplicate(row, sample, seen[sample.id])
        yield sample
    if not seen:
        raise TaskError(f"{path}: holds no samples", hint="Add at least one sample.")


def _nobody(why: str, row: Row) -> None:
    """Nobody asked what is left out."""


def _duplicate(row: Row, sample: Sample, earlier: int | Path) -> TaskError:
    spot = f"line {earlier}" if isinstance(earlier, int) else str(earlier)
    if sample.id == _content_id(sample.input, sample.target):
        return TaskError(
            f"{row.where}: has no id and says the same as {spot}",
            hint='Remove one, give it an id, or leave such samples out: "samples": {..., "skip": ["duplicates"]}.',
        )
    return TaskError(
        f'{row.where}: the id "{sample.id}" was used in {spot} already',
        hint="Give each sample an id of its own; where there is no column of ids, a sample's content is its id.",
    )


_FOLDER_ONLY = ("inputs", "targets", "prompts")
_CSV_ONLY = ("delimiter",)


def _rows(path: Path, columns: FieldMap, config: SamplesConfig) -> Iterator[Row]:
    if path.is_dir():
        if columns.named or config.types:
            raise TaskError(f"{path}: is a folder, in which there are no columns", hint='Remove "fields" and "types".')
        _refuse(path, config, _CSV_ONLY, "CSV files")
        places = {name: getattr(config, name) for name in _FOLDER_ONLY}
        return folder_rows(path, **places, encoding=config.encoding)
    _refuse(path, config, _FOLDER_ONLY, "folders")
    if is_csv(path):
        delimiter = config.delimiter or ("\t" if path.suffix.lower() == ".tsv" else None)
        wanted = (*columns.named, *config.types)
        return csv_rows(path, wanted=wanted, delimiter=delimiter, encoding=config.encoding)
    _refuse(path, config, _CSV_ONLY, "CSV files")
    if path.suffix.lower() == ".jsonl":
        return jsonl_rows(path, encoding=config.encoding)
    if path.suffix or path.exists():
        raise TaskError(
            f"{path}: samples are read from .jsonl, .csv and .tsv files and from folders",
            hint="Rename or convert the file.",
        )
    raise TaskError(f"{path}: there is no such file or folder", hint='Mend "samples".')


def _refuse(path: Path, config: SamplesConfig, options: tuple[str, ...], kind: str) -> None:
    for name in options:
        if getattr(config, name) is not None:
            raise TaskError(f'{path}: "{name}" is an option of {kind} only', hint=f'Remove "{name}".')


def _sample(row: Row, columns: FieldMap, cells: Cells, *, skip_empty: bool) -> Sample | None:
    record, where = row.values, row.where
    file_is_plain = not (columns.input or columns.target)
    if file_is_plain and (unknown := sorted(record.keys() - KNOWN - {columns.id, *columns.metadata})):
        raise TaskError(
            f'{where}: a sample has no key "{unknown[0]}". {suggestion(unknown[0], KNOWN)}',
            hint='Put it under "metadata", or name the columns under "fields" in task.json.',
        )
    given = _given(row, columns.input, "input", cells)
    target = _target(row, columns, cells)
    if skip_empty and (is_empty(given) or is_empty(target)):
        return None
    text, turns = _input(given, where)
    if is_empty(target):
        raise TaskError(f"{where}: the target is empty", hint=_SKIP_HINT)
    prompt = record.get("prompt") if file_is_plain else None
    if prompt is not None and not isinstance(prompt, str):
        raise TaskError(f"{where}: prompt must be text")
    return Sample(
        id=_id(row, columns, text, target),
        input=text,
        target=target,
        prompt=prompt or None,
        files=_file_names(record if file_is_plain else {}, where),
        metadata=_metadata(row, columns, cells, plain=file_is_plain),
        turns=turns,
        where=where,
    )


_SKIP_HINT = 'Such a sample cannot be scored. Mend it, or leave such out: "samples": {..., "skip": ["empty"]}.'


def is_empty(value: Any) -> bool:
    """Whether a value says nothing: null, "" or blank text."""
    return value is None or (isinstance(value, str) and not value.strip())


def _given(row: Row, named: str | None, role: str, cells: Cells) -> Any:
    name = _column(row, named, role)
    return cells.other(row.values[name], name, row.where)


def _column(row: Row, named: str | None, role: str) -> str:
    for name in (named,) if named else ALIASES.get(role, (role,)):
        if name in row.values:
            return name
    if named:
        raise missing_column(named, row.values, row.where)
    raise TaskError(f"{row.where}: the sample has no {role}", hint=f'Add "{role}" to the sample.')


def _target(row: Row, columns: FieldMap, cells: Cells) -> Any:
    if columns.parts:
        return {key: _part(row, name, key, cells) for key, name in columns.parts.items()}
    return _part(row, _column(row, columns.target if isinstance(columns.target, str) else None, "target"), None, cells)


def _part(row: Row, column: str, key: str | None, cells: Cells) -> Any:
    value = row.values[_column(row, column, "target")]
    if row.textual and isinstance(value, str):
        found = cells.target(value, column, key, row.where)
    else:
        found = cells.other(value, column, row.where)
    return None if found == "" and key is not None and not row.textual else found


def _input(given: Any, where: str) -> tuple[str, tuple[Message, ...]]:
    """The input's text, and its turns where it is a list of messages."""
    if isinstance(given, list):
        turns = _turns(given, where)
        return transcript(turns), turns
    if given is not None and not isinstance(given, str):
        raise TaskError(f"{where}: input must be text or a list of messages")
    if is_empty(given):
        raise TaskError(f"{where}: the input is empty", hint=_SKIP_HINT)
    return str(given), ()


def _turns(given: list[Any], where: str) -> tuple[Message, ...]:
    turns = []
    for place, turn in enumerate(given):
        at = f"{where}: input[{place}]"
        if not isinstance(turn, dict) or not {"role", "content"} <= set(turn):
            raise TaskError(f'{at}: a message is an object with "role" and "content"')
        unknown = sorted(set(turn) - {"role", "content"})
        if unknown:
            raise TaskError(f'{at}: a message has no key "{unknown[0]}"', hint='It has "role" and "content" only.')
        if turn["role"] not in ROLES:
            known = suggestion(str(turn["role"]), ROLES)
            raise TaskError(f'{at}.role: there is no role "{turn["role"]}"', hint=known)
        if not isinstance(turn["content"], str) or is_empty(turn["content"]):
            raise TaskError(f"{at}.content: must be text, and not empty")
        if turn["role"] == "system" and place > 0:
            raise TaskError(f"{at}.role: a system message can only be the first")
        turns.append(Message(turn["role"], turn["content"]))
    if not turns or turns[-1].role != "user":
        raise TaskError(f'{where}: the last message of the input must have the role "user"')
    return tuple(turns)


def _metadata(row: Row, columns: FieldMap, cells: Cells, *, plain: bool) -> Mapping[str, Any]:
    metadata = row.values.get("metadata") if plain and "metadata" not in columns.metadata else None
    metadata = {} if metadata is None else metadata
    if not isinstance(metadata, dict):
        raise TaskError(
            f"{row.where}: metadata must be an object", hint='Columns are named under "fields": "metadata".'
        )
    return metadata | {name: _given(row, name, name, cells) for name in columns.metadata}


def _file_names(record: Mapping[str, Any], where: str) -> tuple[str, ...]:
    files = record.get("files") or []
    if not (isinstance(files, list) and all(isinstance(name, str) for name in files)):
        raise TaskError(f"{where}: files must be a list of file names")
    return tuple(files)


def _id(row: Row, columns: FieldMap, text: str, target: Any) -> str:
    given = row.values[_column(row, columns.id, "id")] if columns.id else row.values.get("id")
    if given is None or given == "":
        return _content_id(text, target)
    if isinstance(given, bool) or not isinstance(given, str | int):
        raise TaskError(f"{row.where}: id must be text or a whole number")
    return str(given)


def _content_id(text: str, target: Any) -> str:
    return digest([text, target])[:16]
