"""`"api": "openai"`: chat completions and embeddings, as OpenAI and all that speak like it answer them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cached_property
from typing import Any

from llm_tester.documents import Document
from llm_tester.errors import ProviderError
from llm_tester.llms.apis.model_listing import listed_models
from llm_tester.llms.apis.openai_embeddings import read_embeddings
from llm_tester.llms.embeddings import EmbeddingDelivery
from llm_tester.llms.exchange import Delivery
from llm_tester.llms.extraction import OPENAI_PATHS
from llm_tester.llms.flow import Flow, Send, adrive, drive
from llm_tester.llms.json_bodies import bad, json_body, json_text
from llm_tester.llms.sse import Event
from llm_tester.llms.transport import Reply, WireRequest
from llm_tester.llms.wire import HTTPProvider, raise_hidden_error
from llm_tester.records import FinishReason, Message, Request, UsageData

FINISH: Mapping[str, FinishReason] = {
    "stop": "stop",
    "eos": "stop",
    "eos_token": "stop",
    "stop_sequence": "stop",
    "length": "length",
    "model_length": "length",
    "content_filter": "content_filter",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "error": "error",
}


class OpenAIOptions(Document):
    """Options of providers with `"api": "openai"`."""

    path: str = "chat/completions"
    """The path below base_url; {model} stands for the model's name."""


class OpenAICompatible(HTTPProvider):
    """POST {base_url}/chat/completions; the answer is choices[0].message.content."""

    usage_paths = OPENAI_PATHS
    sdk = "openai"
    options_type = OpenAIOptions

    def build_request(self, request: Request) -> WireRequest:
        """The request body as the official SDK sends it."""
        body = {
            "messages": [_turn(message) for message in self.turns(request)],
            "model": request.model,
            **self.sent_parameters(request),
        }
        return WireRequest("POST", self.url(self.endpoint(request)), self.headers(request), json.dumps(body).encode())

    def endpoint(self, request: Request) -> str:
        """The path below base_url."""
        return self._path.replace("{model}", request.model)

    @cached_property
    def _path(self) -> str:
        return OpenAIOptions.model_validate(self.config.options).path

    @property
    def embeds(self) -> bool:
        """Whether the API has embeddings: it is taken to."""
        return True

    def attempt_embedding(self, request: Request, number: int) -> Flow[EmbeddingDelivery | ProviderError]:
        """One try over the network; a subclass with an `_embed_api` is called through that instead."""
        if super().embeds:
            return (yield from super().attempt_embedding(request, number))
        body = {"input": [turn.content for turn in request.messages], "model": request.model}
        sent = json.dumps(body | self.sent_parameters(request)).encode()
        path = self.endpoint(request).replace("chat/completions", "embeddings")
        wire = WireRequest("POST", self.url(path), self.headers(request), sent)
        outcome = yield Send(wire, request.timeout or self.config.timeout)
        if isinstance(outcome, ProviderError):
            return outcome
        return self.read_as(outcome, request, lambda reply, asked: read_embeddings(self, reply, asked))

    def fetch_models(self) -> list[str]:
        """The models that the server lists now; `list_models` are those of the catalogue."""
        return drive(listed_models(self), self._session)

    async def afetch_models(self) -> list[str]:
        """As `fetch_models`, on the event loop."""
        return await adrive(listed_models(self), self._session)

    def turns(self, request: Request) -> list[Message]:
        """The request's turns, after the provider's own system prompt where the request brings none."""
        turns = list(request.messages)
        if self.config.system_prompt and not any(turn.role == "system" for turn in turns):
            turns.insert(0, Message("system", self.config.system_prompt))
        return turns

    def stream_parameters(self) -> dict[str, Any]:
        """As the official SDK asks; usage is asked for where the API tells it only then."""
        asked = {"stream_options": {"include_usage": True}} if self.paths.in_stream == "option" else {}
        return {"stream": True, **asked}

    def parse_stream(self, request: Request) -> ChatStream:
        """What reads the chunks of a streamed answer."""
        return ChatStream(self)

    def parse_response(self, reply: Reply, request: Request) -> Delivery:
        """Text, usage and finish reason; raises BadResponseError for an answer without choices."""
        body = json_body(reply)
        raise_hidden_error(body)
        raw = reply.body.decode("utf-8", "replace")
        choices = body.get("choices")
        if not isinstance(choices, list) or not choices:
            bad("the answer has no choices", "no_choices", raw)
        choice = choices[0]
        message = choice.get("message") if isinstance(choice, dict) else None
        if not isinstance(message, dict):
            bad("the first choice has no message", "no_message", raw)
        if choice.get("finish_reason") == "error":
            bad("the model failed while it answered", "error_in_200", raw)
        text, finish = text_and_finish(message, choice.get("finish_reason"))
        model = body.get("model")
        usage = self.usage_of(body, finish_reason=finish, served_model=model if isinstance(model, str) else None)
        return Delivery(text, usage)


