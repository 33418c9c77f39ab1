"""Thirty shapes of answers: we read them as the official clients do, or more strictly where those let nonsense in."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import anthropic
import openai
import pytest

from llm_tester.catalogue import ProviderConfig
from llm_tester.errors import BadResponseError, ProviderError
from llm_tester.llms.apis.anthropic import AnthropicMessages
from llm_tester.llms.apis.openai_compatible import OpenAICompatible
from llm_tester.llms.exchange import CallPolicy, exchange
from llm_tester.llms.flow import Session, drive
from llm_tester.llms.retry import RetryPolicy
from llm_tester.llms.wire import HTTPProvider
from llm_tester.records import Request, Response, chat
from llm_tester.testing import LoopbackServer, Play, ToolCall

AUTH = {"kind": "header", "name": "x-api-key"}


@dataclass(frozen=True)
class Seen:
    """What a reader made of an answer."""

    text: str
    refused: bool
    cut: bool
    input: int | None
    cached: int
    output: int | None
    reasoning: int


def ours(api: str, url: str) -> Response:
    made: dict[str, type[HTTPProvider]] = {"openai": OpenAICompatible, "anthropic": AnthropicMessages}
    base = f"{url}/v1" if api == "openai" else url
    data = {"name": "p", "base_url": base, "env_key": "K", "llm_models": [{"name": "m"}]}
    provider = made[api](ProviderConfig.model_validate(data | ({"auth": AUTH} if api == "anthropic" else {})))
    provider.environment = {"K": "k"}
    flow = exchange(provider, Request("p", "m", chat("hi")), CallPolicy(RetryPolicy(max_retries=0)))
    return drive(flow, Session(provider.make_transport(1)))


def seen_by_us(response: Response) -> Seen:
    usage = response.usage
    return Seen(
        response.text,
        response.finish_reason in ("refusal", "content_filter"),
        response.finish_reason == "length",
        usage.input,
        usage.cached_input or 0,
        usage.output,
        usage.reasoning or 0,
    )


def seen_by_openai(url: str) -> Seen:
    with openai.OpenAI(api_key="k", base_url=f"{url}/v1", max_retries=0) as client:
        answer = client.chat.completions.create(model="m", messages=[{"role": "user", "content": "hi"}])
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


def seen_by_anthropic(url: str) -> Seen:
    with anthropic.Anthropic(api_key="k", base_url=url, max_retries=0) as client:
        answer = client.messages.create(model="m", max_tokens=9, messages=[{"role": "user", "content": "hi"}])
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


def _raw(**fields: Any) -> Play:
    body = {"id": "x", "object": "chat.completion", "created": 1, "model": "m", **fields}
    return Play(raw=json.dumps(body).encode())


def _choice(content: Any, finish: str | None = "stop", **message: Any) -> dict[str, Any]:
    return {"index": 0, "message": {"role": "assistant", "content": content, **message}, "finish_reason": finish}


AGREED = {
    "plain": Play("Hello."),
    "several languages": Play("Grüße 你好 👋"),
    "long": Play("word " * 4000),
    "cached": Play("x", usage={"input": 900, "cached_input": 640, "output": 7}),
    "reasoning": Play("x", usage={"input": 9, "output": 70, "reasoning": 64}),
    "cached and reasoning": Play("x", usage={"input": 900, "cached_input": 640, "output": 70, "reasoning": 64}),
    "truncated": Play("Hel", finish="length"),
    "refusal": Play("", refusal="I can't help with that."),
    "empty text": Play(""),
    "tool call": Play("", tool_calls=(ToolCall("f", '{"a": 1}'),)),
    "text and tool call": Play("Let me see.", tool_calls=(ToolCall("f"),)),
    "another model answers": Play("x", model="m-2026-01-01"),
    "unknown fields": Play("x", extra={"system_fingerprint": "fp", "surprise": {"deep": [1]}}),
}
OPENAI_ONLY = {
    "filtered": Play("", finish="content_filter"),
    "usage missing": Play("x", usage=None),
    "usage null": Play("x", raw_usage=None),
    "no finish reason": _raw(choices=[_choice("x", None)], usage=None),
    "two choices": _raw(choices=[_choice("first"), _choice("second")]),
    "null details": Play(
        "x", raw_usage={"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5, "prompt_tokens_details": None}
    ),
}
STRICTER = {
    "an HTML page": Play(raw=b"<html>down</html>", content_type="text/html"),
    "no choices": _raw(choices=[]),
    "choices null": _raw(choices=None),
    "an error in a 200": Play(raw=b'{"error": {"message": "down"}}'),
    "an error with its status in a 200": Play(raw=b'{"error": {"message": "down", "code": 502}}'),
    "a list": Play(raw=b"[]"),
    "cut JSON": Play(raw=b'{"choices": [{"message": {"cont'),
    "keys that stand twice": Play(raw=b'{"choices": [], "choices": []}'),
    "failed while answering": _raw(choices=[_choice("half", "error")]),
}
FLAGGED = {
    "negative tokens": {"prompt_tokens": -4, "completion_tokens": 2, "total_tokens": -2},
    "NaN tokens": {"prompt_tokens": float("nan"), "completion_tokens": 2, "total_tokens": 2},
    "fractional tokens": {"prompt_tokens": 4.5, "completion_tokens": 2, "total_tokens": 6.5},
    "huge tokens": {"prompt_tokens": 10**15, "completion_tokens": 2, "total_tokens": 10**15 + 2},
    "more cached than sent": {
        "prompt_tokens": 4,
        "completion_tokens": 2,
        "total_tokens": 6,
        "prompt_tokens_details": {"cached_tokens": 9},
    },
}


@pytest.mark.parametrize("shape", [*AGREED, *OPENAI_ONLY])
def test_openai_s_client_and_we_read_the_same(shape: str) -> None:
    with LoopbackServer((AGREED | OPENAI_ONLY)[shape]) as server:
        assert seen_by_us(ours("openai", server.url)) == seen_by_openai(server.url)


@pytest.mark.parametrize("shape", AGREED)
def test_anthropic_s_client_and_we_read_the_same(shape: str) -> None:
    with LoopbackServer(AGREED[shape]) as server:
        assert seen_by_us(ours("anthropic", server.url)) == seen_by_anthropic(server.url)


@pytest.mark.parametrize("shape", STRICTER)
def test_what_is_no_answer_is_an_error_to_us(shape: str) -> None:
    with LoopbackServer(STRICTER[shape]) as server, pytest.raises(ProviderError) as caught:
        ours("openai", server.url)
    assert isinstance(caught.value, BadResponseError) or caught.value.status == 502


@pytest.mark.parametrize("shape", FLAGGED)
def test_counts_that_cannot_be_are_flagged_and_cost_nothing_known(shape: str) -> None:
    with LoopbackServer(Play("x", raw_usage=FLAGGED[shape])) as server:
        response = ours("openai", server.url)
    assert response.usage.inconsistent
    assert response.cost.usd is None
    assert response.usage.raw is not None
