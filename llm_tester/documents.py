"""Reading the JSON files that people write: strictly, with every mistake named by file, line or JSON path."""

from __future__ import annotations

import json
import types
import typing
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from llm_tester.errors import ConfigurationError, LLMTesterError, suggestion

Model = TypeVar("Model", bound=BaseModel)


class Document(BaseModel):
    """The base of everything that a JSON file of ours may hold: unknown keys are mistakes."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, populate_by_name=True)


class _DuplicateKeyError(ValueError):
    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.key = key


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise _DuplicateKeyError(key)
        found[key] = value
    return found


def _refuse_constant(name: str) -> NoReturn:
    message = f"{name} is not a JSON value"
    raise ValueError(message)


def parse_json(text: str, *, file: str, first_line: int = 1) -> Any:
    """The JSON value in `text`; raises ConfigurationError with file and line for anything that is not strict JSON."""
    try:
        return json.loads(text, object_pairs_hook=_unique, parse_constant=_refuse_constant)
    except _DuplicateKeyError as error:
        lines = [number for number, line in enumerate(text.splitlines(), first_line) if f'"{error.key}"' in line]
        where = f"{file}:{lines[1] if len(lines) > 1 else lines[0] if lines else first_line}"
        raise ConfigurationError(
            f'{where}: the key "{error.key}" stands twice in one object',
            hint="Remove one of the two.",
            file=file,
        ) from None
    except json.JSONDecodeError as error:
        line = error.lineno + first_line - 1
        raise ConfigurationError(
            f"{file}:{line}: not valid JSON: {error.msg} (column {error.colno})",
            hint="Mend the file: JSON wants double quotes and no trailing comma.",
            file=file,
        ) from None
    except RecursionError:
        raise ConfigurationError(f"{file}:{first_line}: nested too deeply", file=file) from None
    except ValueError as error:
        raise ConfigurationError(f"{file}:{first_line}: not valid JSON: {error}", file=file) from None


def read_text(path: Path) -> str:
    """The text of a UTF-8 file, with or without a byte order mark; raises ConfigurationError naming the file."""
    try:
        return path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise ConfigurationError(f"{path}: there is no such file", file=str(path)) from None
    except UnicodeDecodeError as error:
        raise ConfigurationError(
            f"{path}: not UTF-8 text (byte {error.start})", hint="Save the file as UTF-8.", file=str(path)
        ) from None
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be read: {error.strerror}", file=str(path)) from None


def read_json(path: Path) -> Any:
    """The JSON value that `path` holds."""
    return parse_json(read_text(path), file=str(path))


def validate(
    model: type[Model], data: Any, *, file: str, error: Callable[..., LLMTesterError] = ConfigurationError
) -> Model:
    """`data` as a `model`; raises one `error` that lists every mistake with its JSON path."""
    try:
        return model.model_validate(data)
    except ValidationError as invalid:
        problems = [_problem(model, dict(detail)) for detail in invalid.errors(include_url=False)]
    listed = problems[0] if len(problems) == 1 else "".join(f"\n  {line}" for line in problems)
    raise error(f"{file}: {listed}", hint=f"Mend {Path(file).name} at the place named.")


def _problem(model: type[BaseModel], detail: Mapping[str, Any]) -> str:
    location: tuple[int | str, ...] = detail["loc"]
    path = json_path(location)
    if detail["type"] == "extra_forbidden":
        known = _keys_at(model, location[:-1])
        return f'{path}: unknown key "{location[-1]}". {suggestion(str(location[-1]), known)}'.rstrip()
    given = detail.get("input")
    shown = "" if detail["type"] == "missing" or isinstance(given, dict | list) else f" (found {_short(given)})"
    message = str(detail["msg"]).removeprefix("Value error, ")
    message = "this key is required" if detail["type"] == "missing" else message
    return f"{path}: {message}{shown}" if path else f"{message}{shown}"


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 60 else f"{text[:57]}..."


def json_path(location: tuple[int | str, ...]) -> str:
    """`llm_models[2].cost_input` for ("llm_models", 2, "cost_input")."""
    text = ""
    for part in location:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text


def _keys_at(model: type[BaseModel], location: tuple[int | str, ...]) -> set[str]:
    """The keys that the document model allows at `location`; empty where that is not a document."""
    here: Any = model
    for part in location:
        here = _step(here, part)
    found = _document_in(here)
    return {field.alias or name for name, field in found.model_fields.items()} if found else set()


def _step(annotation: Any, part: int | str) -> Any:
    document = _document_in(annotation)
    if document is not None:
        by_name = {field.alias or name: field.annotation for name, field in document.model_fields.items()}
        return by_name.get(str(part))
    for option in _options(annotation):
        arguments = typing.get_args(option)
        if arguments:
            return arguments[1] if isinstance(part, str) and len(arguments) > 1 else arguments[0]
    return None


def _document_in(annotation: Any) -> type[BaseModel] | None:
    for option in _options(annotation):
        if isinstance(option, type) and issubclass(option, BaseModel):
            return option
    return None


def _options(annotation: Any) -> tuple[Any, ...]:
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        return typing.get_args(annotation)
    return (annotation,)
