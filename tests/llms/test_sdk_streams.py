"""Streams by the official clients over a real socket: in pieces, cut, left early, late."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Iterator
from typing import Any

import pytest

from llm_tester import ProviderConnectionError
from llm_tester.errors import BadRequestError, ProviderTimeoutError
from llm_tester.testing import LoopbackServer, Play
from tests.llms.wire_calls import USAGE, provider

APIS = ("openai", "anthropic")
TEXT = "The quick brown fox jumps over the lazy dog."


@pytest.fixture
def server() -> Iterator[LoopbackServer]:
    with LoopbackServer() as running:
        yield running


def sdk(api: str, server: LoopbackServer) -> Any:
    return provider(api, server.url, transport="sdk")


def read(asked: Any, way: str, **details: Any) -> tuple[list[str], Any]:
    """All pieces of a stream and its response."""
    question = asked.request("hi", "m", **details)

    async def aread() -> tuple[list[str], Any]:
        async with asked.astream(question) as stream:
            return [piece async for piece in stream], stream.response

    if way == "async":
        return asyncio.run(aread())
    with asked.stream(question) as stream:
        return list(stream), stream.response


@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize("way", ["sync", "async"])
def test_streams_come_in_pieces(api: str, way: str, server: LoopbackServer) -> None:
    server.play(Play(TEXT, usage=USAGE, chunks=5, split=True))
    pieces, response = read(sdk(api, server), way)
    assert len(pieces) == 5
    assert "".join(pieces) == response.text == TEXT
    assert response.usage.counts() == USAGE
    assert "/Python" in server.received[0].headers["user-agent"]


@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize("way", ["sync", "async"])
def test_a_stream_that_is_cut_keeps_what_came(api: str, way: str, server: LoopbackServer) -> None:
    server.play(Play(TEXT, usage=USAGE, fault="cut_stream", pace=0.02))
    with pytest.raises(ProviderConnectionError) as caught:
        read(sdk(api, server), way)
    assert caught.value.text
    assert TEXT.startswith(caught.value.text)
    assert caught.value.text != TEXT
    assert server.count == 1


@pytest.mark.parametrize("way", ["sync", "async"])
def test_a_stream_s_deadline_status_and_whole_answer(way: str, server: LoopbackServer) -> None:
    asked = sdk("openai", server)
    server.play(Play(TEXT, chunks=20, pace=0.1))
    with pytest.raises(ProviderTimeoutError):
        read(asked, way, timeout=0.35)
    coded = gzip.compress(b'{"error": {"message": "no such model"}}')
    server.play(Play(raw=coded, headers={"content-encoding": "gzip"}, status=404))
    with pytest.raises(BadRequestError, match="no such model"):
        read(asked, way)
    server.play(Play(raw=b'{"choices": [{"message": {"content": "whole"}}]}'))
    assert read(asked, way)[0] == ["whole"]


@pytest.mark.parametrize("api", APIS)
def test_streams_that_are_left_early_are_closed(api: str, server: LoopbackServer) -> None:
    server.play(Play(TEXT, chunks=100, pace=0.02))
    asked = sdk(api, server)
    for _ in range(5):
        with asked.stream("hi") as stream:
            assert TEXT.startswith(next(stream))
        assert list(stream) == []

    async def main() -> None:
        for _ in range(5):
            async with asked.astream("hi") as stream:
                async for piece in stream:
                    assert TEXT.startswith(piece)
                    break

    asyncio.run(main())
    assert len(server.received) == 10
    # One that is closed may still be under way at the server when the next one comes.
    assert server.in_flight_peak <= 2
