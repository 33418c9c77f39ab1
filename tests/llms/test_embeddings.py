"""Vectors: the official client and we get the same ones, failures are tried again, and all of it has its price."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import openai
import pytest

from llm_tester.catalogue import ModelConfig, ProviderConfig
from llm_tester.errors import (
    AuthenticationError,
    BadRequestError,
    BadResponseError,
    ConfigurationError,
    ProviderError,
    ProviderTimeoutError,
)
from llm_tester.llms.apis.openai_compatible import OpenAICompatible
from llm_tester.llms.base import BaseLLM
from llm_tester.llms.embeddings import MOST_BYTES, MOST_TEXTS, Embeddings, portions
from llm_tester.llms.retry import RetryPolicy
from llm_tester.testing import LoopbackServer, Play
from tests.llms.wire_calls import KEY, provider

TEXTS = ["one", "two", "Grüße 你好 👋"]
MODELS = [{"name": "e", "cost_input": 20, "capabilities": ["embeddings"]}, {"name": "chat", "default": True}]
Embed = Callable[..., Embeddings]


@pytest.fixture
def server() -> Iterator[LoopbackServer]:
    with LoopbackServer(Play(usage={"input": 1000})) as running:
        yield running


@pytest.fixture(params=["sync", "async"])
def embed(request: pytest.FixtureRequest) -> Embed:
    """Makes vectors in each of the two ways."""

    def call(asked: BaseLLM, *arguments: Any, **named: Any) -> Embeddings:
        if request.param == "sync":
            return asked.embeddings(*arguments, **named)
        return asyncio.run(asked.aembeddings(*arguments, **named))

    return call


def ours(server: LoopbackServer, **more: Any) -> BaseLLM:
    made = provider("openai", server.url, **{"llm_models": MODELS} | more)
    made.retry = RetryPolicy(initial_delay=0)
    return made


@pytest.mark.parametrize("asked", [{}, {"dimensions": 16}, {"encoding_format": "float"}])
def test_openai_s_client_and_we_send_and_get_the_same(server: LoopbackServer, asked: dict[str, Any]) -> None:
    found = ours(server).embed(TEXTS, "e", **asked)
    with openai.OpenAI(api_key=KEY, base_url=f"{server.url}/v1", max_retries=0) as client:
        answer = client.embeddings.create(model="e", input=TEXTS, **asked)
    assert found == [item.embedding for item in answer.data]
    us, them = server.received
    # The client asks for base64 where nothing is said, and decodes it.
    assert {"encoding_format": "base64"} | us.body == them.body
    assert (us.method, us.path, us.headers["authorization"]) == (them.method, them.path, them.headers["authorization"])


def test_vectors_in_base64_are_the_same(server: LoopbackServer) -> None:
    assert ours(server).embed(TEXTS, encoding_format="base64") == ours(server).embed(TEXTS)
    assert server.received[0].body["encoding_format"] == "base64"


def test_one_text_gives_a_list_of_one_vector(server: LoopbackServer, embed: Embed) -> None:
    found = embed(ours(server), "one")
    assert len(found.vectors) == 1
    assert math.isclose(math.hypot(*found.vectors[0]), 1, rel_tol=1e-6)
    assert server.received[0].body == {"input": ["one"], "model": "e"}


def test_it_is_a_call_with_usage_and_cost(server: LoopbackServer, embed: Embed) -> None:
    found = embed(ours(server), TEXTS)
    assert (found.input_tokens, found.cost.usd) == (1000, Decimal("0.02"))
    [response] = found.responses
    assert (response.usage.output, response.served_model, len(response.attempts)) == (0, "e", 1)


def test_failures_are_tried_again(server: LoopbackServer, embed: Embed) -> None:
    server.play([Play(status=503), Play(fault="reset"), Play()])
    [response] = embed(ours(server), "one").responses
    assert [attempt.status or attempt.error for attempt in response.attempts] == [503, "ProviderConnectionError", ""]


def test_what_waiting_cannot_mend_is_final(server: LoopbackServer, embed: Embed) -> None:
    server.play(Play(status=400, error={"message": "input is too long"}))
    with pytest.raises(BadRequestError, match="input is too long"):
        embed(ours(server), "one")
    assert server.count == 1


def test_the_deadline_holds(server: LoopbackServer, embed: Embed) -> None:
    server.play(Play(fault="hang"))
    slow = ours(server, timeout=0.1)
    slow.retry = RetryPolicy(max_retries=0)
    with pytest.raises(ProviderTimeoutError):
        embed(slow, "one")


def _answer(*items: Any) -> Play:
    return Play(raw=json.dumps({"data": list(items)}).encode())


def _item(vector: Any, index: Any = 0) -> dict[str, Any]:
    return {"index": index, "embedding": vector}


NO_VECTORS = {
    "no data": Play(raw=b'{"object": "list"}'),
    "fewer than asked for": _answer(_item([1.0])),
    "more than asked for": _answer(_item([1.0]), _item([1.0], 1), _item([1.0], 2)),
    "one twice": _answer(_item([1.0]), _item([2.0])),
    "one without a number": _answer(_item([1.0]), _item([2.0], None)),
    "words": _answer(_item(["a"]), _item(["b"], 1)),
    "not a number": _answer(_item([math.nan]), _item([1.0], 1)),
    "of unequal length": _answer(_item([1.0]), _item([1.0, 2.0], 1)),
    "broken base64": _answer(_item("!!!"), _item("!!!", 1)),
    "base64 of half a float": _answer(_item("AAAAAAA="), _item("AAAAAAA=", 1)),
    "no list": _answer(_item({"a": 1}), _item({"a": 1}, 1)),
    "an HTML page": Play(raw=b"<html>", content_type="text/html"),
}


@pytest.mark.parametrize("shape", NO_VECTORS)
def test_what_is_no_vector_is_an_error(server: LoopbackServer, shape: str) -> None:
    server.play(NO_VECTORS[shape])
    with pytest.raises(BadResponseError):
        ours(server).embed(["a", "b"])


def test_an_error_in_a_200_is_an_error(server: LoopbackServer) -> None:
    server.play(Play(raw=b'{"error": {"message": "down", "code": 500}}'))
    with pytest.raises(ProviderError, match="down"):
        ours(server).embed("a")


def test_the_order_is_that_of_the_index(server: LoopbackServer) -> None:
    server.play(_answer(_item([2.0], 1), _item([1.0], 0)))
    assert ours(server).embed(["a", "b"]) == [[1.0], [2.0]]
    server.play(Play(raw=b'{"data": [{"embedding": [3]}, {"embedding": [4]}]}'))
    assert ours(server).embed(["a", "b"]) == [[3.0], [4.0]]


def test_the_official_client_may_carry_them(server: LoopbackServer, embed: Embed) -> None:
    assert embed(ours(server, transport="sdk"), TEXTS).vectors == ours(server).embed(TEXTS)
    assert "openai" in server.received[0].headers["user-agent"].lower()


# --- many texts


def test_many_texts_take_several_requests(server: LoopbackServer) -> None:
    texts = [f"text {number}" for number in range(300)]
    asked = ours(server)
    vectors = asyncio.run(asked.embed_batch(texts))
    assert sorted(len(received.body["input"]) for received in server.received) == [44, 128, 128]
    assert vectors[129] == asked.embed(texts[129])[0]


def test_a_full_portion_of_long_vectors_can_be_read(server: LoopbackServer) -> None:
    numbers = ",".join(["-0.0069292834959924221234"] * 4096).encode()
    items = b",".join(b'{"index":%d,"embedding":[%b]}' % (index, numbers) for index in range(MOST_TEXTS))
    server.play(Play(raw=b'{"data":[%b]}' % items))
    assert len(ours(server).embed(["a"] * MOST_TEXTS)) == MOST_TEXTS


def test_portions_are_bounded_by_their_bytes() -> None:
    half = "x" * (MOST_BYTES // 2)
    assert [len(portion) for portion in portions([half, half, "y", half * 3, "z"])] == [2, 1, 1, 1]
    assert [len(portion) for portion in portions(["ü" * (MOST_BYTES // 4 + 1)] * 2)] == [1, 1]
    assert list(portions([])) == []


def test_on_an_event_loop_they_are_under_way_at_once_but_no_more_than_allowed(server: LoopbackServer) -> None:
    server.play(Play(latency=0.05))
    asyncio.run(ours(server, max_connections=2).embed_batch(["a"] * MOST_TEXTS * 4))
    assert (server.count, server.in_flight_peak) == (4, 2)


def test_what_other_portions_took_is_not_lost_with_one_that_failed(server: LoopbackServer, embed: Embed) -> None:
    server.play([Play(usage={"input": 7}), Play(status=401), Play()])
    with pytest.raises(AuthenticationError) as caught:
        embed(ours(server, max_connections=1), ["a"] * MOST_TEXTS * 4)
    assert [attempt.ok for attempt in caught.value.attempts] == [True, False]
    assert server.count == 2


def test_no_text_takes_no_request(server: LoopbackServer, embed: Embed) -> None:
    found = embed(ours(server), [])
    assert not found.vectors
    assert (len(found.responses), found.cost.usd, found.input_tokens, server.count) == (0, Decimal(0), 0, 0)


# --- who makes vectors, and with which model


def test_an_address_with_a_deployment_is_followed(server: LoopbackServer) -> None:
    path = "openai/deployments/{model}/chat/completions?api-version=1"
    ours(server, options={"path": path}, open_catalogue=True).embed("a", "mine")
    assert server.received[0].path.endswith("/openai/deployments/mine/embeddings")


def test_the_default_model_is_the_first_that_makes_vectors(server: LoopbackServer) -> None:
    assert ours(server).default_embedding_model == "e"
    both = [
        {"name": "e", "capabilities": ["embeddings"]},
        {"name": "f", "capabilities": ["embeddings"], "default": True},
    ]
    assert ours(server, llm_models=both).default_embedding_model == "f"
    with pytest.raises(ConfigurationError, match="no embedding model of p is known"):
        ours(server, llm_models=[{"name": "chat"}]).embed("a")


@pytest.mark.parametrize("given", [7, [1, 2], None])
def test_what_is_no_text_is_said(server: LoopbackServer, given: Any) -> None:
    with pytest.raises(ConfigurationError, match="to embed"):
        ours(server).embed(given)
    assert server.count == 0


def test_who_makes_no_vectors_says_so(server: LoopbackServer, embed: Embed) -> None:
    chat = provider("anthropic", server.url)
    assert not chat.embeds
    with pytest.raises(ConfigurationError, match="p makes no embeddings"):
        embed(chat, "one")
    with pytest.raises(ConfigurationError, match="makes no embeddings"):
        chat._embed_api(["one"], "m", ModelConfig(name="m"))


class Own(BaseLLM):
    """A class of one's own that makes vectors."""

    answer: Any = ([[1, 2]], {"input": 3})

    def _call_llm_api(self, *_: Any) -> tuple[str, dict[str, Any]]:
        return "", {}

    def _embed_api(self, texts: list[str], model_name: str, model_config: Any) -> Any:
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer


