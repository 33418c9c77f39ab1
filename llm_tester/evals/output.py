"""What a task wants back: a JSON Schema, or a pydantic class, that golds and answers are checked against."""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal
from itertools import islice
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol, get_args

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError
from jsonschema.exceptions import ValidationError as SchemaViolation
from jsonschema.protocols import Validator
from jsonschema.validators import validator_for
from pydantic import BaseModel, Field, ValidationError
from referencing import Registry
from referencing.exceptions import Unresolvable

from llm_tester.documents import Document, json_path, read_json
from llm_tester.errors import LLMTesterError, TaskError
from llm_tester.llms.loading import attribute_of, load_module, subclass_in
from llm_tester.records import digest

MAX_PROBLEMS = 20


class OutputConfig(Document):
    """Where a task's output schema stands: one of the two."""

    schema_: str | None = Field(default=None, alias="schema")
    """A file with a JSON Schema."""
    model: str | None = None
    """A pydantic class, as file.py or file.py:Class."""


class Output(Protocol):
    """A loaded output schema."""

    @property
    def json_schema(self) -> Mapping[str, Any]:
        """The JSON Schema."""

    @property
    def fingerprint(self) -> str:
        """A hash of all that decides what is valid."""

    def problems(self, value: Any) -> list[str]:
        """What in `value` breaks the schema, a line each; empty when it is valid."""


class SchemaOutput:
    """A JSON Schema from a file."""

    def __init__(self, schema: Any, file: Path) -> None:
        if not isinstance(schema, dict):
            raise TaskError(f"{file}: a JSON Schema is an object")
        chosen = validator_for(schema, default=Draft202012Validator)
        try:
            chosen.check_schema(schema)
        except SchemaError as error:
            raise TaskError(f"{file}: not a valid JSON Schema: {error.message} at {error.json_path}") from None
        self.json_schema: Mapping[str, Any] = schema
        self.fingerprint = digest(schema)
        self._validator: Validator = chosen(schema, registry=Registry())

    def problems(self, value: Any) -> list[str]:
        """What in `value` breaks the schema."""
        found = islice(self._validator.iter_errors(without_decimals(value)), MAX_PROBLEMS)
        try:
            return [f"{_place(error)}: {error.message}"[:200] for error in found]
        # What check_schema lets pass: references that lead nowhere, or in a circle.
        except (Unresolvable, RecursionError) as error:
            return [f"the schema cannot be applied: {type(error).__name__}: {error}"[:200]]


def _place(error: SchemaViolation) -> str:
    return error.json_path.removeprefix("$").removeprefix(".") or "(the whole)"


class ModelOutput:
    """A pydantic class from a task's Python file."""

    def __init__(self, model: type[BaseModel], source: str) -> None:
        self._model = model
        self.json_schema: Mapping[str, Any] = model.model_json_schema()
        self.fingerprint = digest([self.json_schema, source])

    def problems(self, value: Any) -> list[str]:
        """What in `value` the class refuses; types are not bent, as they would not be in JSON."""
        try:
            # From JSON text: strict rules then still let a date be a string and a float field take 3.
            self._model.model_validate_json(json.dumps(without_decimals(value)), strict=True)
        except ValidationError as error:
            details = error.errors(include_url=False, include_input=False)[:MAX_PROBLEMS]
            return [f"{json_path(detail['loc']) or '(the whole)'}: {detail['msg']}"[:200] for detail in details]
        except ValueError as error:
            return [str(error)[:200]]
        return []


def without_decimals(value: Any) -> Any:
    """The same JSON value with exact decimals as floats, for validators that know only those."""
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() and abs(value) < 10**15 else float(value)
    if isinstance(value, dict):
        return {key: without_decimals(item) for key, item in value.items()}
    if isinstance(value, list):
        return [without_decimals(item) for item in value]
    return value


def _whole(module: ModuleType, where: str) -> type[Any]:
    """The class of a module that is no part, and no base, of its others."""
    classes = {
        name: value
        for name, value in vars(module).items()
        if isinstance(value, type) and issubclass(value, BaseModel) and value.__module__ == module.__name__
    }
    parts = {part for model in classes.values() for part in _parts(model) if part is not model}
    whole = [model for model in classes.values() if model not in parts]
    return whole[0] if len(whole) == 1 else subclass_in(module, BaseModel, where=where)


def _parts(model: type[BaseModel]) -> set[type[Any]]:
    """The classes that the fields of a model name, and its bases."""
    found, waiting = set(model.__mro__), [field.annotation for field in model.model_fields.values()]
    while waiting:
        annotation = waiting.pop()
        waiting += get_args(annotation)
        if isinstance(annotation, type):
            found.add(annotation)
    return found


def load_output(config: OutputConfig, folder: Path, task: str) -> Output:
    """The output schema that a task declares; raises TaskError that names the file."""
    if (config.schema_ is None) == (config.model is None):
        raise TaskError(f'{folder / "task.json"}: output: name either "schema" or "model"')
    if config.schema_ is not None:
        file = folder / config.schema_
        return SchemaOutput(read_json(file), file)
    name, _, class_name = str(config.model).partition(":")
    file = folder / name
    try:
        module = load_module(file, f"llm_tester_tasks.{task}")
        model = attribute_of(module, class_name, where=str(file)) if class_name else _whole(module, str(file))
    except LLMTesterError as error:
        raise TaskError(error.message, hint=error.hint) from error
    if not (isinstance(model, type) and issubclass(model, BaseModel)):
        raise TaskError(f"{file}: {class_name} is not a pydantic class")
    return ModelOutput(model, file.read_text("utf-8"))
