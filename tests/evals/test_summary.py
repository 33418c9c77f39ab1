"""Standings, ranking and verdicts, worked out from rows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal
from itertools import count
from typing import Any

import pytest

from llm_tester.evals.results import Result
from llm_tester.evals.samples import Outcome
from llm_tester.evals.summary import Standing, by_task, ranked, standings, verdict

BASE: dict[str, Any] = {
    "position": 0,
    "sample_id": "s",
    "entrant": "a",
    "model": "p:a",
    "task": "t",
    "epoch": 1,
    "outcome": Outcome.CORRECT,
    "score": 1.0,
    "fields": None,
    "violations": (),
    "note": "",
    "answer": "x",
    "expected": "x",
    "usage": {},
    "inconsistent": (),
    "cost_usd": Decimal("0.001"),
    "cost_known": True,
    "unknown_calls": 0,
    "simulated": False,
    "latency_ms": None,
    "attempts": 1,
    "error": "",
}
ERROR = {"outcome": Outcome.ERROR, "score": None, "cost_usd": None, "answer": None}


PLACES = count()


def row(**changes: Any) -> Result:
    """A row of a sample of its own."""
    return Result(**{**BASE, "position": next(PLACES), **changes})


def standing(entrant: str, scores: Iterable[float | None], **changes: Any) -> Standing:
    """An entrant with these scores, an error where there is none."""
    found = Standing(entrant, f"p:{entrant}", "t", simulated=False)
    for score in scores:
        found.add(row(entrant=entrant, **(ERROR if score is None else {"score": score}), **changes))
    return found


def names(found: Sequence[Standing]) -> list[str]:
    return [one.entrant for one in found]


def test_outcomes_without_an_answer_are_counted_and_stay_out_of_the_mean() -> None:
    found = Standing("a", "p:a", "t", simulated=False)
    for outcome, score in (
        (Outcome.CORRECT, 1.0),
        (Outcome.PARTIAL, 0.5),
        (Outcome.WRONG, 0.0),
        (Outcome.REFUSED, 0.0),
        (Outcome.ERROR, None),
        (Outcome.UNKNOWN, None),
        (Outcome.NOT_RUN, None),
    ):
        found.add(row(outcome=outcome, score=score))
    assert (found.planned, found.scored, found.score) == (7, 4, 0.375)
    assert found.coverage == pytest.approx(4 / 7)
    assert list(found.to_json()["outcomes"].values()) == [1] * 7
    assert list(found.values)[:4] == [1.0, 0.5, 0.0, 0.0]
    assert all(value != value for value in list(found.values)[4:])


def test_usage_violations_and_retries_are_summed() -> None:
    found = Standing("a", "p:a", "t", simulated=False)
    found.add(row(usage={"input": 5, "output": 2}, violations=("x", "y"), attempts=3))
    found.add(row(usage={"input": 5, "reasoning": 1}, attempts=0))
    assert found.usage == {"input": 10, "output": 2, "reasoning": 1}
    assert (found.violations, found.retries) == (1, 2)


@pytest.mark.parametrize(("samples", "known"), [(59, False), (60, True)])
def test_there_is_no_p95_below_60_samples(samples: int, known: bool) -> None:
    found = Standing("a", "p:a", "t", simulated=False)
    for number in range(samples):
        found.add(row(latency_ms=float(number)))
    assert found.p50 == (samples - 1) / 2
    assert (found.p95 is not None) is known
    # 59 places between 60 values: 0.95 x 59 = 56.05.
    assert found.p95 is None or found.p95 == pytest.approx(56.05)


def test_there_is_no_latency_where_none_was_measured() -> None:
    assert standing("a", [1.0]).to_json()["latency_ms"] is None
    assert standing("a", [1.0], latency_ms=5.0).to_json()["latency_ms"] == {"p50": 5.0, "p95": None}


def test_the_known_cost_is_summed_exactly_and_unknown_calls_are_counted() -> None:
    found = Standing("a", "p:a", "t", simulated=False)
    for _ in range(10):
        found.add(row(cost_usd=Decimal("0.1")))
    found.add(row(cost_usd=None, cost_known=False, unknown_calls=1))
    found.add(row(cost_usd=Decimal("0.000000000001"), cost_known=False, unknown_calls=2))
    json = found.to_json()
    assert (json["cost_usd"], json["cost_unknown_calls"], json["spent_usd"]) == (
        "1.000000000001",
        3,
        "1.000000000001",
    )


def test_a_cost_of_which_nothing_is_known_is_none_and_not_zero() -> None:
    found = standing("a", [None, None])
    assert (found.cost_usd, found.to_json()["cost_usd"], found.score, found.interval) == (None, None, None, None)
    assert Standing("a", "p:a", "t", simulated=False).coverage == 0.0


def test_simulated_answers_have_a_cost_and_spend_nothing() -> None:
    found = Standing("a", "p:a", "t", simulated=True)
    found.add(row())
    assert (found.cost_usd, found.spent_usd) == (Decimal("0.001"), Decimal(0))


def test_rows_are_grouped_by_task_and_entrant_in_order_of_appearance() -> None:
    rows = [row(task=task, entrant=entrant) for task in ("u", "t") for entrant in ("b", "a")]
    grouped = by_task(standings([*rows, *rows]))
    assert {task: [(one.entrant, one.planned) for one in found] for task, found in grouped.items()} == {
        "u": [("b", 2), ("a", 2)],
        "t": [("b", 2), ("a", 2)],
    }


def test_entrants_are_ranked_on_the_samples_that_all_have() -> None:
    """Alone `lucky` has 1.0 and `steady` 0.75; on the two samples that both have it is 1.0 against 1.0, and so on."""
    steady = standing("steady", [0.0, 1.0, 1.0, 1.0])
    lucky = standing("lucky", [None, None, 1.0, 0.5])
    assert lucky.score == steady.score == 0.75
    assert names(ranked([lucky, steady])) == ["steady", "lucky"]


def test_an_entrant_that_never_ran_takes_no_samples_from_the_others() -> None:
    dead = standing("dead", [None, None, None])
    good, bad = standing("good", [1.0, 1.0, None]), standing("bad", [0.0, 1.0, 1.0])
    assert names(ranked([dead, bad, good])) == ["good", "bad", "dead"]
    found = verdict([dead, bad, good])
    assert found is not None
    assert (found.best, found.shared, found.sure_over, found.unsure_over) == ("good", 2, (), ("bad",))


def test_the_cheaper_wins_a_tie_and_an_unknown_cost_loses_it() -> None:
    dear = standing("dear", [1.0], cost_usd=Decimal(2))
    cheap = standing("cheap", [1.0], cost_usd=Decimal(1))
    unknown = standing("unknown", [1.0], cost_usd=None)
    assert names(ranked([unknown, dear, cheap])) == ["cheap", "dear", "unknown"]


def test_entrants_that_share_no_sample_are_ranked_by_what_each_has_and_nothing_is_sure() -> None:
    odd, even = standing("odd", [1.0, None] * 20), standing("even", [None, 0.0] * 20)
    assert names(ranked([even, odd])) == ["odd", "even"]
    found = verdict([even, odd])
    assert found is not None
    assert (found.best, found.shared, found.unsure_over) == ("odd", 0, ("even",))


def test_a_verdict_says_over_whom_it_is_sure() -> None:
    best = standing("best", [1.0] * 40)
    near = standing("near", [1.0] * 39 + [0.0])
    far = standing("far", [0.0] * 40)
    found = verdict([far, near, best])
    assert found is not None
    assert (found.task, found.best, found.shared) == ("t", "best", 40)
    assert (found.sure_over, found.unsure_over) == (("far",), ("near",))


def test_a_few_samples_are_not_enough_to_be_sure() -> None:
    found = verdict([standing("a", [1.0] * 3), standing("b", [0.0] * 3)])
    assert found is not None
    assert found.unsure_over == ("b",)


def test_nothing_scored_is_no_verdict() -> None:
    assert verdict([standing("a", [None]), standing("b", [None])]) is None
    assert verdict([]) is None
