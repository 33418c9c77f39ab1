"""Reading the JSON files that people write: strictly, with every mistake named by file, line or JSON path."""

from __future__ import annotations

import json
import re
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
    pass


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise _DuplicateKeyError
    return found


_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"(\s*:)?|[{}]')


def _first_duplicate(text: str) -> tuple[str, int]:
    """The first key that its object already has, and how many lines stand before it; the json module tells neither."""
    objects: list[set[str]] = []
    for token in _TOKEN.finditer(text):
        if token[0] == "{":
            objects.append(set())
        elif token[0] == "}":
            objects.pop()
        elif token[1] is not None:
            key = json.loads(token[0].removesuffix(token[1]))
            if key in objects[-1]:
                return key, text.count("\n", 0, token.start())
            objects[-1].add(key)
    raise ValueError("no object has a key twice")


def _refuse_constant(name: str) -> NoReturn:
    message = f"{name} is not a JSON value"
    raise ValueError(message)


# json.loads would make one for every line of a file.
_STRICT = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_refuse_constant)


def parse_json(text: str, *, file: str, first_line: int = 1) -> Any:
    """The JSON value in `text`; raises ConfigurationError with file and line for anything that is not strict JSON."""
    try:
        return _STRICT.decode(text)
    except _DuplicateKeyError:
        key, line = _first_duplicate(text)
        raise ConfigurationError(
            f'{file}:{line + first_line}: the key "{key}" stands twice in one object',
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
    model: type[Model],
    data: Any,
    *,
    file: str,
    at: str = "",
    error: Callable[..., LLMTesterError] = ConfigurationError,
) -> Model:
    """`data`, which stands in `file` at the JSON path `at`, as a `model`; raises one `error` that lists every mistake
    with its JSON path."""
    try:
        return model.model_validate(data)
    except ValidationError as invalid:
        problems = _problems(model, invalid, at)
    lines = [f"{path}: {message}" if path else message for path, message in problems]
    listed = lines[0] if len(lines) == 1 else "".join(f"\n  {line}" for line in lines)
    raised = error(f"{file}: {listed}", hint=f"Mend {Path(file).name} at the place named.")
    if isinstance(raised, ConfigurationError):
        raised.file, raised.path = file, problems[0][0]
    raise raised


def _problems(model: type[BaseModel], invalid: ValidationError, at: str) -> list[tuple[str, str]]:
    """JSON path and message of every mistake; where a union's alternatives disagree, those that saw deepest."""
    found = [(_walk(model, detail["loc"]), dict(detail)) for detail in invalid.errors(include_url=False)]
    places = [place for (place, _), _ in found]
    return [
        (".".join(filter(None, (at, json_path(place)))), _message(place, inside, detail))
        for (place, inside), detail in found
        if not any(len(other) > len(place) and other[: len(place)] == place for other in places)
    ]


UNQUOTED = "unquoted"
"""The type of a mistake whose message does not quote what was found."""
_KEYS = frozenset({"api_key", "apikey", "key", "token", "api_token", "secret", "password"})
_PLAIN_WORDS = {
    "missing": "this key is required",
    "model_type": "expected a JSON object",
    "dict_type": "expected a JSON object",
    "list_type": "expected a JSON list",
    "tuple_type": "expected a JSON list",
}


def _message(place: tuple[int | str, ...], inside: Any, detail: Mapping[str, Any]) -> str:
    kind, name = detail["type"], str(place[-1]) if place else ""
    if kind == "extra_forbidden":
        return f'unknown key "{name}". {_instead(name, _keys_of(inside))}'.rstrip()
    given = detail.get("input")
    shown = "" if kind in ("missing", UNQUOTED) or isinstance(given, dict | list) else f" (found {_short(given)})"
    unit = ": USD per 1M tokens" if kind == "decimal_max_places" and name.startswith("cost_") else ""
    return _PLAIN_WORDS.get(kind, str(detail["msg"]).removeprefix("Value error, ")) + unit + shown


def _instead(name: str, known: set[str]) -> str:
    if name.lower() in _KEYS and "env_key" in known:
        return 'No key stands in a file: "env_key" names the environment variable that holds it.'
    return suggestion(name, known)


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str).encode("utf-8", "backslashreplace").decode()
    return text if len(text) <= 60 else f"{text[:57]}..."


def schema_text(model: type[BaseModel], title: str, *, by_name: bool = False) -> str:
    """The JSON Schema of a document, for editors; with `by_name` that of an object of such documents."""
    found = model.model_json_schema()
    if by_name:
        one = {key: found.pop(key) for key in tuple(found) if key != "$defs"}
        found |= {"type": "object", "properties": {"$schema": {"type": "string"}}, "additionalProperties": one}
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **found, "title": title}
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def json_path(location: tuple[int | str, ...]) -> str:
    """`llm_models[2].cost_input` for ("llm_models", 2, "cost_input")."""
    text = ""
    for part in location:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text


def _walk(model: type[BaseModel], location: tuple[int | str, ...]) -> tuple[tuple[int | str, ...], Any]:
    """Where in the document an error of pydantic's is, and the type that holds its last key.

    Pydantic puts parts into the location that no document has: which alternative of a union it tried, and "[key]".
    """
    place: list[int | str] = []
    inside: Any = None
    here: Any = model
    for part in location:
        options = _options(here)
        if len(options) > 1:
            here = next((option for option in options if _is_tagged(option, part)), None)
        elif part != "[key]":
            place.append(part)
            inside, here = here, _step(options[0], part)
    return tuple(place), inside


def _is_tagged(option: Any, tag: int | str) -> bool:
    if any(getattr(note, "tag", None) == tag for note in getattr(option, "__metadata__", ())):
        return True
    document = _document(option)
    if document is None:
        return False
    literals = [typing.get_args(field.annotation) for field in document.model_fields.values()]
    return tag == document.__name__ or any(tag in values for values in literals)


def _step(annotation: Any, part: int | str) -> Any:
    document = _document(annotation)
    if document is not None:
        by_name = {field.alias or name: field.annotation for name, field in document.model_fields.items()}
        return by_name.get(str(part))
    arguments = typing.get_args(annotation) or (None,)
    return arguments[1] if isinstance(part, str) and len(arguments) > 1 else arguments[0]


def _keys_of(annotation: Any) -> set[str]:
    document = next(filter(None, map(_document, _options(annotation))), None)
    return {field.alias or name for name, field in document.model_fields.items()} if document else set()


def _document(annotation: Any) -> type[BaseModel] | None:
    if typing.get_origin(annotation) is typing.Annotated:
        annotation = typing.get_args(annotation)[0]
    return annotation if isinstance(annotation, type) and issubclass(annotation, BaseModel) else None


def _options(annotation: Any) -> tuple[Any, ...]:
    """The alternatives of a union, but for None, which pydantic's locations do not mention."""
    if typing.get_origin(annotation) is typing.Annotated:
        annotation = typing.get_args(annotation)[0]
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        options = tuple(option for option in typing.get_args(annotation) if option is not types.NoneType)
        return options if len(options) > 1 else _options(options[0])
    return (annotation,)
