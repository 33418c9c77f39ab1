"""The models that a server lists now."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import openai
import pytest

from llm_tester.catalogue import ProviderConfig
from llm_tester.errors import AuthenticationError, BadResponseError, OverloadedError
from llm_tester.llms.apis.openai_compatible import OpenAICompatible
from llm_tester.llms.retry import RetryPolicy
from llm_tester.testing import LoopbackServer, Play

NAMES = ["llama-3.3", "qwen/qwen3-8b"]
Fetch = Callable[[], list[str]]


@pytest.fixture
def server() -> Iterator[LoopbackServer]:
    with LoopbackServer(models=NAMES) as running:
        yield running


@pytest.fixture(params=["sync", "async"])
def fetch(request: pytest.FixtureRequest, server: LoopbackServer) -> Fetch:
    config = ProviderConfig(name="p", base_url=f"{server.url}/v1", env_key="K", open_catalogue=True)
    provider = OpenAICompatible(config, retry=RetryPolicy(max_retries=1, initial_delay=0))
    provider.environment = {"K": "sk-1"}
    return provider.fetch_models if request.param == "sync" else lambda: asyncio.run(provider.afetch_models())


def test_they_are_those_that_the_official_client_lists(server: LoopbackServer, fetch: Fetch) -> None:
    with openai.OpenAI(api_key="sk-1", base_url=f"{server.url}/v1", max_retries=0) as client:
        assert fetch() == [model.id for model in client.models.list()] == NAMES
    us, them = server.received
    assert (us.method, us.path, us.headers["authorization"]) == (them.method, them.path, them.headers["authorization"])


def test_a_failure_is_tried_again(server: LoopbackServer, fetch: Fetch) -> None:
    server.play([Play(status=503), Play()])
    assert fetch() == NAMES
    server.play(Play(status=503))
    with pytest.raises(OverloadedError):
        fetch()
    server.play(Play(status=401))
    with pytest.raises(AuthenticationError):
        fetch()


@pytest.mark.parametrize(
    "answer",
    [
        {"raw": b'{"data": 1}'},
        {"raw": b'{"data": [{"id": 7}]}'},
        {"raw": b'{"data": [{}]}'},
        {"raw": b'{"data": [{"id": "a\\u001b[2Jb"}]}'},
        {"raw": b"<html>", "content_type": "text/html"},
    ],
)
def test_what_is_no_list_is_an_error(server: LoopbackServer, fetch: Fetch, answer: dict[str, Any]) -> None:
    server.play(Play(**answer))
    with pytest.raises(BadResponseError):
        fetch()
