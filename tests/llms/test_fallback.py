"""Providers that stand behind each other, over the loopback server: who is asked, who answers, what it costs."""

from __future__ import annotations

import asyncio
import json
import pickle
from collections.abc import Iterator
from contextlib import ExitStack
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

import llm_tester
from llm_tester import BaseLLM, FallbackProvider, ManagerConfig, Message, ProviderManager, ProviderRegistry, Request
from llm_tester.config import Workspace
from llm_tester.errors import (
    AllProvidersFailedError,
    BadRequestError,
    ConfigurationError,
    ContentFilterError,
    ProviderConnectionError,
    SubstitutionWarning,
    UnknownModelError,
)
from llm_tester.llms.chained import Link
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


# --- a chain of config.json, by the manager


def test_the_first_serves_as_long_as_it_can(bed: Bed, kind: str) -> None:
    response = call(ProviderManager(registry=bed.registry()), chain_request(), kind)
    assert (response.text, bed.asked) == ("from the first", (1, 0))
    assert (response.provider, response.model, response.served_provider) == ("chain", "safe", "first")
    assert response.cost.usd == Decimal("0.00002")
    assert not response.model_mismatch


def test_another_one_serves_in_its_place_at_its_own_price(bed: Bed, kind: str) -> None:
    bed.first.play(BUSY)
    manager = ProviderManager(registry=bed.registry(retry={"max_retries": 1, "initial_delay": 0}))
    response = call(manager, chain_request(), kind)
    assert (response.text, bed.asked) == ("from the second", (2, 1))
    assert (response.served_provider, response.served_model) == ("second", "second-m")
    assert not response.model_mismatch
    assert [(a.number, a.provider, a.model, a.status, a.ok) for a in response.attempts] == [
        (1, "first", "first-m", 503, False),
        (2, "first", "first-m", 503, False),
        (3, "second", "second-m", None, True),
    ]
    assert response.attempts[0].cost is None
    assert response.cost.usd == Decimal("0.002")
    assert bed.second.received[0].headers["authorization"] == "Bearer sk-second"


@pytest.mark.parametrize(
    "failure",
    [
        Play(status=401),
        Play(status=402),
        Play(status=429, error={"code": "insufficient_quota"}),
        Play(status=429, headers={"retry-after": "3600"}),
        Play(status=404, error={"code": "model_not_found"}),
        Play(status=500),
        Play(fault="reset"),
        Play(fault="garbage"),
        Play(raw=b"<html>no JSON</html>"),
    ],
    ids=["key", "no credit", "quota", "limit", "gone", "error", "reset", "garbage", "no JSON"],
)
def test_what_is_wrong_with_one_provider_is_left_to_the_next(bed: Bed, failure: Play) -> None:
    bed.first.play(failure)
    response = ProviderManager(registry=bed.registry()).respond(chain_request())
    assert (response.text, bed.asked) == ("from the second", (1, 1))


@pytest.mark.parametrize(
    ("failure", "kind_of_error"),
    [
        (Play(status=400, error={"message": "bad"}), BadRequestError),
        (Play(status=422), BadRequestError),
        (Play(status=400, error={"code": "content_filter", "message": "no"}), ContentFilterError),
    ],
)
def test_what_is_wrong_with_the_request_is_not_asked_of_others(
    bed: Bed, kind: str, failure: Play, kind_of_error: type[Exception]
) -> None:
    bed.first.play(failure)
    with pytest.raises(kind_of_error):
        call(ProviderManager(registry=bed.registry()), chain_request(), kind)
    assert bed.asked == (1, 0)


def test_when_nobody_can_serve_all_failures_are_told(bed: Bed, kind: str) -> None:
    bed.first.play(Play(status=401))
    bed.second.play(Play(status=503, error={"message": "overloaded by sk-second"}))
    with pytest.raises(AllProvidersFailedError) as caught:
        call(ProviderManager(registry=bed.registry()), chain_request(), kind)
    error = pickle.loads(pickle.dumps(caught.value))  # noqa: S301 - our own
    assert error.message.startswith("All providers failed for completion. Last error: ")
    assert "sk-second" not in error.message
    assert error.hint == "first:first-m: AuthenticationError; second:second-m: OverloadedError"
    assert [type(failure).__name__ for failure in error.failures] == ["AuthenticationError", "OverloadedError"]
    assert [(a.number, a.provider) for a in error.attempts] == [(1, "first"), (2, "second")]
    assert error.status == 503


