"""`"api": "anthropic"`: the Messages API, version 2023-06-01 unless the configuration's headers name another."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from llm_tester.llms.exchange import Delivery
from llm_tester.llms.extraction import ANTHROPIC_PATHS
from llm_tester.llms.transport import Reply, WireRequest
from llm_tester.llms.wire import HTTPProvider, bad, json_body
from llm_tester.records import FinishReason, Request

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


class AnthropicMessages(HTTPProvider):
    """POST {base_url}/v1/messages; the answer is the text blocks of `content`."""

    usage_paths = ANTHROPIC_PATHS

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


def _text(block: Any) -> str:
    if isinstance(block, dict) and block.get("type") == "text" and isinstance(block.get("text"), str):
        return str(block["text"])
    return ""
