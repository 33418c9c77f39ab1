from __future__ import annotations

from collections.abc import Callable

from llm_tester import ModelConfig, Response, UsageData, create_provider
from llm_tester.config import Workspace


def test_nothing_is_answered_and_nothing_is_paid(ask: Callable[..., Response]) -> None:
    null = create_provider("null", Workspace(None))
    response = ask(null, null.request("hi", parameters={"temperature": 1}))
    assert (response.text, response.finish_reason, response.simulated) == ("", "stop", True)
    assert response.usage == UsageData(0, 0, finish_reason="stop")
    assert response.cost.usd == 0
    assert response.not_applied == ()
    assert response.latency_ms is None


def test_the_fixed_signature() -> None:
    null = create_provider("null", Workspace(None))
    expected = ("", {"input": 0, "output": 0, "finish_reason": "stop"})
    assert null._call_llm_api("hi", "", "any", ModelConfig(name="any")) == expected
