"""Providers that stand behind each other, over the loopback server: who is asked, who answers, what it costs."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

import llm_tester
from llm_tester import FallbackProvider, ManagerConfig, Message, ProviderManager
from llm_tester.config import Workspace
from llm_tester.errors import (
    AllProvidersFailedError,
    BadRequestError,
    ConfigurationError,
    SubstitutionWarning,
)
from llm_tester.llms.chained import Link
from llm_tester.llms.retry import RetryPolicy
from llm_tester.testing import Play
from tests.llms.chain_bed import BUSY, NO_RETRY, Bed, bed, call, chain_request, kind

__all__ = ["bed", "kind"]

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
