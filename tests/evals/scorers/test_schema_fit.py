"""The json_schema scorer."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from llm_tester.errors import TaskError
from llm_tester.evals.output import SchemaOutput
from llm_tester.evals.samples import Answer, Outcome, Sample, Score, ScoreContext
from llm_tester.evals.scorers import JsonSchemaScorer

OBJECT = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}


def scored(text: str, *, target: Any = None, finish: Any = "stop", schema: Any = OBJECT, **options: Any) -> Score:
    context = ScoreContext(SchemaOutput(schema, Path("schema.json")))
    sample = Sample("s", "", {"n": 1} if target is None else target)
    return asyncio.run(JsonSchemaScorer(**options).score(sample, Answer(text, finish), context))


@pytest.mark.parametrize(
    ("text", "outcome"),
    [
        ('{"n": 7}', Outcome.CORRECT),
        ('Here:\n```json\n{"n": 7, "more": []}\n```', Outcome.CORRECT),
        ('{"n": "7"}', Outcome.WRONG),
        ("{}", Outcome.WRONG),
        ("seven", Outcome.INVALID),
        ('{"n": ', Outcome.INVALID),
        ("", Outcome.EMPTY),
    ],
)
def test_valid_json_is_right_whatever_it_says(text: str, outcome: Outcome) -> None:
    score = scored(text)
    assert (score.outcome, score.value) == (outcome, float(outcome is Outcome.CORRECT))
    assert bool(score.violations) == (outcome is Outcome.WRONG)


def test_json_that_breaks_the_schema_counts_what_is_declared() -> None:
    score = scored('{"n": "7"}', partial=0.25)
    assert (score.value, score.outcome) == (0.25, Outcome.PARTIAL)
    assert score.violations == ("n: '7' is not of type 'integer'",)
    assert scored("seven", partial=0.25).value == 0


def test_a_cut_answer_is_truncated() -> None:
    assert scored('{"n": ', finish=None).outcome is Outcome.TRUNCATED


def test_a_list_is_wanted_where_the_target_is_one() -> None:
    assert scored("[1, 2]", target=[0], schema={"type": "array"}).value == 1


def test_without_json_or_schema_there_is_nothing_to_score() -> None:
    with pytest.raises(TaskError, match="object or array"):
        JsonSchemaScorer().check_target("x")
    with pytest.raises(TaskError, match="needs an output schema"):
        JsonSchemaScorer().check_output(None)
    JsonSchemaScorer().check_target([1])
    assert JsonSchemaScorer().gold_answer({"n": 1}) == '{"n": 1}'