class OwnAsync(Own):
    """The same on the event loop."""

    async def _embed_api(self, texts: list[str], model_name: str, model_config: Any) -> Any:  # type: ignore[override]
        return self.answer


@pytest.mark.parametrize("kind", [Own, OwnAsync])
def test_a_class_may_make_its_own(kind: type[Own], embed: Embed) -> None:
    found = embed(kind(), "one", "any")
    assert (found.vectors, found.input_tokens) == ([[1.0, 2.0]], 3)


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ([[1.0]], "not \\(vectors, usage\\)"),
        (([[1.0]], {"inptu": 1}), "unknown key"),
        (([[1.0], [2.0]], {}), "2 vectors for 1 texts"),
        (("no", {}), "no list of vectors"),
        (ValueError("broken"), "ValueError: broken"),
    ],
)
def test_what_it_returns_is_checked(answer: Any, error: str) -> None:
    own = Own(retry=RetryPolicy(max_retries=0))
    own.answer = answer
    with pytest.raises(ProviderError, match=error):
        own.embed("one", "any")


def test_a_subclass_of_the_wire_class_may_make_its_own(server: LoopbackServer) -> None:
    class Mine(OpenAICompatible):
        def _embed_api(self, texts: list[str], model_name: str, model_config: Any) -> Any:
            return [[0.5] for _ in texts], {}

    mine = Mine(ProviderConfig(name="mine", base_url=server.url, open_catalogue=True))
    assert (mine.embed(["a", "b"], "m"), server.count) == ([[0.5], [0.5]], 0)
