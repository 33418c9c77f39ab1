"""A run in words."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from llm_tester.evals.results import Result
from llm_tester.evals.run_records import RunRecord, TaskRecord
from llm_tester.evals.samples import Outcome
from llm_tester.evals.summary import Standing, ranked, verdict
from llm_tester.reporting.phrases import cost_text, latency_text, notes, outcomes_text, tokens_text, verdict_text
from llm_tester.reporting.report import Report, TaskReport

RECORD = TaskRecord(1, "t", Path(), "", "", 1, 1, {})
RUN = RunRecord(1, "r", None, "p", "complete", 0, 1, {}, 0.0, None, None, None)


def standing(entrant: str, scores: list[float], cost: str | None = "0.001", **changes: Any) -> Standing:
    found = Standing(entrant, f"p:{entrant}", "t", simulated=False)
    for position, score in enumerate(scores):
        values: dict[str, Any] = {
            "outcome": Outcome.CORRECT if score else Outcome.WRONG,
            "score": score,
            "usage": {"input": 1000, "output": 5},
            "cost_usd": None if cost is None else Decimal(cost),
            "unknown_calls": 0,
            "violations": (),
            "latency_ms": 5.0,
            **changes,
        }
        found.add(
            Result(
                position, "s", entrant, f"p:{entrant}", "t", 1, values["outcome"], values["score"], None,
                values["violations"], "", "x", "x", values["usage"], (), values["cost_usd"], True,
                values["unknown_calls"], False, values["latency_ms"], 1, "",
            )
        )  # fmt: skip
    return found


def task(*standings: Standing) -> TaskReport:
    return TaskReport(RECORD, ranked(standings), verdict(standings))


def report(*standings: Standing) -> Report:
    return Report(RUN, [task(*standings)], [], [], {})


@pytest.mark.parametrize(
    ("standings", "text"),
    [
        ([standing("a", [])], "Nothing was scored."),
        ([standing("a", [1.0])], "a scores 1.000 ($0.001); there is nothing to compare it with."),
        ([standing("a", [0.0], None)], "a scores 0.000 (cost unknown); there is nothing to compare it with."),
        (
            [standing("a", [1.0] * 40), standing("b", [0.0] * 40), standing("c", [0.0] * 40)],
            "a scores best (1.000, $0.04); surely better than b or c (95 %, 40 shared samples).",
        ),
        (
            [standing("a", [1.0] * 9), standing("b", [1.0] * 8 + [0.0], "0.0002"), standing("c", [0.0] * 9)],
            (
                "a scores best (1.000, $0.009); not surely better than b on 9 shared samples, "
                "of which b is cheapest ($0.0018)."
            ),
        ),
        (
            [standing("a", [1.0, 1.0]), standing("b", [1.0, 0.0], "0.5")],
            "a scores best (1.000, $0.002); not surely better than b on 2 shared samples.",
        ),
        (
            [standing("a", [1.0, 1.0]), standing("b", [1.0, 0.0], None)],
            "a scores best (1.000, $0.002); not surely better than b on 2 shared samples.",
        ),
        (
            [standing("a", [1.0, 1.0], None), standing("b", [1.0, 0.0])],
            "a scores best (1.000, cost unknown); not surely better than b on 2 shared samples.",
        ),
    ],
)
def test_a_verdict_in_a_sentence(standings: list[Standing], text: str) -> None:
    assert verdict_text(task(*standings)) == text


def test_outcomes_tokens_costs_and_latencies() -> None:
    found = standing("a", [1.0, 0.0], violations=("x",), unknown_calls=1)
    assert outcomes_text(found) == "1 correct, 1 wrong, 2 off schema"
    assert tokens_text(found) == "2,000 / 10"
    assert cost_text(found) == "≥ $0.002"
    assert latency_text(found) == "5 ms"
    assert latency_text(standing("a", [1.0] * 60, latency_ms=1500.0)) == "1.5 s / 1.5 s"
    empty = standing("a", [])
    assert (tokens_text(empty), cost_text(empty), latency_text(empty)) == ("–", "–", "–")


def test_notes_say_what_is_missing() -> None:
    assert notes(report(standing("a", [1.0]))) == []
    error = {"outcome": Outcome.ERROR, "score": None}
    assert notes(report(standing("a", [1.0, 0.0], **error))) == [
        "2 calls brought no answer and are left out of the scores; entrants are ranked on the samples they share."
    ]
    assert notes(report(standing("a", [1.0], outcome=Outcome.NOT_RUN, score=None))) == ["1 sample not answered yet."]
    assert notes(report(standing("a", [1.0, 1.0], outcome=Outcome.UNKNOWN, score=None, unknown_calls=1))) == [
        "2 samples not answered yet.",
        "The cost of 2 calls is unknown; sums hold what is known.",
    ]
