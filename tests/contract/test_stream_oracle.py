"""Streams: we ask for them as the official clients do, and make of the same events what those put together."""

from __future__ import annotations

import asyncio
from typing import Any

import anthropic
import openai
import pytest

from llm_tester.llms.wire import HTTPProvider
from llm_tester.records import Message, Request, Response
from llm_tester.testing import LoopbackServer, Play, ToolCall
from tests.contract.test_sdk_oracle import AGREED, Seen, seen_by_us
from tests.llms.wire_calls import KEY, provider

HELLO: Any = [{"role": "user", "content": "hi"}]
TURNS = (
    Message("system", "Be brief."),
    Message("user", "Grüße"),
    Message("assistant", "Ja?"),
    Message("user", "2 + 2?"),
)
COUNTS = {
    "input": 900,
    "cached_input": 640,
    "cache_write_5m": 64,
    "cache_write_1h": 32,
    "output": 70,
    "reasoning": 64,
}
EVENTS = {
    "many pieces": Play("Grüße 你好 👋 " * 40, chunks=60),
    "every byte by itself": Play("Grüße, Welt", split=True),
    "every class": Play("x", usage=COUNTS),
    "a refusal with its cost": Play(refusal="I can't help.", usage=COUNTS),
    "two tool calls": Play("", tool_calls=(ToolCall("f", '{"a": 1}'), ToolCall("g", "{}", id="call_2"))),
    "cut off": Play("Hel", finish="length", usage=COUNTS),
}
OPENAI_EVENTS = {
    "filtered": Play("", finish="content_filter"),
    "usage missing": Play("x", usage=None),
    "usage in the last chunk": Play("x", usage=COUNTS, in_stream="always"),
}
ANTHROPIC_EVENTS = {"the window is full": Play("x", finish="model_context_window_exceeded")}


def ours(asked: HTTPProvider) -> Response:
    with asked.stream(asked.request("hi", "m")) as stream:
        assert "".join(stream) == stream.response.text
        return stream.response


def put_together_by_openai(url: str) -> Seen:
    with openai.OpenAI(api_key=KEY, base_url=f"{url}/v1", max_retries=0) as client:
        asked = {"model": "m", "messages": HELLO, "stream_options": {"include_usage": True}}
        with client.chat.completions.stream(**asked) as stream:
            # get_final_completion would raise for an answer that was cut off or filtered.
            answer = stream.until_done().current_completion_snapshot
    choice, usage = answer.choices[0], answer.usage
    prompt = usage.prompt_tokens_details if usage else None
    completion = usage.completion_tokens_details if usage else None
    return Seen(
        choice.message.content or choice.message.refusal or "",
        bool(choice.message.refusal) or choice.finish_reason == "content_filter",
        choice.finish_reason == "length",
        usage.prompt_tokens if usage else None,
        (prompt.cached_tokens or 0) if prompt else 0,
        usage.completion_tokens if usage else None,
        (completion.reasoning_tokens or 0) if completion else 0,
    )


def put_together_by_anthropic(url: str) -> Seen:
    with (
        anthropic.Anthropic(api_key=KEY, base_url=url, max_retries=0) as client,
        client.messages.stream(model="m", max_tokens=9, messages=HELLO) as stream,
    ):
        answer = stream.get_final_message()
    usage = answer.usage
    beside = (usage.cache_read_input_tokens or 0) + (usage.cache_creation_input_tokens or 0)
    details = getattr(usage, "output_tokens_details", None)
    return Seen(
        "".join(block.text for block in answer.content if block.type == "text"),
        answer.stop_reason == "refusal",
        answer.stop_reason in ("max_tokens", "model_context_window_exceeded"),
        usage.input_tokens + beside,
        usage.cache_read_input_tokens or 0,
        usage.output_tokens,
        (getattr(details, "thinking_tokens", None) or 0) if details else 0,
    )


@pytest.mark.parametrize("shape", [*AGREED, *EVENTS, *OPENAI_EVENTS])
def test_openai_s_client_puts_the_same_together(shape: str) -> None:
    with LoopbackServer((AGREED | EVENTS | OPENAI_EVENTS)[shape]) as server:
        assert seen_by_us(ours(provider("openai", server.url))) == put_together_by_openai(server.url)


@pytest.mark.parametrize("shape", [*AGREED, *EVENTS, *ANTHROPIC_EVENTS])
def test_anthropic_s_client_puts_the_same_together(shape: str) -> None:
    with LoopbackServer((AGREED | EVENTS | ANTHROPIC_EVENTS)[shape]) as server:
        assert seen_by_us(ours(provider("anthropic", server.url))) == put_together_by_anthropic(server.url)


def ask_for_both(asked: HTTPProvider, request: Request) -> None:
    """The same stream in a thread and on an event loop."""

    async def main() -> None:
        async with asked.astream(request) as stream:
            assert [piece async for piece in stream]

    asyncio.run(main())
    with asked.stream(request) as stream:
        assert list(stream)


def test_we_ask_for_a_stream_as_openai_s_client_does() -> None:
    parameters: dict[str, Any] = {"temperature": 0.5, "max_tokens": 9, "stop": ["x"], "seed": 3}
    with LoopbackServer() as server:
        ask_for_both(provider("openai", server.url), Request("p", "m", TURNS, parameters))
        turns: Any = [{"role": turn.role, "content": turn.content} for turn in TURNS]
        with openai.OpenAI(api_key=KEY, base_url=f"{server.url}/v1", max_retries=0) as client:
            asked = {"model": "m", "messages": turns, "stream": True, "stream_options": {"include_usage": True}}
            client.chat.completions.create(**asked, **parameters).close()
            with client.chat.completions.stream(
                model="m", messages=turns, stream_options={"include_usage": True}, **parameters
            ) as stream:
                stream.until_done()
        mine, too, created, streamed = server.received
    assert mine.body == too.body == created.body == streamed.body
    assert mine.body["stream"] is True
    assert (mine.path, mine.headers["authorization"]) == (created.path, created.headers["authorization"])


def test_we_ask_for_a_stream_as_anthropic_s_client_does() -> None:
    parameters: dict[str, Any] = {"max_tokens": 9, "stop_sequences": ["x"]}
    with LoopbackServer() as server:
        ask_for_both(provider("anthropic", server.url), Request("p", "m", TURNS, parameters))
        turns: Any = [{"role": turn.role, "content": turn.content} for turn in TURNS[1:]]
        with anthropic.Anthropic(api_key=KEY, base_url=server.url, max_retries=0) as client:
            asked = {"model": "m", "system": "Be brief.", "messages": turns, **parameters}
            client.messages.create(**asked, stream=True).close()
            with client.messages.stream(**asked) as stream:
                stream.until_done()
        mine, too, created, streamed = server.received
    assert mine.body == too.body == created.body == streamed.body
    assert mine.body["stream"] is True
    assert mine.path == created.path == streamed.path
