"""One answer against one gold, by the fields scorer."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from llm_tester.evals.samples import Answer, Sample, Score, ScoreContext
from llm_tester.evals.scorers import FieldsScorer
from llm_tester.records import FinishReason


def scored_text(
    gold: Any,
    text: str,
    rules: Mapping[str, Any] | None = None,
    *,
    context: ScoreContext | None = None,
    finish: FinishReason | None = "stop",
    weights: Mapping[str, float] | None = None,
) -> Score:
    scorer = FieldsScorer.model_validate({"fields": rules or {}, "weights": weights or {}})
    return asyncio.run(scorer.score(Sample("s", "", gold), Answer(text, finish), context or ScoreContext()))


def scored(
    gold: Any, answer: Any, rules: Mapping[str, Any] | None = None, weights: Mapping[str, float] | None = None
) -> Score:
    return scored_text(gold, FieldsScorer().gold_answer(answer), rules, weights=weights)
