"""The fields scorer on real receipts."""

from __future__ import annotations

import asyncio
import json
import os
import random
from fractions import Fraction
from pathlib import Path

import pytest

from llm_tester.evals.samples import Answer, Sample, ScoreContext
from llm_tester.evals.scorers import FieldsScorer

DATA = os.environ.get("LLM_TESTER_TEST_DATA", "")


@pytest.mark.skipif(not DATA, reason="LLM_TESTER_TEST_DATA does not name the folder of receipts")
class TestReceipts:
    @pytest.fixture
    def golds(self) -> list[dict[str, str]]:
        lines = (Path(DATA) / "receipts/samples.jsonl").read_text(encoding="utf-8").splitlines()
        return [json.loads(line)["expected"] for line in lines]

    def mean(self, golds: list[dict[str, str]], answers: list[str]) -> float:
        scorer, context = FieldsScorer(), ScoreContext()

        async def values() -> list[float]:
            pairs = zip(golds, answers, strict=True)
            return [(await scorer.score(Sample("s", "", gold), Answer(text), context)).value for gold, text in pairs]

        found = asyncio.run(values())
        return sum(found) / len(found)

    def test_golds_are_right_against_themselves(self, golds: list[dict[str, str]]) -> None:
        assert len(golds) == 313
        assert self.mean(golds, [FieldsScorer().gold_answer(gold) for gold in golds]) == 1

    def test_golds_of_other_samples_are_wrong(self, golds: list[dict[str, str]]) -> None:
        answers = [FieldsScorer().gold_answer(gold) for gold in golds]
        means = [self.mean(golds, random.Random(seed).sample(answers, len(answers))) for seed in range(60)]
        assert max(means) <= 0.05

    def test_golds_without_their_total(self, golds: list[dict[str, str]]) -> None:
        answers = [{name: value for name, value in gold.items() if name != "total"} for gold in golds]
        expected = (312 * Fraction(3, 4) + Fraction(2, 3)) / 313
        assert abs(Fraction(self.mean(golds, [json.dumps(answer) for answer in answers])) - expected) < 1e-12