def test_an_open_breaker_is_passed_over_until_a_probe_may_pass(bed: Bed) -> None:
    now = [0.0]
    settings = {"circuit_breaker": {"failure_threshold": 2, "recovery_timeout": 30}}
    manager = ProviderManager(registry=bed.registry(**settings), clock=lambda: now[0])
    bed.first.play(BUSY)
    for _ in range(5):
        assert manager.respond(chain_request()).served_provider == "second"
    assert bed.asked == (2, 5)
    assert [a.provider for a in manager.respond(chain_request()).attempts] == ["second"]
    bed.first.play(Play("back"))
    now[0] = 31
    assert manager.respond(chain_request()).text == "back"
    assert bed.asked == (3, 6)


def test_a_stream_is_never_continued_by_another_model(bed: Bed) -> None:
    bed.first.play(Play("one two three four five six", fault="cut_stream"))
    manager = ProviderManager(registry=bed.registry())
    pieces: list[str] = []
    with pytest.raises(ProviderConnectionError) as caught:
        pieces.extend(manager.stream(chain_request()))
    assert caught.value.text
    assert bed.asked == (1, 0)


def test_a_stream_that_is_left_asks_nobody_else(bed: Bed) -> None:
    bed.first.play(Play("one two three four five six"))
    with ProviderManager(registry=bed.registry()).stream(chain_request()) as stream:
        next(stream)
    assert bed.asked == (1, 0)


def test_a_chain_that_there_is_not(bed: Bed) -> None:
    manager = ProviderManager(registry=bed.registry())
    with pytest.raises(UnknownModelError, match='there is no chain "safer"') as caught:
        manager.respond(chain_request("safer"))
    assert caught.value.hint == "Did you mean safe?"


@pytest.mark.parametrize(
    ("chains", "told"),
    [
        ({"c": ["first:first-m", "first/first-m"]}, "names a model twice"),
        ({"c": ["chain:d"], "d": ["first:first-m"]}, "names another chain"),
        ({"c": ["first:first-m", "mock:careful"]}, "has simulated and real models"),
        ({"c": ["first:nothing"]}, 'first has no model "nothing"'),
        ({"c": ["nobody:m"]}, 'no provider "nobody"'),
    ],
)
def test_chains_that_cannot_be(bed: Bed, chains: dict[str, Any], told: str) -> None:
    registry = bed.registry(fallback={"chains": chains})
    with pytest.raises(ConfigurationError, match=told):
        registry.get("chain").prepare("c")


def test_a_provider_of_the_chains_name_is_refused(bed: Bed) -> None:
    folder = bed.root / "providers" / "chain"
    folder.mkdir()
    (folder / "config.json").write_text('{"name": "chain", "api": "openai", "base_url": "http://127.0.0.1:9/v1"}')
    with pytest.raises(ConfigurationError, match='there is a provider "chain"'):
        bed.registry().get("chain")


def test_a_chain_as_a_provider(bed: Bed) -> None:
    chain = bed.registry().get("chain")
    assert chain.list_models() == ["safe", "one"]
    assert chain.is_model_available("safe")
    assert not chain.is_model_available("m")
    assert chain.redact("sk-first and sk-second") == "[key] and [key]" or "sk-" not in chain.redact(
        "sk-first sk-second"
    )
    bed.first.play(BUSY)
    text, usage = chain._call_llm_api("hi", "Be brief.", "one", llm_tester.ModelConfig(name="one"))
    assert text == "from the second"
    assert isinstance(usage, llm_tester.UsageData)
    assert chain.not_applied(chain_request(parameters={"temperature": 0})) == ()


# --- FallbackProvider


def fallback(bed: Bed, **settings: Any) -> FallbackProvider:
    registry = bed.registry(**settings)
    return FallbackProvider([registry.get("first"), registry.get("second")], registry=registry)


