"""`"api": "openai"`: chat completions, as OpenAI and all that speak like it answer them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from llm_tester.documents import Document
from llm_tester.llms.exchange import Delivery
from llm_tester.llms.extraction import OPENAI_PATHS
from llm_tester.llms.transport import Reply, WireRequest
from llm_tester.llms.wire import HTTPProvider, bad, json_body, raise_hidden_error
from llm_tester.records import FinishReason, Message, Request

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
        return OpenAIOptions.model_validate(self.config.options).path.replace("{model}", request.model)

    def turns(self, request: Request) -> list[Message]:
        """The request's turns, after the provider's own system prompt where the request brings none."""
        turns = list(request.messages)
        if self.config.system_prompt and not any(turn.role == "system" for turn in turns):
            turns.insert(0, Message("system", self.config.system_prompt))
        return turns

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