class ChatStream:
    """Reads chat completion chunks; usage comes in a chunk of its own, in the last one, or in x_groq."""

    def __init__(self, provider: OpenAICompatible) -> None:
        self._provider = provider
        self._texts: list[str] = []
        self._seen: dict[str, Any] = {}
        self._reason: Any = None
        self._refused = self._called = self._answered = False
        self.finished = False

    def feed(self, event: Event) -> str:
        """The text in one chunk; raises ProviderError for an error in its place."""
        if event.data == "[DONE]":
            self.finished = True
            return ""
        body = json_text(event.data)
        raise_hidden_error(body)
        self._seen |= {key: body[key] for key in ("usage", "x_groq", "model") if body.get(key)}
        choices = body.get("choices")
        if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
            return ""
        self._answered = True
        if choices[0].get("finish_reason") is not None:
            self._reason, self.finished = choices[0]["finish_reason"], True
        delta = choices[0].get("delta")
        text = self._text(delta) if isinstance(delta, dict) else ""
        self._texts.append(text)
        return text

    def _text(self, delta: Mapping[str, Any]) -> str:
        self._called = self._called or bool(delta.get("tool_calls"))
        refusal = delta.get("refusal")
        if isinstance(refusal, str) and refusal:
            self._refused = True
            return refusal
        return plain_text(delta.get("content"))

    def usage(self) -> UsageData | None:
        """What the stream has counted so far."""
        return self._usage(None) if self._seen.get("usage") or self._seen.get("x_groq") else None

    def _usage(self, finish: FinishReason | None) -> UsageData:
        model = self._seen.get("model")
        served = model if isinstance(model, str) else None
        return self._provider.usage_of(self._seen, finish_reason=finish, served_model=served)

    def delivery(self) -> Delivery:
        """The whole answer; raises BadResponseError for one without choices or one that failed."""
        if not self._answered:
            bad("the stream has no choices", "no_choices", "")
        if self._reason == "error":
            bad("the model failed while it answered", "error_in_200", "")
        text = "".join(self._texts)
        message = {"content": text, "refusal": text if self._refused else None, "tool_calls": self._called}
        finish = text_and_finish(message, self._reason)[1]
        return Delivery(text, self._usage(finish))


def text_and_finish(message: Mapping[str, Any], reason: Any) -> tuple[str, FinishReason | None]:
    """The text of a message, or its refusal, and why it ended in our words."""
    finish = FINISH.get(reason) if isinstance(reason, str) else None
    refusal = message.get("refusal")
    text = plain_text(message.get("content"))
    if isinstance(refusal, str) and refusal:
        return text or refusal, "refusal"
    if not text and message.get("tool_calls"):
        return "", "tool_calls"
    return text, finish


def plain_text(content: Any) -> str:
    """The text of a content field: a string, or a list of parts of which the text ones count."""
    if isinstance(content, str):
        return content
    if content is None:
        return ""
    if not isinstance(content, list):
        bad("the message's content is neither text nor parts", "bad_content", str(content))
    parts = [part for part in content if isinstance(part, dict) and part.get("type") in ("text", "output_text")]
    return "".join(part["text"] for part in parts if isinstance(part.get("text"), str))


def _turn(message: Message) -> dict[str, str]:
    return {"role": message.role, "content": message.content}
