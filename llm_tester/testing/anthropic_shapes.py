"""Anthropic's answers: messages whole and as a stream, errors, and the list of models."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from llm_tester.testing.plays import Play, Received
from llm_tester.testing.shapes import cut, event, model_of, to_json, usage_field

STOP_REASONS = {"stop": "end_turn", "length": "max_tokens", "content_filter": "refusal", "tool_calls": "tool_use"}
BESIDE_INPUT = ("cached_input", "cache_write_5m", "cache_write_1h")
ERRORS = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    409: "conflict_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}


def usage(counts: Mapping[str, int]) -> dict[str, Any]:
    """Counts in Anthropic's words: the input is what was neither read from a cache nor written to it."""
    found: dict[str, Any] = {}
    if "input" in counts:
        found["input_tokens"] = counts["input"] - sum(counts.get(name, 0) for name in BESIDE_INPUT)
    if "cached_input" in counts:
        found["cache_read_input_tokens"] = counts["cached_input"]
    if "cache_write_5m" in counts or "cache_write_1h" in counts:
        short, long = counts.get("cache_write_5m", 0), counts.get("cache_write_1h", 0)
        found["cache_creation_input_tokens"] = short + long
        found["cache_creation"] = {"ephemeral_5m_input_tokens": short, "ephemeral_1h_input_tokens": long}
    return found | _output_usage(counts)


def message(play: Play, received: Received) -> bytes:
    """A message."""
    body = _frame(play, received) | {"content": _blocks(play)} | _ending(play) | usage_field(play, usage)
    return to_json(body | dict(play.extra))


def stream(play: Play, received: Received) -> list[bytes]:
    """A message as the events of a stream; one that fails breaks off halfway with an error event."""
    frame = _frame(play, received) | {"content": [], "stop_reason": None, "stop_sequence": None}
    start = frame | usage_field(play, _first_usage) | dict(play.extra)
    events = [_event("message_start", message=start)]
    for index, block in enumerate(_blocks(play)):
        events += _block_events(index, block, play)
    if play.fault == "error_in_stream":
        return [*events[: 1 + len(events) // 2], event(error_body(play, received, 529), "error")]
    final = usage_field(play, _last_usage)
    return [*events, _event("message_delta", delta=_ending(play), **final), _event("message_stop")]


def error_body(play: Play, received: Received, status: int) -> dict[str, Any]:
    """An error in Anthropic's shape, made up from the status where the play says nothing."""
    kind = ERRORS.get(status, "api_error" if status >= 500 else "invalid_request_error")
    made_up = {"type": kind, "message": f"the loopback server answers {status}"}
    request = f"req_{received.number:06d}"
    return {"type": "error", "error": made_up | dict(play.error or {}), "request_id": request, **play.extra}


def models(names: Sequence[str], play: Play) -> bytes:
    """The list of models, all of it on one page."""
    made = {"type": "model", "created_at": "2026-01-01T00:00:00Z", "lifecycle": "active"}
    listed = [{"id": name, "display_name": name, **made} for name in names]
    ends = {"first_id": names[0] if names else None, "last_id": names[-1] if names else None}
    return to_json({"data": listed, "has_more": False, **ends, **play.extra})


def _frame(play: Play, received: Received) -> dict[str, Any]:
    number = f"msg_{received.number:06d}"
    return {"id": number, "type": "message", "role": "assistant", "model": model_of(play, received)}


def _blocks(play: Play) -> list[dict[str, Any]]:
    calls = [
        {"type": "tool_use", "id": call.id, "name": call.name, "input": json.loads(call.arguments)}
        for call in play.tool_calls
    ]
    has_text = bool(play.text or not calls) and not play.refusal
    return [*([{"type": "text", "text": play.text}] if has_text else []), *calls]


def _ending(play: Play) -> dict[str, Any]:
    finish = play.finish or ("tool_calls" if play.tool_calls else "stop")
    reason = "refusal" if play.refusal else STOP_REASONS.get(finish, finish)
    ending: dict[str, Any] = {"stop_reason": reason, "stop_sequence": None}
    if reason == "refusal":
        ending["stop_details"] = {"type": "refusal", "category": None, "explanation": play.refusal or None}
    return ending


def _block_events(index: int, block: dict[str, Any], play: Play) -> list[bytes]:
    if block["type"] == "text":
        empty = block | {"text": ""}
        deltas = [{"type": "text_delta", "text": piece} for piece in cut(block["text"], play.chunks)]
    else:
        empty = block | {"input": {}}
        pieces = cut(json.dumps(block["input"]), play.chunks)
        deltas = [{"type": "input_json_delta", "partial_json": piece} for piece in pieces]
    return [
        _event("content_block_start", index=index, content_block=empty),
        *([_event("ping")] if index == 0 else []),
        *[_event("content_block_delta", index=index, delta=delta) for delta in deltas],
        _event("content_block_stop", index=index),
    ]


def _event(name: str, **fields: Any) -> bytes:
    return event({"type": name, **fields}, name)


def _output_usage(counts: Mapping[str, int]) -> dict[str, Any]:
    found: dict[str, Any] = {"output_tokens": counts["output"]} if "output" in counts else {}
    if "reasoning" in counts:
        found["output_tokens_details"] = {"thinking_tokens": counts["reasoning"]}
    return found


def _first_usage(counts: Mapping[str, int]) -> dict[str, Any]:
    return usage({name: count for name, count in counts.items() if name not in ("output", "reasoning")}) | (
        {"output_tokens": 1} if "output" in counts else {}
    )


def _last_usage(counts: Mapping[str, int]) -> dict[str, Any]:
    # The API sends null for what the first event has told; only the output is counted anew.
    told = dict.fromkeys(("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens"))
    return told | _output_usage(counts)
