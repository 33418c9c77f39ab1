"""The inputs that `run` refuses, each with one clear error and nothing written."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.cli.conftest import GOOD, PAID
from tests.evals.conftest import Bench

Spoil = Callable[["Bench"], object]
MODELS = [{"name": "good", "answers": "good.jsonl"}]


def provider_file(text: str) -> Spoil:
    return lambda bench: bench.write("providers/rep/config.json", text)


def provider(**changes: Any) -> Spoil:
    return provider_file(json.dumps({"name": "rep", "api": "replay", "llm_models": MODELS, **changes}))


def workspace_file(text: str) -> Spoil:
    return lambda bench: bench.write("config.json", text)


def workspace_models(*models: dict[str, Any], **more: Any) -> Spoil:
    return workspace_file(json.dumps({"providers": {"rep": {"llm_models": models, **more}}}))


def samples(text: str) -> Spoil:
    return lambda bench: bench.write("tasks/sums/samples.jsonl", text)


def gold_off_schema(bench: Bench) -> None:
    bench.write("tasks/sums/schema.json", {"maximum": 3})
    bench.task(output={"schema": "schema.json"})


def reports_is_a_file(bench: Bench) -> None:
    bench.write("reports", "x")


def ledger_folder_is_a_file(bench: Bench) -> None:
    bench.write(".llm_tester", "x")


REFUSED: list[tuple[str, Spoil, tuple[str, ...], list[str]]] = [
    ("malformed workspace file", workspace_file('{\n"run": {,}\n}'), GOOD, ["/config.json:2: not valid JSON"]),
    ("malformed provider file", provider_file("{\n\n]"), GOOD, ["/rep/config.json:3: not valid JSON"]),
    (
        "unknown key in the workspace file",
        workspace_file('{"rnu": {}, "run": {"seeed": 1}}'),
        GOOD,
        ['rnu: unknown key "rnu". Did you mean run?', 'run.seeed: unknown key "seeed". Did you mean seed?'],
    ),
    (
        "unknown key in the provider file",
        provider(base_ulr="x", llm_models=[{**MODELS[0], "cost_imput": 1}]),
        GOOD,
        ['unknown key "base_ulr". Did you mean base_url?', 'llm_models[0].cost_imput: unknown key "cost_imput".'],
    ),
    (
        "duplicate key in the workspace file",
        workspace_file('{"run": {},\n "run": {}}'),
        GOOD,
        ['/config.json:2: the key "run" stands twice'],
    ),
    (
        "duplicate key in the provider file",
        provider_file('{"name": "rep",\n"api": "replay",\n"name": "rep"}'),
        GOOD,
        ['/rep/config.json:3: the key "name" stands twice'],
    ),
    (
        "duplicate model in the workspace file",
        workspace_models({"name": "m"}, {"name": "m"}),
        GOOD,
        ["providers.rep.llm_models: the model m is listed more than once"],
    ),
    (
        "duplicate model in the provider file",
        provider(llm_models=[*MODELS, *MODELS]),
        GOOD,
        ["llm_models: the model good is listed more than once"],
    ),
    (
        "negative price in the workspace file",
        workspace_models({"name": "good", "cost_input": -1}),
        GOOD,
        ["providers.rep.llm_models[0].cost_input: ", "(found -1)"],
    ),
    (
        "negative price in the provider file",
        provider(llm_models=[{**MODELS[0], "cost_output": -0.5}]),
        GOOD,
        ["llm_models[0].cost_output: ", "(found -0.5)"],
    ),
    ("unknown model", lambda _: None, ("run", "sums", "-m", "rep:godo"), ['rep has no model "godo"', "mean good?"]),
    ("unknown provider", lambda _: None, ("run", "sums", "-m", "rpe:good"), ['no provider "rpe"', "mean rep?"]),
    ("unknown task", lambda _: None, ("run", "smus", "-m", "rep:good"), ['no task "smus"', "mean sums?"]),
    ("no model", lambda _: None, ("run", "sums"), ["no model is named", "-m provider:model"]),
    ("no task", lambda _: None, ("run", "-m", "rep:good"), ["no task is named", "llm-tester tasks list"]),
    ("one task twice", lambda _: None, ("run", "sums", "sums", "-m", "rep:good"), ['the task "sums" is named twice']),
    ("one model twice", lambda _: None, (*GOOD, "-m", "rep:good"), ['two entrants are called "rep:good"']),
    (
        "a gold that breaks its schema",
        gold_off_schema,
        GOOD,
        ['samples.jsonl:3: sample "s3": the target breaks the output schema: (the whole): 4 is greater than'],
    ),
    ("empty samples file", samples(""), GOOD, ["samples.jsonl: holds no samples"]),
    (
        "a sample without a target",
        samples('{"id": "a", "input": "1 + 1?", "target": 2}\n{"id": "b", "input": "q"}\n'),
        GOOD,
        ["samples.jsonl:2: the sample has no target"],
    ),
    ("reports is a file", reports_is_a_file, GOOD, ["/reports is a file, but reports are written into a folder"]),
    (".llm_tester is a file", ledger_folder_is_a_file, GOOD, ["/.llm_tester is a file, but a folder is needed"]),
]


@pytest.mark.parametrize(
    ("spoil", "arguments", "said"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED]
)
def test_a_bad_input_is_one_clear_error_and_nothing_is_written(
    ready: Bench, spoil: Spoil, arguments: tuple[str, ...], said: list[str]
) -> None:
    spoil(ready)
    before = ready.snapshot()
    ended = ready.cli(*arguments)
    message = ended.error(code=2)
    assert [part for part in said if part not in message] == []
    assert ended.out == ""
    assert ready.snapshot() == before
    as_json = ready.cli(*arguments, "--json")
    assert (as_json.error(code=2), as_json.out) == (message, "")
    assert ready.snapshot() == before


def test_a_bad_input_in_a_process_of_its_own(ready: Bench) -> None:
    """As a shell sees it: one message, the exit code, and not one file more."""
    for arguments in (("run", "sums", "-m", "rep:godo"), ("run", "smus", "-m", "rep:good")):
        before = ready.snapshot()
        ended = ready.process(*arguments)
        assert ended.error(code=2).count("\n") == 2
        assert ended.out == ""
        assert ready.snapshot() == before


def test_a_bad_input_leaves_earlier_runs_as_they_are(ready: Bench) -> None:
    assert ready.cli(*GOOD).code == 0
    before = ready.snapshot()
    ready.cli("run", "sums", "-m", "rep:godo", "--name", "x").error()
    assert ready.snapshot() == before


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ("{", "other/config.json:1: not valid JSON"),
        ('{"name": "other", "api": "replay", "llm_modles": []}', 'unknown key "llm_modles". Did you mean llm_models?'),
        ('{"name": "another", "api": "replay"}', "is not the folder's name"),
    ],
)
def test_a_broken_provider_that_is_not_named_is_told_and_stops_nothing(ready: Bench, config: str, said: str) -> None:
    ready.write("providers/other/config.json", config)
    ended = ready.cli(*GOOD)
    assert (ended.code, ended.err) == (0, "")
    header = ended.out.partition("\n\n")[0]
    assert "broken provider, not used: other: " in header
    assert said in header


def test_a_disabled_provider_is_not_used(ready: Bench) -> None:
    ready.write("config.json", {"providers": {"rep": {"enabled": False}}})
    assert 'the provider "rep" is disabled' in ready.cli(*GOOD).error()


def test_a_missing_key_is_named_before_any_call(ready: Bench) -> None:
    ready.provider("paid", PAID, env_key="PAID_API_KEY")
    said = ready.cli("run", "sums", "-m", "rep:good", "-m", "paid:m").error()
    assert said.startswith("paid needs a key, and PAID_API_KEY is not set")
    assert not (ready.root / ".llm_tester").exists()
    assert ready.process("run", "sums", "-m", "paid:m", PAID_API_KEY="secret-value").code == 0
    assert b"secret-value" not in b"".join(content or b"" for content in ready.snapshot().values())


def test_a_file_that_is_no_ledger_is_told(ready: Bench) -> None:
    ready.write(".llm_tester/ledger.sqlite3", "not a database at all, but some text that is long enough" * 10)
    assert "This file is damaged, or not one of ours: restore it, or move it away." in ready.cli(*GOOD).error()