def test_a_substitution_warns_and_is_recorded(bed: Bed, kind: str) -> None:
    provider = fallback(bed)
    assert call(provider, provider.request("hi"), kind).served_provider == "first"
    bed.first.play(BUSY)
    with pytest.warns(SubstitutionWarning, match="second:second-m answered in place of first:first-m"):
        response = call(provider, provider.request("hi"), kind)
    assert (response.provider, response.model) == ("first", "first-m")
    assert (response.served_provider, response.served_model, response.text) == ("second", "second-m", "from the second")
    assert [a.provider for a in response.attempts] == ["first", "second"]


def test_all_faces_of_a_provider_fall_back(bed: Bed) -> None:
    bed.first.play(Play(status=401))
    provider = fallback(bed)

    async def generated() -> tuple[str, str, str]:
        pieces = [piece async for piece in provider.generate_stream("hi")]
        return await provider.acomplete("hi"), await provider.generate("hi"), "".join(pieces)

    with pytest.warns(SubstitutionWarning):
        texts = {provider.complete("hi"), provider.get_response("hi")[0], *asyncio.run(generated())}
    assert texts == {"from the second"}
    assert bed.asked == (5, 5)


def test_a_model_that_is_named_is_asked_of_all_who_have_it(bed: Bed) -> None:
    bed.first.play(Play(status=401))
    provider = fallback(bed)
    with pytest.warns(SubstitutionWarning):
        provider.complete("hi", model="shared")
    assert [server.received[0].body["model"] for server in (bed.first, bed.second)] == ["shared", "shared"]
    assert [link.name for link in provider.links("first-m")] == ["first:first-m", "second:second-m"]


def test_what_is_known_of_the_providers_together(bed: Bed) -> None:
    provider = fallback(bed)
    assert [one.name for one in provider.providers] == ["first", "second"]
    assert provider.cost_per_1k_tokens == {"input": 0.001, "output": 0.002}
    assert provider.max_context_size is None
    assert provider.host == f"{bed.first.url[7:]}, {bed.second.url[7:]}"
    assert not provider.is_simulated
    assert "sk-" not in provider.redact("sk-first, sk-second")
    registry = bed.registry()
    shared = FallbackProvider([Link(registry.get(name), "shared") for name in ("second", "first")], registry=registry)
    assert shared.max_context_size == 100


def test_no_provider_at_all_is_an_error(bed: Bed) -> None:
    with pytest.raises(ConfigurationError, match="At least one provider must be specified"):
        FallbackProvider([])
    registry = bed.registry(fallback={"order": ["openai", "lmstudio"]})
    with pytest.raises(ConfigurationError, match="No valid providers available for fallback"):
        FallbackProvider(registry=registry)


def test_without_providers_those_of_the_order_are_taken(bed: Bed) -> None:
    registry = bed.registry(fallback={"order": ["openai", "second", "lmstudio", "nobody", "first"]})
    with pytest.warns(SubstitutionWarning, match='nobody is left out of the fallback: there is no provider "nobody"'):
        provider = FallbackProvider(registry=registry)
    assert [one.name for one in provider.providers] == ["second", "first"]
    off = bed.registry(fallback={"enabled": False, "order": ["openai", "second", "first"]})
    assert [one.name for one in FallbackProvider(registry=off).providers] == ["second"]


def test_its_breakers_are_those_of_config_json(bed: Bed) -> None:
    provider = fallback(bed, circuit_breaker={"failure_threshold": 1, "recovery_timeout": 60})
    bed.first.play(BUSY)
    provider.providers[0].retry = NO_RETRY
    for _ in range(3):
        with pytest.warns(SubstitutionWarning):
            provider.complete("hi")
    assert bed.asked == (1, 3)
    assert {name: breaker.state for name, breaker in provider.breakers.items()} == {
        "first:first-m": "open",
        "second:second-m": "closed",
    }


