from __future__ import annotations

import re
from collections.abc import Callable

from llm_tester import ModelConfig, Response, create_provider
from llm_tester.config import Workspace


def test_the_answer_is_a_function_of_the_prompt(ask: Callable[..., Response]) -> None:
    stub = create_provider("stub", Workspace(None))
    response = ask(stub, stub.request("What is it?"))
    assert re.fullmatch("stub answer [0-9a-f]{12}", response.text)
    assert ask(create_provider("stub", Workspace(None)), stub.request("What is it?")).text == response.text
    assert ask(stub, stub.request("What is that?")).text != response.text
    assert (response.simulated, response.model, response.finish_reason) == (True, "stub", "stop")
    assert response.cost.usd == 0
    assert response.not_applied == ()


def test_the_system_prompt_and_half_characters_count_too() -> None:
    stub = create_provider("stub", Workspace(None))
    config = ModelConfig(name="any")
    first, usage = stub._call_llm_api("a b c", "", "any", config)
    assert usage == {"input": 3, "output": 3, "finish_reason": "stop"}
    assert stub._call_llm_api("a b c", "d", "any", config)[0] != first
    assert stub._call_llm_api("\ud800", "", "any", config)[0] != first


def test_any_model_is_served() -> None:
    stub = create_provider("stub", Workspace(None))
    assert stub.is_model_available("gpt-5")
    assert stub.respond(stub.request("hi", "gpt-5")).cost.usd is None
