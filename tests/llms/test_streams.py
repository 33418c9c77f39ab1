"""Streamed answers over a real socket: text as it comes, usage by each API's rule, streams that break or are left."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import pytest

from llm_tester import BadResponseError, HTTPProvider, ProviderConnectionError, ProviderError, Response
from llm_tester.errors import OverloadedError, ProviderTimeoutError
from llm_tester.llms.exchange import CallPolicy, exchange
from llm_tester.llms.retry import RetryPolicy
from llm_tester.llms.streams import AsyncStream, Stream
from llm_tester.records import Message
from llm_tester.testing import LoopbackServer, Play
from tests.llms.wire_calls import provider

TEXT = "The quick brown fox jumps over the lazy dog."
COUNTS = {"input": 100, "cached_input": 40, "output": 30, "reasoning": 20}
Reading = tuple[list[str], Response]
Reader = Callable[..., Reading]


@pytest.fixture
def server() -> Iterator[LoopbackServer]:
    with LoopbackServer() as running:
        yield running


@pytest.fixture(params=["sync", "async"])
def read(request: pytest.FixtureRequest) -> Reader:
    """All pieces of a stream and its response, in a thread or on an event loop."""

    def call(asked: HTTPProvider, **details: Any) -> Reading:
        question = asked.request("hi", "m", **details)
        if request.param == "sync":
            with asked.stream(question) as stream:
                return list(stream), stream.response
        return asyncio.run(_aread(asked, question))

    return call


async def _aread(asked: HTTPProvider, question: Any) -> Reading:
    async with asked.astream(question) as stream:
        pieces = [piece async for piece in stream]
        return pieces, stream.response


@pytest.mark.parametrize("api", ["openai", "anthropic"])
@pytest.mark.parametrize("split", [False, True])
def test_text_comes_in_pieces_and_the_response_at_the_end(
    server: LoopbackServer, read: Reader, api: str, split: bool
) -> None:
    server.play(Play(TEXT, usage=COUNTS, chunks=5, split=split))
    pieces, response = read(provider(api, server.url))
    assert len(pieces) == 5
    assert "".join(pieces) == response.text == TEXT
    assert response.finish_reason == "stop"
    assert response.usage.counts() == COUNTS
    assert response.cost.usd == Decimal("0.000124")  # 60 x 1 + 40 x 0.1 + 30 x 2, per million
    assert [attempt.ok for attempt in response.attempts] == [True]


@pytest.mark.parametrize("rule", ["option", "always", "x_groq"])
def test_each_rule_of_usage_in_streams_gives_the_same_counts(server: LoopbackServer, read: Reader, rule: str) -> None:
    server.play(Play(TEXT, usage=COUNTS, in_stream=rule))  # type: ignore[arg-type]
    _, response = read(provider("openai", server.url, usage={"in_stream": rule}))
    assert response.usage.counts() == COUNTS
    asked = server.received[-1].body.get("stream_options")
    assert asked == ({"include_usage": True} if rule == "option" else None)


@pytest.mark.parametrize("api", ["openai", "anthropic"])
def test_a_stream_without_usage_has_an_unknown_cost(server: LoopbackServer, read: Reader, api: str) -> None:
    server.play(Play(TEXT, usage=None))
    _, response = read(provider(api, server.url))
    assert response.text == TEXT
    assert response.cost.usd is None


@pytest.mark.parametrize("api", ["openai", "anthropic"])
@pytest.mark.parametrize(
    ("play", "finish"), [(Play(TEXT, finish="length"), "length"), (Play(refusal="No."), "refusal")]
)
def test_how_an_answer_ended_is_told(server: LoopbackServer, read: Reader, api: str, play: Play, finish: str) -> None:
    server.play(play)
    _, response = read(provider(api, server.url))
    assert response.finish_reason == finish


@pytest.mark.parametrize("api", ["openai", "anthropic"])
@pytest.mark.parametrize("fault", ["cut_stream", "bad_chunk", "error_in_stream"])
def test_a_broken_stream_is_an_error_that_keeps_what_came(
    server: LoopbackServer, read: Reader, api: str, fault: str
) -> None:
    server.play(Play(TEXT, usage=COUNTS, fault=fault, pace=0.02))  # type: ignore[arg-type]
    with pytest.raises(ProviderError) as caught:
        read(provider(api, server.url))
    assert caught.value.text
    assert TEXT.startswith(caught.value.text)
    assert caught.value.text != TEXT
    [attempt] = caught.value.attempts
    assert attempt.cost is not None
    assert not attempt.cost.complete
    assert len(server.received) == 1


def test_what_anthropic_had_counted_before_the_cut_is_known(server: LoopbackServer, read: Reader) -> None:
    server.play(Play(TEXT, usage=COUNTS, fault="cut_stream"))
    with pytest.raises(ProviderConnectionError) as caught:
        read(provider("anthropic", server.url))
    assert caught.value.usage.prompt_tokens == 100
    assert caught.value.attempts[0].cost.known >= Decimal("0.000064")


def test_a_failure_before_the_first_text_is_tried_again(server: LoopbackServer) -> None:
    server.play([Play(status=500, headers={"retry-after": "0"}), Play(TEXT)])
    pieces = list(provider("openai", server.url).stream(provider("openai", server.url).request("hi", "m")))
    assert "".join(pieces) == TEXT
    assert len(server.received) == 2


def test_a_status_is_an_error_with_its_class(server: LoopbackServer, read: Reader) -> None:
    server.play(Play(status=401))
    with pytest.raises(ProviderError, match="401"):
        read(provider("openai", server.url))
    assert len(server.received) == 1


def test_a_server_that_does_not_stream_is_read_whole(server: LoopbackServer, read: Reader) -> None:
    body = b'{"choices": [{"message": {"content": "whole"}, "finish_reason": "stop"}], "usage": null}'
    server.play(Play(raw=body))
    pieces, response = read(provider("openai", server.url))
    assert pieces == ["whole"]
    assert response.text == "whole"


def test_an_error_event_of_anthropic_has_the_class_of_its_type(server: LoopbackServer, read: Reader) -> None:
    events = b'event: error\ndata: {"type": "error", "error": {"type": "overloaded_error", "message": "busy"}}\n\n'
    server.play(Play(raw=events, content_type="text/event-stream"))
    asked = provider("anthropic", server.url)
    with pytest.raises(OverloadedError, match="busy"):
        list(Stream(_once(asked), asked._session))


@pytest.mark.parametrize(
    "events",
    [
        b"data: [DONE]\n\n",
        b'data: {"choices": [{"delta": {"content": "x"}, "finish_reason": "error"}]}\n\ndata: [DONE]\n\n',
        b"data: <html>\n\n",
        b'data: {"choices": [{"delta": {"content": 7}}]}\n\n',
    ],
)
def test_nonsense_in_a_stream_is_a_bad_response(server: LoopbackServer, read: Reader, events: bytes) -> None:
    server.play(Play(raw=events, content_type="text/event-stream"))
    with pytest.raises(BadResponseError):
        read(provider("openai", server.url))


def test_a_stream_that_is_left_early_is_settled(server: LoopbackServer) -> None:
    server.play(Play(TEXT, chunks=20, pace=0.01))
    asked = provider("openai", server.url)
    with asked.stream(asked.request("hi", "m")) as stream:
        first = next(stream)
    assert TEXT.startswith(first)
    with pytest.raises(BadResponseError, match="not ended"):
        _ = stream.response
    assert list(stream) == []


def test_an_async_stream_that_is_left_early_is_settled(server: LoopbackServer) -> None:
    server.play(Play(TEXT, chunks=20, pace=0.01))

    async def main() -> AsyncStream:
        asked = provider("openai", server.url)
        async with asked.astream(asked.request("hi", "m")) as stream:
            async for _ in stream:
                break
        return stream

    stream = asyncio.run(main())
    with pytest.raises(BadResponseError, match="not ended"):
        _ = stream.response


def test_the_deadline_holds_for_the_whole_stream(server: LoopbackServer, read: Reader) -> None:
    server.play(Play(TEXT, chunks=20, pace=0.1))
    with pytest.raises(ProviderTimeoutError) as caught:
        read(provider("openai", server.url), timeout=0.35)
    assert TEXT.startswith(caught.value.text)


def test_generate_stream_is_iterated_with_and_without_await(server: LoopbackServer) -> None:
    server.play(Play(TEXT))

    async def main() -> list[str]:
        asked = provider("openai", server.url)
        direct = [piece async for piece in asked.generate_stream("hi", stop_sequences=["END"])]
        awaited = [piece async for piece in await asked.generate_stream("hi")]
        return ["".join(direct), "".join(awaited), await asked.generate("hi", temperature=0.1)]

    assert asyncio.run(main()) == [TEXT] * 3
    bodies = [received.body for received in server.received]
    assert [body["max_tokens"] for body in bodies] == [1000] * 3
    assert [body["temperature"] for body in bodies] == [0.7, 0.7, 0.1]
    assert bodies[0]["stop"] == ["END"]


@pytest.mark.parametrize("api", ["openai", "anthropic"])
def test_generate_takes_messages(server: LoopbackServer, api: str) -> None:
    server.play(Play(TEXT))
    turns = [Message("system", "be brief"), Message("user", "hi"), Message("assistant", "yes?"), Message("user", "why")]

    async def main() -> list[str]:
        asked = provider(api, server.url)
        return [await asked.generate(turns), "".join([piece async for piece in asked.generate_stream(turns)])]

    assert asyncio.run(main()) == [TEXT] * 2
    sent = [(turn.role, turn.content) for turn in turns]
    for body in (received.body for received in server.received):
        own = [("system", body["system"])] if api == "anthropic" else []
        assert [*own, *((turn["role"], turn["content"]) for turn in body["messages"])] == sent


def test_complete_sends_its_defaults_where_the_model_takes_them(server: LoopbackServer) -> None:
    server.play(Play(TEXT))
    asked = provider("openai", server.url)
    assert asked.complete("hi", "be brief") == TEXT
    assert asyncio.run(asked.acomplete("hi", max_tokens=7)) == TEXT
    first, second = (received.body for received in server.received)
    assert (first["temperature"], first["max_tokens"], second["max_tokens"]) == (0.7, 2000, 7)
    assert [turn["role"] for turn in first["messages"]] == ["system", "user"]
    picky = provider("openai", server.url, llm_models=[{"name": "m", "unsupported_params": ["temperature"]}])
    assert picky.complete("hi") == TEXT
    assert "temperature" not in server.received[-1].body


def _once(asked: HTTPProvider) -> Any:
    """A streamed call without retries."""
    return exchange(asked, asked.request("hi", "m"), CallPolicy(RetryPolicy(max_retries=0), streamed=True))
