"""`"api": "anthropic"`: the Messages API, version 2023-06-01 unless the configuration's headers name another."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NoReturn

from llm_tester.llms.exchange import Delivery
from llm_tester.llms.extraction import ANTHROPIC_PATHS
from llm_tester.llms.json_bodies import bad, json_body, json_text
from llm_tester.llms.sse import Event
from llm_tester.llms.transport import Reply, WireRequest
from llm_tester.llms.wire import HTTPProvider, classified
from llm_tester.records import FinishReason, Request, UsageData

VERSION = "2023-06-01"
MAX_TOKENS = 4096
FINISH: Mapping[str, FinishReason] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "refusal",
}


_STATUS: Mapping[str, int] = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
}


class AnthropicMessages(HTTPProvider):
    """POST {base_url}/v1/messages; the answer is the text blocks of `content`."""

    usage_paths = ANTHROPIC_PATHS
    sdk = "anthropic"

    def build_request(self, request: Request) -> WireRequest:
        """The request body as the official SDK sends it; max_tokens, which the API wants, is 4,096 where not given."""
        entry = self.model_entry(request.model)
        parameters = self.sent_parameters(request)
        parameters.setdefault("max_tokens", min(MAX_TOKENS, entry.max_output_tokens or MAX_TOKENS))
        system = request.system_prompt or self.config.system_prompt
        turns = [{"role": turn.role, "content": turn.content} for turn in request.messages if turn.role != "system"]
        body = {"model": request.model, "messages": turns, **({"system": system} if system else {}), **parameters}
        return WireRequest("POST", self.url("v1/messages"), self.headers(request), json.dumps(body).encode())

    def headers(self, request: Request) -> dict[str, str]:
        """As everywhere, with the version of the API."""
        return {"anthropic-version": VERSION, **super().headers(request)}

    def parse_stream(self, request: Request) -> MessageStream:
        """What reads the events of a streamed answer."""
        return MessageStream(self)

    def parse_response(self, reply: Reply, request: Request) -> Delivery:
        """Text, usage and finish reason; raises BadResponseError for an answer without content."""
        body = json_body(reply)
        raw = reply.body.decode("utf-8", "replace")
        if body.get("type") == "error" or body.get("error"):
            bad("an error in an answer with status 200", "error_in_200", raw)
        content = body.get("content")
        if not isinstance(content, list):
            bad("the answer has no content", "no_content", raw)
        reason = body.get("stop_reason")
        if reason == "pause_turn":
            bad("the answer paused and is unfinished", "paused", raw)
        text = "".join(_text(block) for block in content)
        model = body.get("model")
        finish = FINISH.get(reason) if isinstance(reason, str) else None
        usage = self.usage_of(body, finish_reason=finish, served_model=model if isinstance(model, str) else None)
        return Delivery(text, usage)


class MessageStream:
    """Reads the events of a streamed message; its counts are cumulative, and a later one replaces an earlier one."""

    def __init__(self, provider: AnthropicMessages) -> None:
        self._provider = provider
        self._texts: list[str] = []
        self._usage: dict[str, Any] = {}
        self._model: str | None = None
        self._reason: Any = None
        self._begun = False
        self.finished = False

    def feed(self, event: Event) -> str:
        """The text in one event; raises ProviderError for an error event."""
        body = json_text(event.data)
        kind = body.get("type") or event.name
        if kind == "error":
            raise_stream_error(body)
        if kind == "message_start" and isinstance(body.get("message"), dict):
            self._begin(body["message"])
        elif kind == "message_delta":
            self._count(body.get("usage"))
            delta = body.get("delta")
            self._reason = (delta.get("stop_reason") if isinstance(delta, dict) else None) or self._reason
        elif kind == "message_stop":
            self.finished = True
        text = _delta_text(body) if kind == "content_block_delta" else ""
        self._texts.append(text)
        return text

    def _begin(self, message: Mapping[str, Any]) -> None:
        self._begun = True
        self._model = message["model"] if isinstance(message.get("model"), str) else None
        self._count(message.get("usage"))

    def _count(self, usage: Any) -> None:
        if isinstance(usage, dict):
            self._usage |= {name: count for name, count in usage.items() if count is not None}

    def usage(self) -> UsageData | None:
        """What the stream has counted so far."""
        return self._read(None) if self._usage else None

    def _read(self, finish: FinishReason | None) -> UsageData:
        body = {"usage": self._usage} if self._usage else {}
        return self._provider.usage_of(body, finish_reason=finish, served_model=self._model)

    def delivery(self) -> Delivery:
        """The whole answer; raises BadResponseError for a stream that held none, or one that paused."""
        if not self._begun:
            bad("the stream holds no message", "no_content", "")
        if self._reason == "pause_turn":
            bad("the answer paused and is unfinished", "paused", "")
        finish = FINISH.get(self._reason) if isinstance(self._reason, str) else None
        return Delivery("".join(self._texts), self._read(finish))


def raise_stream_error(body: Mapping[str, Any]) -> NoReturn:
    """Raise the error that an error event stands for: its type says which status it would have had."""
    error = body.get("error")
    kind, message = (str(error.get("type")), str(error.get("message"))) if isinstance(error, dict) else ("", str(error))
    status = _STATUS.get(kind)
    if status is None:
        bad(f"an error in the stream: {message}", "error_in_200", "")
    raise classified(status, kind, message)


def _delta_text(body: Mapping[str, Any]) -> str:
    delta = body.get("delta")
    if isinstance(delta, dict) and delta.get("type") == "text_delta" and isinstance(delta.get("text"), str):
        return str(delta["text"])
    return ""


def _text(block: Any) -> str:
    if isinstance(block, dict) and block.get("type") == "text" and isinstance(block.get("text"), str):
        return str(block["text"])
    return ""
