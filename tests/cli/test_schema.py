"""`schema`: what editors are told is what the program takes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from llm_tester.llms.provider_factory import builtin_folder
from tests.evals.conftest import Bench

PROVIDERS = sorted(builtin_folder("providers").glob("*/config.json"))
TASKS = sorted(builtin_folder("tasks").glob("*/task.json"))


def checker(bench: Bench, kind: str) -> Draft202012Validator:
    schema = bench.cli("schema", kind).json
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


def problems(bench: Bench, kind: str, value: Any) -> list[str]:
    return [error.message for error in checker(bench, kind).iter_errors(value)]


@pytest.mark.parametrize(("kind", "files"), [("provider", PROVIDERS), ("task", TASKS)])
def test_everything_that_is_shipped_fits(bench: Bench, kind: str, files: list[Path]) -> None:
    assert len(files) >= 3
    against = checker(bench, kind)
    wrong = {
        str(file): [error.message for error in against.iter_errors(json.loads(file.read_text()))] for file in files
    }
    assert {file: found for file, found in wrong.items() if found} == {}


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("config", {}),
        ("config", {"$schema": "x", "providers": {"openai": {"enabled": True}}, "run": {"entrants": ["a:b"]}}),
        ("external", {}),
        ("external", {"$schema": "x", "acme": {"module": "acme.llm", "class": "Acme", "config_path": "a.json"}}),
        ("provider", {"$schema": "x", "name": "a", "api": "openai", "llm_models": [{"name": "m", "cost_input": 0.59}]}),
    ],
)
def test_what_the_program_takes_fits(bench: Bench, kind: str, value: Any) -> None:
    assert problems(bench, kind, value) == []


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("config", {"provders": {}}),
        ("config", {"retry": {"max_retries": -1}}),
        ("external", {"acme": {"modul": "x"}}),
        ("provider", {"name": "a", "apy": 1}),
        ("provider", {"api": "openai"}),
        ("provider", {"name": "a", "llm_models": [{"name": "m", "cost_input": -1}]}),
        ("task", {"name": "a"}),
        ("task", {"name": "a", "prompt": "p", "scorer": {"type": "nonsense"}}),
    ],
)
def test_what_it_refuses_does_not(bench: Bench, kind: str, value: Any) -> None:
    assert problems(bench, kind, value)


def test_every_field_says_what_it_is_for(bench: Bench) -> None:
    for kind in ("provider", "config", "task", "external"):
        schema = bench.cli("schema", kind).json
        objects = [schema, *schema.get("$defs", {}).values()]
        fields = [pair for one in objects for pair in one.get("properties", {}).items()]
        silent = {name for name, field in fields if not field.keys() & {"description", "$ref", "const"}}
        assert silent <= {"$schema"}, kind


def test_it_is_written_to_a_file(bench: Bench) -> None:
    ended = bench.cli("schema", "task", "--output", "task.schema.json")
    assert ended.out == "wrote task.schema.json\n"
    assert (bench.root / "task.schema.json").read_text() == bench.cli("schema", "task").out
    assert "cannot be written" in bench.cli("schema", "task", "-o", "no/where.json").error()


def test_another_kind_is_refused(bench: Bench) -> None:
    assert bench.cli("schema", "nonsense").code == 2
