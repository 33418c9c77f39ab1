"""The scorer for structured output: partial credit, leaf by leaf."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from llm_tester.errors import TaskError
from llm_tester.evals.json_answers import Reading, read_json_answer
from llm_tester.evals.samples import Answer, Outcome, Sample, Score, ScoreContext, undelivered
from llm_tester.evals.scorers.leaves import LeafReader, Leaves, UnfitValueError, Verdict, mean_share, verdicts
from llm_tester.evals.scorers.rules import FieldRule

Weight = Annotated[float, Field(ge=0, le=1000)]


class FieldsScorer(BaseModel):
    """The mean over the leaves of gold and answer together, each by its weight: a right leaf counts 1, a list its F1,
    all others 0."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)
    deterministic: ClassVar[bool] = True

    type: Literal["fields"] = "fields"
    """The scorer's name in task.json."""
    fields: Mapping[str, FieldRule] = Field(default_factory=dict)
    """Rules by path: `total`, `vendor.city`, `items` for a list, `items[].price` in its items, `[].price` in a list at
    the top. A field without a rule is compared by the gold's JSON type."""

    # Left out of dumps, and so of the hashes of tasks, where none is declared.
    weights: Mapping[str, Weight] = Field(default_factory=dict, exclude_if=lambda weights: not weights)
    """How much a field counts beside others, by path; 1 where nothing is said. For an object: each leaf in it. A field
    of weight 0 is reported and does not count."""

    async def score(self, sample: Sample, answer: Answer, context: ScoreContext) -> Score:
        """The share of leaves that are right; invalid when no JSON of the gold's kind can be read."""
        if (missing := undelivered(answer)) is not None:
            return missing
        gold = self._gold(sample.target)
        reading = _read(sample.target, answer, context)
        if reading.state != "found":
            outcome = Outcome.TRUNCATED if reading.state == "truncated" else Outcome.INVALID
            return Score(0.0, outcome, note=reading.note)
        kind = type(sample.target)
        if not isinstance(reading.value, kind):
            return Score(0.0, Outcome.INVALID, note=f"The answer is no {_KINDS[kind]}.")
        try:
            given = self._reader.leaves(reading.value)
        except UnfitValueError as error:
            return Score(0.0, Outcome.INVALID, note=f"The answer {error}.")
        violations = tuple(context.output.problems(reading.value)) if context.output else ()
        return _score(verdicts(gold, given), violations)

    def check_target(self, target: Any) -> None:
        """Raise TaskError unless the target is a JSON object or array with at least one value in it."""
        self._gold(target)
        json_text(target)

    def gold_answer(self, target: Any) -> str:
        """The target as JSON, with its numbers as exact as they are."""
        return json_text(target)

    def paths(self, target: Any) -> list[str]:
        """The paths of a gold's leaves, as scores name them."""
        return [".".join(path) for path in self._gold(target)]

    def _gold(self, target: Any) -> Leaves:
        if not isinstance(target, dict | list):
            raise TaskError(
                f"The fields scorer needs a JSON object or array as its target, not {type(target).__name__}.",
                hint="Use the exact or the numeric scorer for single values.",
            )
        try:
            gold = self._reader.leaves(target)
        except UnfitValueError as error:
            raise TaskError(f"The fields scorer cannot use a target that {error}.") from error
        if not gold:
            raise TaskError("The fields scorer needs a target with at least one value that is not empty.")
        if not any(leaf.weight for leaf in gold.values()):
            raise TaskError("The fields scorer needs a target with at least one value whose weight is not 0.")
        return gold

    @property
    def _reader(self) -> LeafReader:
        return LeafReader(self.fields, self.weights)


_KINDS: dict[type, Literal["object", "array"]] = {dict: "object", list: "array"}


def json_text(value: Any) -> str:
    """The JSON text of a value; decimals are written digit by digit. Raises TaskError for what JSON cannot say."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_quoted(str(name))}: {json_text(inner)}" for name, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(json_text(inner) for inner in value) + "]"
    if isinstance(value, Decimal) and value.is_finite():
        return str(value)
    if isinstance(value, float) and math.isfinite(value):
        return repr(value)
    if value is None or isinstance(value, str | int):
        return _quoted(value)
    raise TaskError(f"The target holds {value!r:.80}, which JSON cannot say.")


def _quoted(value: str | int | None) -> str:
    return json.dumps(value, ensure_ascii=False)


def _read(target: Any, answer: Answer, context: ScoreContext) -> Reading:
    output = context.output
    return read_json_answer(
        answer.text,
        finish_reason=answer.finish_reason,
        container="object" if isinstance(target, dict) else "array",
        accepts=(lambda value: not output.problems(value)) if output else None,
    )


def _score(found: list[Verdict], violations: tuple[str, ...]) -> Score:
    value = mean_share(found)
    outcome = Outcome.WRONG if value == 0 else Outcome.PARTIAL
    if value == 1 and not violations:
        outcome = Outcome.CORRECT
    return Score(value, outcome, {verdict.path: verdict.verdict for verdict in found}, violations)
