from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

from llm_tester import CostTracker, OfflineProvider
from llm_tester.cost_tracker import ProjectCost
from llm_tester.records import Cost, Response, UsageData


def test_calls_are_added_up_by_project() -> None:
    tracker = CostTracker()
    tracker.record(project_id="a", input_tokens=1000, output_tokens=500, total_cost=0.1)
    tracker.record("a", 1, 1, Decimal("0.2"))
    tracker.record("b", 7, 0, None)
    assert tracker.totals() == {
        "a": ProjectCost(2, 1001, 501, Decimal("0.3")),
        "b": ProjectCost(1, 7, 0, Decimal(0), unpriced=1),
    }


def test_the_formula_of_a_provider_s_prices() -> None:
    tracker, provider = CostTracker(), OfflineProvider()
    prompt = "a prompt of about ten tokens, perhaps eleven"
    response = provider.complete(prompt)
    used, made = provider.count_tokens(prompt), provider.count_tokens(response)
    costs = {"input": 0.0025, "output": 0.01}
    tracker.record("a", used, made, (used / 1000) * costs["input"] + (made / 1000) * costs["output"])
    assert tracker.totals()["a"].total_cost == Decimal("0.0000875")


def test_an_answer_brings_its_own_numbers() -> None:
    tracker = CostTracker()
    paid = Response("x", "p", "m", "p", "m", UsageData(10, 5), Cost(known=Decimal("0.5"), complete=True))
    tracker.record_response("a", paid)
    tracker.record_response("a", Response("x", "p", "m", "p", "m", UsageData(), Cost()))
    offline = OfflineProvider()
    tracker.record_response("a", offline.respond(offline.request("one two")))
    assert tracker.totals()["a"] == ProjectCost(3, 12, 8, Decimal("0.5"), unpriced=1)


def test_threads_may_share_it() -> None:
    tracker = CostTracker()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: tracker.record("a", 1, 1, 0.001), range(400)))
    assert tracker.totals()["a"] == ProjectCost(400, 400, 400, Decimal("0.4"))
