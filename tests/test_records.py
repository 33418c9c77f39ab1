from __future__ import annotations

import dataclasses
import pickle
import re
from decimal import Decimal
from typing import Any

import pytest

from llm_tester.records import (
    TOKEN_CLASSES,
    Attempt,
    Cost,
    CostLine,
    Message,
    Request,
    Response,
    UsageData,
    chat,
    digest,
    make_call_id,
    short_id,
)

CALL: dict[str, Any] = {
    "run": "r",
    "task": "t",
    "entrant": "e",
    "sample": "s",
    "epoch": 1,
    "purpose": "sample",
    "attempt_group": 1,
}


def response() -> Response:
    usage = UsageData(10, 5, reasoning=2, reported_cost=Decimal("0.1"), raw={"prompt": 10})
    cost = Cost((CostLine("input", 10, Decimal(1), Decimal("0.00001")),), Decimal("0.00001"), complete=True)
    attempt = Attempt(1, "p", "m", ok=True, latency_ms=3.5, started_at=1.0)
    return Response("hi", "p", "m", "p", "m-2026", usage, cost, "stop", (attempt,), call_id="abc")


def test_the_face_of_usage() -> None:
    usage = UsageData(prompt_tokens=10, completion_tokens=5, cached_input=0)
    assert (usage.input, usage.output, usage.total_tokens) == (10, 5, 15)
    assert usage.counts() == {"input": 10, "cached_input": 0, "output": 5}


@pytest.mark.parametrize("usage", [UsageData(), UsageData(prompt_tokens=3), UsageData(completion_tokens=3)])
def test_a_count_that_is_not_reported_is_not_0(usage: UsageData) -> None:
    assert usage.total_tokens is None
    assert len(usage.counts()) <= 1


def test_counts_are_in_the_order_of_the_token_classes() -> None:
    usage = UsageData(1, 1, 1, 1, 1, 1, 1, 1)
    assert tuple(usage.counts()) == TOKEN_CLASSES


def test_the_prompt_of_a_plain_question() -> None:
    request = Request("p", "m", chat("Why?", "Be brief."))
    assert (request.prompt, request.system_prompt) == ("Why?", "Be brief.")
    assert chat("Why?") == (Message("user", "Why?"),)


def test_the_prompt_of_a_conversation_names_the_roles() -> None:
    turns = (Message("system", "a"), Message("user", "x"), Message("assistant", "y"), Message("system", "b"))
    request = Request("p", "m", turns)
    assert request.prompt == "user: x\n\nassistant: y"
    assert request.system_prompt == "a\n\nb"


def test_no_turns_make_an_empty_prompt() -> None:
    assert Request("p", "m", ()).prompt == ""


def test_records_survive_pickling() -> None:
    request = Request("p", "m", chat("Why?"), {"temperature": 0}, {"type": "object"}, ("a.png",), {"task": "t"})
    for record in (request, response()):
        assert pickle.loads(pickle.dumps(record)) == record  # noqa: S301 - our own bytes


def test_records_are_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        response().text = "other"  # type: ignore[misc]


def test_a_cost_is_a_figure_only_when_complete() -> None:
    assert Cost(known=Decimal(1), complete=True).usd == Decimal(1)
    assert Cost(known=Decimal(1)).usd is None


def test_the_same_answer_at_other_prices() -> None:
    dearer = response().with_cost(Cost(known=Decimal(2), complete=True))
    assert dearer.cost.usd == 2
    assert dataclasses.replace(dearer, cost=response().cost) == response()


def test_a_digest_names_content() -> None:
    assert digest({"a": 1, "b": [2, "é"]}) == digest({"b": [2, "é"], "a": 1})
    assert digest({"a": 1}) != digest({"a": "1"})
    assert re.fullmatch("[0-9a-f]{64}", digest("lone surrogate \ud800"))


def test_a_call_id_is_a_function_of_all_its_parts() -> None:
    base = make_call_id(**CALL)
    assert base == make_call_id(**CALL)
    assert re.fullmatch("[a-z2-7]{26}", base)
    for name, value in CALL.items():
        other = make_call_id(**{**CALL, name: value + 1 if isinstance(value, int) else value + "x"})
        assert other != base, name


def test_short_ids_keep_their_parts_apart() -> None:
    assert short_id(["ab", "c"]) != short_id(["a", "bc"])
