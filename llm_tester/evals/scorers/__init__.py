"""The scorers of answers, by the `type` that task.json gives them."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from llm_tester.evals.scorers.exact import ExactScorer
from llm_tester.evals.scorers.fields import FieldsScorer
from llm_tester.evals.scorers.numeric import NumericScorer

AnyScorer = Annotated[ExactScorer | NumericScorer | FieldsScorer, Field(discriminator="type")]
"""A scorer as task.json describes it."""

__all__ = ["AnyScorer", "ExactScorer", "FieldsScorer", "NumericScorer"]
