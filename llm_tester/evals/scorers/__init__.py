"""The scorers of answers, by the `type` that task.json gives them."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from llm_tester.evals.scorers.choice import ChoiceScorer
from llm_tester.evals.scorers.exact import ExactScorer
from llm_tester.evals.scorers.fields import FieldsScorer
from llm_tester.evals.scorers.includes import IncludesScorer
from llm_tester.evals.scorers.numeric import NumericScorer
from llm_tester.evals.scorers.similarity import SimilarityScorer

AnyScorer = Annotated[
    ChoiceScorer | ExactScorer | IncludesScorer | NumericScorer | SimilarityScorer | FieldsScorer,
    Field(discriminator="type"),
]
"""A scorer as task.json describes it."""

__all__ = [
    "AnyScorer",
    "ChoiceScorer",
    "ExactScorer",
    "FieldsScorer",
    "IncludesScorer",
    "NumericScorer",
    "SimilarityScorer",
]