@pytest.mark.parametrize("way", ["sync", "async"])
def test_embeddings_fall_back_whole(bed: Bed, way: str) -> None:
    provider = fallback(bed)
    assert provider.embeds

    def vectors(**named: Any) -> list[list[float]]:
        texts = ["a", "b"]
        return provider.embed(texts, **named) if way == "sync" else asyncio.run(provider.aembed(texts, **named))

    assert len(vectors(model="shared")) == 2
    bed.first.play(Play(status=401))
    with pytest.warns(SubstitutionWarning, match="the vectors are those of second, not of first"):
        assert len(vectors(model="shared")) == 2
    bed.second.play(Play(status=402))
    with pytest.raises(AllProvidersFailedError, match="All providers failed for embedding") as caught:
        vectors(model="shared")
    assert [a.provider for a in caught.value.attempts] == ["first", "second"]
    bed.first.play(Play(status=400))
    with pytest.raises(BadRequestError):
        vectors(model="shared")


# --- the manager's own chain


def test_a_manager_with_others_behind(bed: Bed, kind: str) -> None:
    bed.first.play(BUSY)
    registry = bed.registry()
    manager = ProviderManager(registry=registry).with_fallback(registry.get("second"))
    with pytest.warns(SubstitutionWarning, match="second:second-m answered in place of first:first-m"):
        response = call(manager, registry.get("first").request("hi"), kind)
    assert (response.served_provider, bed.asked) == ("second", (1, 1))
    assert (
        ProviderManager(registry=registry)
        .with_fallback("first")
        .respond(registry.get("second").request("hi"))
        .served_provider
        == "second"
    )


def test_config_says_how_often_and_whether(bed: Bed) -> None:
    bed.first.play(BUSY)
    registry = bed.registry()
    request = registry.get("first").request("hi")
    manager = ProviderManager(["first"], registry=registry).with_fallback("second")
    alone = manager.with_config(ManagerConfig(enable_fallback=False, max_retries=3, retry_delay_ms=0))
    with pytest.raises(llm_tester.OverloadedError):
        alone.respond(request)
    assert bed.asked == (4, 0)
    with pytest.warns(SubstitutionWarning):
        assert asyncio.run(manager.generate([Message("user", "hi")])) == "from the second"
    assert bed.asked == (5, 1)
    assert (ManagerConfig().enable_fallback, ManagerConfig().max_retries, ManagerConfig().retry_delay_ms) == (
        True,
        2,
        1000,
    )
    assert ManagerConfig().retry == RetryPolicy(2, 1.0)
    with pytest.raises(ConfigurationError, match="expected 0 or more"):
        ManagerConfig(max_retries=-1)


def test_a_manager_asks_no_link_that_it_was_not_given(bed: Bed) -> None:
    with pytest.raises(ConfigurationError, match='not given the provider "second"'):
        ProviderManager(["first"], registry=bed.registry()).respond(chain_request())


# --- calls that name no provider


def test_a_call_that_names_no_provider_falls_back(bed: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    bed.registry()
    bed.first.play(Play(status=401))
    monkeypatch.chdir(bed.root)
    monkeypatch.setenv("FIRST_KEY", "sk-first")
    monkeypatch.setenv("SECOND_KEY", "sk-second")
    with pytest.warns(SubstitutionWarning, match="second:second-m answered in place of first:first-m"):
        assert llm_tester.complete("hi") == "from the second"
    with pytest.raises(llm_tester.AuthenticationError):
        llm_tester.complete("hi", provider_type="first")
    with pytest.raises(llm_tester.AuthenticationError):
        llm_tester.complete("hi", fallback=False)
    monkeypatch.setenv("PROVIDER_FALLBACK_ENABLED", "false")
    llm_tester.reset_provider_cache()
    with pytest.raises(llm_tester.AuthenticationError):
        llm_tester.complete("hi")
    assert bed.asked == (4, 1)


def test_the_factory_puts_the_second_one_behind(bed: Bed) -> None:
    root = bed.registry().workspace.root
    assert root is not None
    bed.first.play(Play(status=401))
    environment = {"FIRST_KEY": "a", "SECOND_KEY": "b", "LLM_TESTER_FALLBACK_PROVIDER": "second"}
    made = llm_tester.ProviderFactory.create("first", workspace=Workspace.open(root, environment))
    assert isinstance(made, FallbackProvider)
    with pytest.warns(SubstitutionWarning):
        assert made.complete("hi") == "from the second"
