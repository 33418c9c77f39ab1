"""The loopback server as the official SDKs see it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import anthropic
import openai
import pytest
import requests

from llm_tester.testing import LoopbackServer, Play, ToolCall

USAGE: dict[str, int | None] = {
    "input": 100,
    "cached_input": 40,
    "cache_write_5m": 20,
    "cache_write_1h": 10,
    "output": 30,
    "reasoning": 12,
}
HELLO: Any = [{"role": "user", "content": "Hello"}]
ASKED: Any = {"model": "gpt", "messages": HELLO}
OPENAI_ERRORS = [
    (400, openai.BadRequestError),
    (401, openai.AuthenticationError),
    (403, openai.PermissionDeniedError),
    (404, openai.NotFoundError),
    (409, openai.ConflictError),
    (422, openai.UnprocessableEntityError),
    (429, openai.RateLimitError),
    (500, openai.InternalServerError),
    (529, openai.InternalServerError),
]
ANTHROPIC_ERRORS = [
    (400, anthropic.BadRequestError, "invalid_request_error"),
    (401, anthropic.AuthenticationError, "authentication_error"),
    (402, anthropic.APIStatusError, "billing_error"),
    (429, anthropic.RateLimitError, "rate_limit_error"),
    (500, anthropic.InternalServerError, "api_error"),
    (529, anthropic.InternalServerError, "overloaded_error"),
]


@pytest.fixture
def gpt(server: LoopbackServer) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=server.url + "/v1", api_key="k", max_retries=0) as client:
        yield client


@pytest.fixture
def claude(server: LoopbackServer) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=server.url, api_key="k", max_retries=0) as client:
        yield client


def ask_claude(client: anthropic.Anthropic) -> anthropic.types.Message:
    return client.messages.create(model="opus", max_tokens=9, messages=HELLO)


def test_openai_reads_a_chat(server: LoopbackServer, gpt: openai.OpenAI) -> None:
    server.play(Play(text="Grüße 🙂", finish="length", usage=USAGE | {"audio_input": 1, "audio_output": 2}))
    answer = gpt.chat.completions.create(**ASKED)
    assert (answer.choices[0].message.content, answer.choices[0].finish_reason) == ("Grüße 🙂", "length")
    assert answer.model == "gpt"
    assert answer.usage is not None
    assert answer.usage.to_dict() == {
        "prompt_tokens": 100,
        "completion_tokens": 30,
        "total_tokens": 130,
        "prompt_tokens_details": {"cached_tokens": 40, "cache_write_tokens": 30, "audio_tokens": 1},
        "completion_tokens_details": {"reasoning_tokens": 12, "audio_tokens": 2},
    }


def test_openai_reads_a_refusal_and_tool_calls(server: LoopbackServer, gpt: openai.OpenAI) -> None:
    call = ToolCall("weather", '{"city": "Bergen"}')
    server.play([Play(refusal="I can't"), Play(text="", tool_calls=(call,), model="gpt-2026", extra={"provider": "x"})])
    refused = gpt.chat.completions.create(**ASKED).choices[0].message
    assert (refused.content, refused.refusal) == (None, "I can't")
    called = gpt.chat.completions.create(**ASKED)
    assert called.model == "gpt-2026"
    assert called.to_dict()["provider"] == "x"
    choice = called.choices[0]
    assert (choice.finish_reason, choice.message.content) == ("tool_calls", None)
    assert choice.message.tool_calls
    assert choice.message.tool_calls[0].to_dict()["function"] == {"name": call.name, "arguments": call.arguments}


@pytest.mark.parametrize("split", [False, True])
def test_openai_reads_a_stream(server: LoopbackServer, gpt: openai.OpenAI, split: bool) -> None:
    server.play(Play(text="Grüße, Welt", chunks=4, usage=USAGE, split=split))
    with gpt.chat.completions.create(**ASKED, stream=True, stream_options={"include_usage": True}) as stream:
        chunks = list(stream)
    texts = [choice.delta.content for chunk in chunks for choice in chunk.choices if choice.delta.content]
    assert len(texts) == 4
    assert "".join(texts) == "Grüße, Welt"
    assert chunks[-2].choices[0].finish_reason == "stop"
    assert chunks[-1].choices == []
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.prompt_tokens == 100
    assert all(chunk.usage is None for chunk in chunks[:-1])


def test_openai_streams_refusals_and_tool_calls(server: LoopbackServer, gpt: openai.OpenAI) -> None:
    server.play([Play(refusal="I can't"), Play(text="", tool_calls=(ToolCall("add", '{"a": 1}'),))])
    refusal = [chunk.choices[0].delta.refusal or "" for chunk in gpt.chat.completions.create(**ASKED, stream=True)]
    assert "".join(refusal) == "I can't"
    parts = [chunk.choices[0].delta.tool_calls for chunk in gpt.chat.completions.create(**ASKED, stream=True)]
    functions = [part[0].function for part in parts if part and part[0].function]
    assert functions[0].name == "add"
    assert "".join(function.arguments or "" for function in functions) == '{"a": 1}'


def test_usage_of_a_stream_stands_where_the_play_says(server: LoopbackServer, gpt: openai.OpenAI) -> None:
    asked: dict[str, Any] = {**ASKED, "stream": True}
    option = list(gpt.chat.completions.create(**asked))
    server.play(Play(in_stream="always"))
    always = list(gpt.chat.completions.create(**asked))
    server.play(Play(in_stream="x_groq"))
    groq = list(gpt.chat.completions.create(**asked))
    server.play(Play(usage=None))
    none = list(gpt.chat.completions.create(**asked, stream_options={"include_usage": True}))
    assert [chunk for chunk in option + groq + none if chunk.usage] == []
    assert always[-1].usage is not None
    assert always[-1].choices[0].finish_reason == "stop"
    assert groq[-1].to_dict()["x_groq"]["usage"]["prompt_tokens"] == 10


def test_async_openai_reads_chats_at_once(server: LoopbackServer) -> None:
    server.play(Play(latency=0.15))

    async def ask() -> list[str | None]:
        async with openai.AsyncOpenAI(base_url=server.url + "/openai/v1/", api_key="k", max_retries=0) as client:
            answers = await asyncio.gather(*[client.chat.completions.create(**ASKED) for _ in range(8)])
            return [answer.choices[0].message.content for answer in answers]

    assert asyncio.run(ask()) == ["ok"] * 8
    assert server.in_flight_peak == 8


def test_azure_openai_reads_a_chat(server: LoopbackServer) -> None:
    with openai.AzureOpenAI(
        azure_endpoint=server.url, azure_deployment="mine", api_key="k", api_version="2026-01-01", max_retries=0
    ) as client:
        assert client.chat.completions.create(**ASKED).choices[0].message.content == "ok"
    received = server.received[0]
    assert received.path == "/openai/deployments/mine/chat/completions"
    assert received.query == "api-version=2026-01-01"
    requests.post(server.url + received.path, json={"messages": []}, timeout=5)
    assert server.by_model == {"gpt": 1, "mine": 1}


@pytest.mark.parametrize("encoding", ["float", "base64"])
def test_openai_reads_embeddings(server: LoopbackServer, gpt: openai.OpenAI, encoding: Any) -> None:
    def embed(texts: Any) -> list[Any]:
        answer = gpt.embeddings.create(model="e", input=texts, dimensions=16, encoding_format=encoding)
        assert answer.usage.prompt_tokens == 10
        return [found.embedding for found in answer.data]

    first, second, again = embed(["one", "two", "one"])
    assert first == again == embed("one")[0]
    assert first != second
    assert len(embed([1, 2])) == 1
    assert server.sent == {"e": {"input": 30}}


def test_openai_asks_for_base64_by_itself(server: LoopbackServer, gpt: openai.OpenAI) -> None:
    vector = gpt.embeddings.create(model="e", input="one").data[0].embedding
    assert len(vector) == 8
    assert sum(number * number for number in vector) == pytest.approx(1)


def test_both_sdks_list_the_models() -> None:
    with LoopbackServer(models=("small", "large")) as server:
        with openai.OpenAI(base_url=server.url, api_key="k", max_retries=0) as gpt:
            assert [model.id for model in gpt.models.list()] == ["small", "large"]
        with anthropic.Anthropic(base_url=server.url, api_key="k", max_retries=0) as claude:
            assert [model.display_name for model in claude.models.list()] == ["small", "large"]


@pytest.mark.parametrize(("status", "kind"), OPENAI_ERRORS)
def test_openai_reads_errors(
    server: LoopbackServer, gpt: openai.OpenAI, status: int, kind: type[openai.APIStatusError]
) -> None:
    server.play(Play(status=status, error={"message": "No.", "type": "t", "code": "c"}, headers={"Retry-After": "7"}))
    with pytest.raises(kind) as caught:
        gpt.chat.completions.create(**ASKED)
    assert (caught.value.code, caught.value.type, caught.value.status_code) == ("c", "t", status)
    assert caught.value.response.headers["retry-after"] == "7"
    assert server.count == 1


def test_errors_are_made_up_from_the_status(server: LoopbackServer, gpt: openai.OpenAI) -> None:
    server.play(Play(status=429))
    with pytest.raises(openai.RateLimitError) as caught:
        gpt.chat.completions.create(**ASKED)
    assert caught.value.code == "rate_limit_exceeded"


def test_anthropic_reads_a_message(server: LoopbackServer, claude: anthropic.Anthropic) -> None:
    server.play(Play(text="Hei", finish="length", usage=USAGE))
    answer = ask_claude(claude)
    assert isinstance(answer.content[0], anthropic.types.TextBlock)
    assert (answer.content[0].text, answer.stop_reason, answer.model) == ("Hei", "max_tokens", "opus")
    assert answer.usage.to_dict() == {
        "input_tokens": 30,
        "cache_read_input_tokens": 40,
        "cache_creation_input_tokens": 30,
        "cache_creation": {"ephemeral_5m_input_tokens": 20, "ephemeral_1h_input_tokens": 10},
        "output_tokens": 30,
        "output_tokens_details": {"thinking_tokens": 12},
    }
    assert server.sent == {"opus": USAGE}


def test_anthropic_reads_a_refusal_and_tool_calls(server: LoopbackServer, claude: anthropic.Anthropic) -> None:
    server.play([Play(refusal="I can't"), Play(tool_calls=(ToolCall("add", '{"a": 1}'),))])
    refused = ask_claude(claude)
    assert (refused.stop_reason, refused.content) == ("refusal", [])
    assert refused.stop_details is not None
    assert refused.stop_details.explanation == "I can't"
    called = ask_claude(claude)
    assert called.stop_reason == "tool_use"
    assert [block.type for block in called.content] == ["text", "tool_use"]
    assert called.content[1].to_dict()["input"] == {"a": 1}


@pytest.mark.parametrize("split", [False, True])
def test_anthropic_reads_a_stream(server: LoopbackServer, claude: anthropic.Anthropic, split: bool) -> None:
    call = ToolCall("add", '{"a": 1}')
    server.play(Play(text="Grüße, Welt", chunks=4, usage=USAGE, tool_calls=(call,), split=split))
    with claude.messages.stream(model="opus", max_tokens=9, messages=HELLO) as stream:
        assert len(list(stream.text_stream)) == 4
        answer = stream.get_final_message()
    assert answer.content[0].to_dict()["text"] == "Grüße, Welt"
    assert answer.content[1].to_dict()["input"] == {"a": 1}
    assert answer.stop_reason == "tool_use"
    counts = answer.usage
    assert (counts.input_tokens, counts.cache_read_input_tokens, counts.output_tokens) == (30, 40, 30)


def test_anthropic_events_come_in_their_order(server: LoopbackServer, claude: anthropic.Anthropic) -> None:
    raw = requests.post(server.url + "/v1/messages", json={"model": "m", "stream": True}, timeout=5).text
    names = [line.removeprefix("event: ") for line in raw.splitlines() if line.startswith("event: ")]
    assert names[:3] == ["message_start", "content_block_start", "ping"]
    assert names[3:] == ["content_block_delta"] * 2 + ["content_block_stop", "message_delta", "message_stop"]


@pytest.mark.parametrize(("status", "kind", "word"), ANTHROPIC_ERRORS)
def test_anthropic_reads_errors(
    server: LoopbackServer,
    claude: anthropic.Anthropic,
    status: int,
    kind: type[anthropic.APIStatusError],
    word: str,
) -> None:
    server.play(Play(status=status, error={"message": "No."}))
    with pytest.raises(kind, match=r"No\.") as caught:
        ask_claude(claude)
    assert caught.value.status_code == status
    assert isinstance(caught.value.body, dict)
    assert caught.value.body["error"] == {"type": word, "message": "No."}
    assert caught.value.request_id == "req_000001"
