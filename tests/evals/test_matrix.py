"""Entrants from the command line: models x prompts x parameter sets."""

from __future__ import annotations

import json

import pytest

from tests.evals.conftest import Bench

ANSWERS = {"m": {"s1": "2"}, "n": {"s1": "3"}}


@pytest.fixture
def two(bench: Bench) -> Bench:
    """A task of one sample with two prompts, and two models."""
    bench.task(samples=1, prompts={"a": "{{ input }}", "b": "Say: {{ input }}"})
    bench.replay("rep", ANSWERS)
    return bench


def test_every_model_meets_every_prompt_and_every_parameter_set(two: Bench) -> None:
    ended = two.cli(
        *("run", "sums", "-m", "rep:m", "-m", "rep:n", "--prompt", "a", "--prompt", "b", "--param", "max_tokens=5"),
        *("--params", '{"temperature": 0}', "--params", '{"temperature": 1}'),
    )
    assert ended.code == 0, ended
    expected = [
        (f"rep:{model} prompt={prompt} max_tokens=5 temperature={heat}", prompt, {"max_tokens": 5, "temperature": heat})
        for model in "mn"
        for prompt in "ab"
        for heat in (0, 1)
    ]
    found = two.sql("SELECT name, variant, parameters FROM entrants ORDER BY position")
    assert [(name, variant, json.loads(parameters)) for name, variant, parameters in found] == expected
    scores = {row["entrant"]: row["score"] for row in two.report()["models"]}
    assert [scores[name] for name, _, _ in expected] == [1.0] * 4 + [0.0] * 4


def test_an_entrant_can_be_written_out_or_stand_in_a_file(two: Bench) -> None:
    file = two.write("high.json", {"name": "high", "model": "rep:n", "prompt": "b"})
    text = '{"name": "low", "model": "rep:m", "prompt": "a", "parameters": {"reasoning_effort": "low"}}'
    ended = two.cli("run", "sums", "--entrant", text, "--entrant", f"@{file}")
    assert ended.code == 0, ended
    found = two.sql("SELECT name, model, variant, parameters FROM entrants ORDER BY position")
    assert found == [("low", "m", "a", '{"reasoning_effort":"low"}'), ("high", "n", "b", "{}")]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("-m", "rep:m", "--param", "x"), '--param: "x" is not KEY=VALUE'),
        (("-m", "rep:m", "--param", "x=1", "--param", "x=2"), '--param: "x" is given twice'),
        (("-m", "rep:m", "--param", "x=1", "--params", '{"x": 2}'), '"x" is given with --param and --params'),
        (("-m", "rep:m", "--param", "x=[1"), "--param:1: not valid JSON"),
        (("-m", "rep:m", "--param", "x=NaN"), "NaN is not a JSON value"),
        (("-m", "rep:m", "--params", "[1]"), "--params: expected a JSON object"),
        (("--prompt", "a"), "--prompt, --param and --params need a model"),
        (("-m", "", "--prompt", "a"), "a model's name is empty"),
        (("-m", "rep:m", "--prompt", "z"), 'the task "sums" has no prompt "z"'),
        (("-m", "rep:m", "--prompt", "a", "--prompt", "a"), 'two entrants are called "rep:m prompt=a"'),
        (("--entrant", '{"model": "rep:m", "promt": "a"}'), "--entrant: promt: "),
        (("--entrant", "@nowhere.json"), "nowhere.json: there is no such file"),
    ],
)
def test_what_is_no_entrant_is_refused_in_one_message(two: Bench, arguments: tuple[str, ...], message: str) -> None:
    ended = two.cli("run", "sums", *arguments)
    assert ended.code == 2
    assert message in ended.err
    assert "Traceback" not in ended.err
