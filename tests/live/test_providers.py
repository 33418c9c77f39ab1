"""Calls to the providers themselves, for who has keys: `make test-live PROVIDERS="openai groq"`, a few tokens each."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from llm_tester.config import Workspace
from llm_tester.llms.base import BaseLLM
from llm_tester.llms.llm_registry import ProviderRegistry

# Read before the fixtures of all tests clean the environment.
ENVIRONMENT = dict(os.environ)
WANTED = ENVIRONMENT.get("LLM_TESTER_LIVE", "").split()
NAMES = (
    "openai",
    "anthropic",
    "groq",
    "together",
    "openrouter",
    "mistral",
    "deepseek",
    "xai",
    "azure",
    "lmstudio",
    "vllm",
)


@pytest.fixture(params=NAMES)
def live(request: pytest.FixtureRequest) -> BaseLLM:
    """A provider with its key, from the workspace that LLM_TESTER_WORKSPACE names where it does."""
    name: str = request.param
    if name not in WANTED:
        pytest.skip(f"LLM_TESTER_LIVE does not name {name}: it would be called and paid")
    here = Workspace.find(Path.cwd(), ENVIRONMENT)
    provider = ProviderRegistry(here).get(name)
    if provider.config.env_key and not provider.get_api_key():
        pytest.skip(f"{provider.config.env_key} is not set")
    return provider


def test_an_answer_with_usage_and_cost(live: BaseLLM) -> None:
    response = live.respond(live.request("Say only: ok", parameters={"max_tokens": 500}))
    assert response.text.strip()
    assert response.usage.input
    assert response.usage.output
    assert response.cost.complete or live.config.open_catalogue


def test_a_stream_with_usage(live: BaseLLM) -> None:
    with live.stream("Say only: ok", max_tokens=500) as stream:
        assert "".join(stream).strip()
        assert stream.response.usage.output
