"""A chain of config.json: which failures are left to the next model, and at whose price it answers."""

from __future__ import annotations

import pickle
from decimal import Decimal
from typing import Any

import pytest

import llm_tester
from llm_tester import ProviderManager
from llm_tester.errors import (
    AllProvidersFailedError,
    BadRequestError,
    ConfigurationError,
    ContentFilterError,
    ProviderConnectionError,
    UnknownModelError,
)
from llm_tester.testing import Play
from tests.llms.chain_bed import BUSY, Bed, bed, call, chain_request, kind

__all__ = ["bed", "kind"]


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
