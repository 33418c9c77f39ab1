"""Samples from folders: each input a file of its own, with its target beside it or in another folder."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from llm_tester.documents import parse_json
from llm_tester.errors import ConfigurationError, TaskError
from llm_tester.evals.rows import Row, require_unicode, text_lines

SHOWN = 10


def folder_rows(
    folder: Path,
    *,
    inputs: str | None = None,
    targets: str | None = None,
    prompts: str | None = None,
    encoding: str | None = None,
) -> Iterator[Row]:
    """A row per input file, by name, with `id`, `input`, `target` and, where prompts have a folder, `prompt`.

    Raises TaskError that names every file whose counterpart is missing.
    """
    places = {"input": folder / (inputs or "."), "target": folder / (targets or inputs or ".")}
    if places["input"].resolve() == places["target"].resolve():
        files = _side_by_side(places["input"])
    else:
        files = {role: by_name(_files(place)) for role, place in places.items()}
    if prompts is not None:
        files["prompt"] = by_name(_files(folder / prompts))
        places["prompt"] = folder / prompts
    _require_counterparts(files, places)
    for name, file in files["input"].items():
        values = {"id": name, "input": _text(file, encoding), "target": _target(files["target"][name], encoding)}
        if prompts is not None:
            values["prompt"] = _text(files["prompt"][name], encoding).rstrip("\r\n")
        textual = files["target"][name].suffix.lower() != ".json"
        yield Row(folder, file, values, textual)


def _files(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    except OSError as error:
        raise TaskError(
            f"{folder}: the folder cannot be read: {error.strerror}", hint="Mend its name, or make it."
        ) from None


def by_name(files: list[Path]) -> dict[str, Path]:
    """Files by their names without the ending; raises TaskError when two have the same."""
    found: dict[str, Path] = {}
    for file in files:
        if file.stem in found:
            raise TaskError(
                f'{file}: has the name "{file.stem}" of {found[file.stem].name}', hint="Give each file its own name."
            )
        found[file.stem] = file
    return found


def _side_by_side(folder: Path) -> dict[str, dict[str, Path]]:
    """The target is the .json file of two with one name, else the .txt file."""
    groups: dict[str, list[Path]] = {}
    for file in _files(folder):
        groups.setdefault(file.stem, []).append(file)
    found: dict[str, dict[str, Path]] = {"input": {}, "target": {}}
    for name, group in groups.items():
        target = next((file for end in (".json", ".txt") for file in group if file.suffix.lower() == end), None)
        if len(group) == 1:
            # Alone, a .json file is a target whose input is missing, and any other file an input.
            role = "target" if target is not None and target.suffix.lower() == ".json" else "input"
            found[role][name] = group[0]
            continue
        if len(group) > 2 or target is None:
            listed = ", ".join(file.name for file in group)
            raise TaskError(
                f'{folder}: which of the files named "{name}" is the input, and which the target? {listed}',
                hint="Keep one input and one .json or .txt file of each name, or put the targets into another folder.",
            )
        found["target"][name] = target
        found["input"][name] = next(file for file in group if file != target)
    return found


_ENDINGS = {"input": "", "target": ".json or .txt", "prompt": ".txt"}


def _require_counterparts(files: Mapping[str, Mapping[str, Path]], places: Mapping[str, Path]) -> None:
    names = sorted(set().union(*files.values()))
    lines = []
    for name in names:
        missing = [role for role, found in files.items() if name not in found]
        if missing:
            there = next(found[name] for found in files.values() if name in found)
            lacks = " and ".join(f"{role} ({_wanted(places[role], name, _ENDINGS[role])})" for role in missing)
            lines.append(f"{there} has no {lacks}")
    if lines:
        more = [f"and {len(lines) - SHOWN} more"] if len(lines) > SHOWN else []
        listed = lines[0] if len(lines) == 1 else "".join(f"\n  {line}" for line in [*lines[:SHOWN], *more])
        raise TaskError(
            listed if len(lines) == 1 else f"files without their counterparts:{listed}",
            hint="Add what is missing, or take the others out of the folder.",
        )


def _wanted(place: Path, name: str, ending: str) -> str:
    return f"{place / name}{ending}" if ending else f"a file {name}.* in {place}"


def _text(file: Path, encoding: str | None) -> str:
    return "".join(line for _, line in text_lines(file, encoding or "utf-8"))


def _target(file: Path, encoding: str | None) -> Any:
    if file.suffix.lower() not in (".json", ".txt"):
        raise TaskError(f"{file}: a target is a .json or a .txt file", hint="Rename or convert the file.")
    text = _text(file, encoding)
    if file.suffix.lower() == ".txt":
        return text.strip()
    try:
        value = parse_json(text, file=str(file))
    except ConfigurationError as error:
        raise TaskError(error.message, hint=error.hint) from None
    require_unicode(text, value, str(file))
    return value
