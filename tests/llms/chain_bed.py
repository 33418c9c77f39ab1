"""Two models on servers of their own, for tests of who serves in whose place."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from llm_tester import BaseLLM, ProviderManager, ProviderRegistry, Request
from llm_tester.config import Workspace
from llm_tester.llms.retry import RetryPolicy
from llm_tester.records import Response, chat
from llm_tester.testing import LoopbackServer, Play

NO_RETRY = RetryPolicy(0)
BUSY = Play(status=503)


class Bed:
    """Two providers, `first` and `second`, each with a server of its own."""

    def __init__(self, root: Path, first: LoopbackServer, second: LoopbackServer) -> None:
        self.root, self.first, self.second = root, first, second

    def registry(self, **settings: Any) -> ProviderRegistry:
        """The workspace's providers, without retries where `settings` say nothing else."""
        prices = {"first": (1, 2), "second": (10, 20)}
        for name, server in (("first", self.first), ("second", self.second)):
            cost_in, cost_out = prices[name]
            models = [
                {"name": f"{name}-m", "default": True, "cost_input": cost_in, "cost_output": cost_out},
                {"name": "shared", "max_input_tokens": 100 * cost_in, "cost_input": cost_in, "cost_output": cost_out},
            ]
            folder = self.root / "providers" / name
            folder.mkdir(exist_ok=True)
            config = {"name": name, "api": "openai", "base_url": f"{server.url}/v1", "env_key": f"{name.upper()}_KEY"}
            (folder / "config.json").write_text(json.dumps({**config, "llm_models": models}))
        chains = {"safe": ["first:first-m", "second:second-m"], "one": ["second:second-m"]}
        base = {"retry": {"max_retries": 0}, "fallback": {"order": ["first", "second"], "chains": chains}}
        (self.root / "config.json").write_text(json.dumps({**base, **settings}))
        environment = {"FIRST_KEY": "sk-first", "SECOND_KEY": "sk-second"}
        return ProviderRegistry(Workspace.open(self.root, environment))

    @property
    def asked(self) -> tuple[int, int]:
        """How many requests each server had."""
        return len(self.first.received), len(self.second.received)


@pytest.fixture
def bed(workspace: Path) -> Iterator[Bed]:
    with ExitStack() as stack:
        first, second = (stack.enter_context(LoopbackServer()) for _ in range(2))
        first.play(Play("from the first", usage={"input": 10, "output": 5}))
        second.play(Play("from the second", usage={"input": 100, "output": 50}))
        yield Bed(workspace, first, second)


def call(provider: BaseLLM | ProviderManager, request: Request, kind: str) -> Response:
    """The answer by one of the four ways to ask."""
    if kind == "sync":
        return provider.respond(request)
    if kind == "async":
        return asyncio.run(provider.arespond(request))
    if kind == "stream":
        stream = provider.stream(request)
        assert "".join(stream) == stream.response.text
        return stream.response

    async def streamed() -> Response:
        stream = provider.astream(request)
        assert "".join([piece async for piece in stream]) == stream.response.text
        return stream.response

    return asyncio.run(streamed())


@pytest.fixture(params=["sync", "async", "stream", "astream"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def chain_request(name: str = "safe", **details: Any) -> Request:
    return Request("chain", name, chat("hi"), **details)
