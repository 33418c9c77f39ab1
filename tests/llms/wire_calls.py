"""Calls to HTTP providers, in a thread or on an event loop, whose waits take no time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from llm_tester.catalogue import ProviderConfig
from llm_tester.cost_manager import cost_of, rates_of
from llm_tester.llms.apis.anthropic import AnthropicMessages
from llm_tester.llms.apis.openai_compatible import OpenAICompatible
from llm_tester.llms.exchange import CallPolicy, exchange
from llm_tester.llms.flow import Session, adrive, drive
from llm_tester.llms.retry import RetryPolicy
from llm_tester.llms.wire import HTTPProvider
from llm_tester.records import Request, Response, chat

KEY = "sk-canary-0815"
Ask = Callable[..., Response]
CLASSES: dict[str, type[HTTPProvider]] = {"openai": OpenAICompatible, "anthropic": AnthropicMessages}


def provider(api: str, url: str, **more: Any) -> HTTPProvider:
    auth = {"kind": "header", "name": "x-api-key"} if api == "anthropic" else {"kind": "bearer"}
    base = url if api == "anthropic" else f"{url}/v1"
    models = more.pop("llm_models", [{"name": "m", "cost_input": 1, "cost_output": 2, "cost_cached_input": 0.1}])
    data = {"name": "p", "api": api, "base_url": base, "env_key": "P_API_KEY", "auth": auth, "llm_models": models}
    made = CLASSES[api](ProviderConfig.model_validate(data | more))
    made.environment = {"P_API_KEY": KEY}
    return made


USAGE = {"input": 100, "cached_input": 40, "output": 30, "reasoning": 20}


@pytest.fixture(params=["sync", "async"])
def ask_wire(request: pytest.FixtureRequest) -> Ask:
    """A call through the flow, in a thread or on an event loop, whose waits take no time; `waits` collects them."""

    def call(asked: HTTPProvider, *, retries: int = 0, waits: list[float] | None = None, **details: Any) -> Response:
        timeout = details.pop("timeout", 5.0)
        transport = details.pop("transport", None) or asked.make_transport(4)
        messages = details.pop("messages", chat("hi", details.pop("system", "")))
        question = Request(asked.name, details.pop("model", "m"), messages, timeout=timeout, **details)
        rates = rates_of(asked.model_entry(question.model))
        policy = CallPolicy(RetryPolicy(max_retries=retries, jitter=False), lambda usage: cost_of(usage, rates))
        seen: list[float] = waits if waits is not None else []

        async def asleep(seconds: float) -> None:
            seen.append(seconds)

        session = Session(transport, sleep=seen.append, asleep=asleep)
        flow = exchange(asked, question, policy)
        return drive(flow, session) if request.param == "sync" else asyncio.run(adrive(flow, session))

    return call
