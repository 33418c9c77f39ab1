"""docs/api.md names all that the package offers: names, members, keys of config.json, parameters, options."""

from __future__ import annotations

import inspect
import re
from enum import Enum
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

import llm_tester
from llm_tester import catalogue, config, testing
from llm_tester.documents import Document
from llm_tester.evals.checking import TaskCheck
from llm_tester.evals.results import Result
from llm_tester.evals.summary import Standing

DOCS = Path(__file__).parent.parent / "docs"
PAGE = (DOCS / "api.md").read_text()
WORDS = frozenset(re.findall(r"[A-Za-z_][A-Za-z0-9_]*", PAGE))
OPTION = re.compile(r"--[a-z][a-z-]*[a-z]")
PUBLIC = {name: getattr(module, name) for module in (llm_tester, testing) for name in module.__all__}
# The values of an enum are its words, and are checked by nobody but who writes them.
CLASSES: dict[str, type[Any]] = {
    found.__name__: found
    for found in (*PUBLIC.values(), Result, Standing, TaskCheck)
    if inspect.isclass(found) and not issubclass(found, Enum)
}
INTERNAL = {
    *("own_prices", "laid_over"),  # how the workspace's catalogue entries are laid over a provider's
    "cost_priced",  # a counter behind `cost_usd`
    "flow",  # streams are made by `stream` and `astream` alone
}
VARIADIC = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
INHERITED = {name for base in (BaseModel, Document, BaseException, tuple, object) for name in dir(base)}
DOCUMENTS = {
    kind.__name__: kind
    for module in (catalogue, config)
    for kind in vars(module).values()
    if inspect.isclass(kind) and issubclass(kind, Document) and kind.__module__ == module.__name__
}


@pytest.mark.parametrize("name", PUBLIC)
def test_a_public_name_stands_on_the_page(name: str) -> None:
    assert name in WORDS


@pytest.mark.parametrize("name", CLASSES)
def test_what_a_class_offers_stands_on_the_page(name: str) -> None:
    members = {member for member in dir(CLASSES[name]) if not member.startswith("_")}
    assert members - INHERITED - INTERNAL - WORDS == set()


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_key_of_a_config_json_stands_on_the_page(name: str) -> None:
    keys = {field.alias or key for key, field in DOCUMENTS[name].model_fields.items()}
    assert keys - WORDS - {"$schema"} == set()


@pytest.mark.parametrize("name", PUBLIC)
def test_every_parameter_stands_on_the_page(name: str) -> None:
    found: Any = PUBLIC[name]
    if not callable(found) or (inspect.isclass(found) and issubclass(found, BaseModel | Enum)):
        return
    try:
        parameters = inspect.signature(found).parameters
    except ValueError:
        return
    named = {own.name for own in parameters.values() if own.kind not in VARIADIC and not own.name.startswith("_")}
    assert named - INTERNAL - WORDS == set()


def test_every_option_of_the_command_line_stands_on_the_page() -> None:
    told = set(OPTION.findall((DOCS / "cli.md").read_text()))
    assert told - set(OPTION.findall(PAGE)) == set()
