"""The scorers of answers, by the `type` that task.json gives them."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, Discriminator, Tag
from pydantic_core import PydanticCustomError

from llm_tester.errors import suggestion
from llm_tester.evals.scorers.choice import ChoiceScorer
from llm_tester.evals.scorers.exact import ExactScorer
from llm_tester.evals.scorers.fields import FieldsScorer
from llm_tester.evals.scorers.function import PREFIX, PythonScorer
from llm_tester.evals.scorers.includes import IncludesScorer
from llm_tester.evals.scorers.numeric import NumericScorer
from llm_tester.evals.scorers.pattern import RegexScorer
from llm_tester.evals.scorers.schema_fit import JsonSchemaScorer
from llm_tester.evals.scorers.similarity import SimilarityScorer

SCORERS = ("exact", "includes", "regex", "numeric", "choice", "fields", "json_schema", "similarity")
"""Their names, but for `python:module:function`."""

_LISTED = f"{', '.join(SCORERS)}, python:module:function"


def _kind(scorer: Any) -> str | None:
    """The tag by which pydantic picks the class; a function's own name is part of its type."""
    kind = scorer.get("type") if isinstance(scorer, dict) else getattr(scorer, "type", None)
    if isinstance(kind, str) and kind.startswith(PREFIX):
        return PythonScorer.__name__
    return kind if isinstance(kind, str) else None


def _require_type(scorer: Any) -> Any:
    kind = _kind(scorer)
    if kind is None or kind in (*SCORERS, PythonScorer.__name__):
        return scorer
    near = suggestion(kind, SCORERS)
    told = f" {near}" if near.startswith("Did") else ""
    raise PydanticCustomError(
        "scorer_type", "{told}", {"told": f'there is no scorer "{kind}".{told} "type" must be one of {_LISTED}'}
    )


AnyScorer = Annotated[
    Annotated[ChoiceScorer, Tag("choice")]
    | Annotated[ExactScorer, Tag("exact")]
    | Annotated[IncludesScorer, Tag("includes")]
    | Annotated[RegexScorer, Tag("regex")]
    | Annotated[NumericScorer, Tag("numeric")]
    | Annotated[SimilarityScorer, Tag("similarity")]
    | Annotated[JsonSchemaScorer, Tag("json_schema")]
    | Annotated[FieldsScorer, Tag("fields")]
    | Annotated[PythonScorer, Tag(PythonScorer.__name__)],
    Discriminator(
        _kind,
        custom_error_type="scorer_type",
        custom_error_message=f'"type" must be one of {_LISTED}',
    ),
    BeforeValidator(_require_type),
]
"""A scorer as task.json describes it."""

__all__ = [
    "SCORERS",
    "AnyScorer",
    "ChoiceScorer",
    "ExactScorer",
    "FieldsScorer",
    "IncludesScorer",
    "JsonSchemaScorer",
    "NumericScorer",
    "PythonScorer",
    "RegexScorer",
    "SimilarityScorer",
]
