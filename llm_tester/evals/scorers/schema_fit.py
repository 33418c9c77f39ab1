"""The scorer for answers that need only have the right shape."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from llm_tester.errors import TaskError
from llm_tester.evals.json_answers import read_json_answer
from llm_tester.evals.samples import Answer, Outcome, OutputCheck, Sample, Score, ScoreContext, undelivered
from llm_tester.evals.scorers.fields import json_text


class JsonSchemaScorer(BaseModel):
    """Right when the JSON in the answer satisfies the task's output schema, whatever stands in it."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)
    deterministic: ClassVar[bool] = True

    type: Literal["json_schema"] = "json_schema"
    """The scorer's name in task.json."""
    partial: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """What JSON counts that can be read and breaks the schema."""

    async def score(self, sample: Sample, answer: Answer, context: ScoreContext) -> Score:
        """Value 1 for valid JSON, `partial` for JSON that breaks the schema; invalid where there is none to read."""
        if (missing := undelivered(answer)) is not None:
            return missing
        output = _declared(context.output)
        reading = read_json_answer(
            answer.text,
            finish_reason=answer.finish_reason,
            container="array" if isinstance(sample.target, list) else "object",
            accepts=lambda value: not output.problems(value),
        )
        if reading.state != "found":
            outcome = Outcome.TRUNCATED if reading.state == "truncated" else Outcome.INVALID
            return Score(0.0, outcome, note=reading.note)
        violations = tuple(output.problems(reading.value))
        if not violations:
            return Score(1.0, Outcome.CORRECT)
        return Score(self.partial, Outcome.PARTIAL if self.partial else Outcome.WRONG, violations=violations)

    def check_target(self, target: Any) -> None:
        """Raise TaskError unless the target is a JSON object or array, an example of what is wanted."""
        if not isinstance(target, dict | list):
            raise TaskError(
                f"The json_schema scorer needs a JSON object or array as its target, not {type(target).__name__}.",
                hint="Give an example of what is wanted: its values do not count, only whether it is a list.",
            )
        json_text(target)

    def gold_answer(self, target: Any) -> str:
        """The target as JSON."""
        return json_text(target)

    def check_output(self, output: OutputCheck | None) -> None:
        """Raise TaskError for a task without an output schema."""
        _declared(output)


def _declared(output: OutputCheck | None) -> OutputCheck:
    if output is None:
        raise TaskError(
            "the json_schema scorer needs an output schema", hint='Add "output": {"schema": "schema.json"}.'
        )
    return output
