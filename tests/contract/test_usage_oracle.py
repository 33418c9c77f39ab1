"""Two hundred usage bodies of each of five APIs: tokens and cost as genai-prices reads and prices them."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from importlib.metadata import version
from typing import Any

import pytest
from genai_prices import calc_price, extract_usage

from llm_tester.config import Workspace
from llm_tester.cost_manager import cost_of, rates_of
from llm_tester.llms.llm_registry import ProviderRegistry
from llm_tester.llms.transport import Reply
from llm_tester.llms.wire import HTTPProvider
from llm_tester.records import Request, Response, UsageData, chat

pytestmark = pytest.mark.skipif(
    version("genai-prices") != "0.2.3", reason="the catalogues were made from genai-prices 0.2.3, another is installed"
)
MOMENT = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
BODIES = 200


def _openai(chance: random.Random, *, writes: bool) -> dict[str, Any]:
    fresh, cached = chance.randint(0, 400_000), chance.choice([0, 0, 128, 90_000])
    write = chance.choice([0, 2048]) if writes else 0
    output = chance.randint(0, 20_000)
    usage: dict[str, Any] = {
        "prompt_tokens": fresh + cached + write,
        "completion_tokens": output,
        "total_tokens": fresh + cached + write + output,
    }
    if chance.random() < 0.8:
        usage["prompt_tokens_details"] = {"cached_tokens": cached} | ({"cache_write_tokens": write} if write else {})
        usage["completion_tokens_details"] = {"reasoning_tokens": chance.randint(0, output)}
    return usage


def _anthropic(chance: random.Random, *, writes: bool) -> dict[str, Any]:
    short, long = (chance.choice([0, 512]), chance.choice([0, 0, 4096])) if writes else (0, 0)
    usage: dict[str, Any] = {"input_tokens": chance.randint(0, 300_000), "output_tokens": chance.randint(0, 9000)}
    if chance.random() < 0.8:
        usage["cache_read_input_tokens"] = chance.choice([0, 1024, 60_000])
        usage["cache_creation_input_tokens"] = short + long
        usage["cache_creation"] = {"ephemeral_5m_input_tokens": short, "ephemeral_1h_input_tokens": long}
    return usage


def _plain(chance: random.Random, *, writes: bool) -> dict[str, Any]:
    usage = _openai(chance, writes=writes)
    usage.pop("completion_tokens_details", None)
    return usage


SHAPES: dict[str, tuple[Callable[..., dict[str, Any]], str, list[str]]] = {
    "openai": (_openai, "openai", ["gpt-5.4", "gpt-5.4-mini", "gpt-4.1", "o3", "gpt-6-sol"]),
    "anthropic": (_anthropic, "anthropic", ["claude-sonnet-5-5", "claude-haiku-4-5", "claude-opus-4-7"]),
    "groq": (_plain, "groq", ["openai/gpt-oss-120b", "openai/gpt-oss-20b"]),
    "mistral": (_openai, "mistral", ["mistral-small-latest", "mistral-medium-latest"]),
    "openrouter": (_openai, "openrouter", ["openai/gpt-5.6-luna", "openai/gpt-4o-mini"]),
}


@pytest.fixture(scope="module")
def registry() -> ProviderRegistry:
    keys = {f"{name.upper()}_API_KEY": "k" for name in SHAPES}
    return ProviderRegistry(Workspace(None, environment=keys))


def _body(name: str, usage: dict[str, Any], model: str) -> dict[str, Any]:
    if name == "anthropic":
        return {"model": model, "content": [{"type": "text", "text": "x"}], "stop_reason": "end_turn", "usage": usage}
    return {"model": model, "choices": [{"message": {"content": "x"}, "finish_reason": "stop"}], "usage": usage}


def _read(provider: HTTPProvider, body: dict[str, Any], model: str) -> UsageData:
    reply = Reply(200, {"content-type": "application/json"}, json.dumps(body).encode())
    delivery = provider.read(reply, Request(provider.name, model, chat("hi")))
    assert not isinstance(delivery, (Exception, Response)), delivery
    return delivery.usage


@pytest.mark.parametrize("name", SHAPES)
def test_tokens_and_cost_are_those_of_genai_prices(name: str, registry: ProviderRegistry) -> None:
    shape, genai_id, wanted = SHAPES[name]
    provider = registry.get(name)
    assert isinstance(provider, HTTPProvider)
    models = [model for model in wanted if provider.is_model_available(model) and model in provider.list_models()]
    assert models, f"none of {wanted} is in the catalogue of {name}"
    chance = random.Random(name)
    for _ in range(BODIES):
        model = chance.choice(models)
        entry = provider.model_entry(model)
        body = _body(name, shape(chance, writes=entry.cost_cache_write_5m is not None), model)
        ours = _read(provider, body, model)
        theirs = extract_usage(
            body, provider_id=genai_id, api_flavor="default" if name in ("anthropic", "groq", "mistral") else "chat"
        )
        assert (ours.input, ours.output) == (theirs.usage.input_tokens, theirs.usage.output_tokens)
        assert (ours.cached_input or 0) == (theirs.usage.cache_read_tokens or 0)
        assert (ours.reasoning or 0) == (theirs.usage.output_reasoning_tokens or 0)
        expected = calc_price(theirs.usage, model, provider_id=genai_id, genai_request_timestamp=MOMENT)
        cost = cost_of(ours, rates_of(entry, MOMENT), MOMENT)
        assert cost.usd == expected.total_price, (model, body["usage"])


def test_openrouter_s_own_figure_wins(registry: ProviderRegistry) -> None:
    provider = registry.get("openrouter")
    assert isinstance(provider, HTTPProvider)
    usage = {"prompt_tokens": 10, "completion_tokens": 5, "cost": 0.00042}
    read = _read(provider, _body("openrouter", usage, "openai/gpt-5.6-luna"), "openai/gpt-5.6-luna")
    cost = cost_of(read, rates_of(provider.model_entry("openai/gpt-5.6-luna"), MOMENT), MOMENT)
    assert (cost.usd, cost.source) == (Decimal("0.00042"), "provider")
