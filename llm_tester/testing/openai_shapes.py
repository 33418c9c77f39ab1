"""OpenAI's answers: chat completions whole and as a stream, errors, and the list of models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from llm_tester.testing.plays import Play, Received, ToolCall
from llm_tester.testing.shapes import CREATED, cut, event, model_of, to_json, usage_field

DONE = b"data: [DONE]\n\n"
INPUT_DETAILS = {"cached_input": "cached_tokens", "audio_input": "audio_tokens"}
OUTPUT_DETAILS = {"reasoning": "reasoning_tokens", "audio_output": "audio_tokens"}
ERRORS: Mapping[int, tuple[str, str | None]] = {
    401: ("invalid_request_error", "invalid_api_key"),
    404: ("invalid_request_error", "model_not_found"),
    429: ("requests", "rate_limit_exceeded"),
}


def usage(counts: Mapping[str, int]) -> dict[str, Any]:
    """Counts in OpenAI's words: input and output are all of it, and the details say what is inside."""
    names = {"input": "prompt_tokens", "output": "completion_tokens"}
    found: dict[str, Any] = {names[name]: counts[name] for name in names if name in counts}
    if len(found) == len(names):
        found["total_tokens"] = sum(found.values())
    inputs = {INPUT_DETAILS[name]: counts[name] for name in INPUT_DETAILS if name in counts}
    writes = [counts[name] for name in ("cache_write_5m", "cache_write_1h") if name in counts]
    if writes:
        inputs["cache_write_tokens"] = sum(writes)
    outputs = {OUTPUT_DETAILS[name]: counts[name] for name in OUTPUT_DETAILS if name in counts}
    details = {"prompt_tokens_details": inputs, "completion_tokens_details": outputs}
    return found | {name: detail for name, detail in details.items() if detail}


def completion(play: Play, received: Received) -> bytes:
    """A chat completion."""
    message: dict[str, Any] = {
        "role": "assistant",
        "content": None if play.refusal or (play.tool_calls and not play.text) else play.text,
        "refusal": play.refusal or None,
    }
    if play.tool_calls:
        message["tool_calls"] = [_tool_call(call, call.arguments) for call in play.tool_calls]
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": _finish(play)}
    body = _frame(play, received, "chat.completion") | {"choices": [choice]}
    return to_json(body | usage_field(play, usage) | dict(play.extra))


def stream(play: Play, received: Received) -> list[bytes]:
    """A chat completion as the events of a stream; one that fails breaks off halfway with an error event."""
    frame = _frame(play, received, "chat.completion.chunk")
    deltas = _deltas(play)
    if play.fault == "error_in_stream":
        kept = deltas[: 1 + len(deltas) // 2]
        failure = event(error_body(play, 500))
        return [*[_chunk(play, frame, delta) for delta in kept], failure, DONE]
    reported = usage_field(play, usage)
    asked = _asked_for_usage(received) and play.in_stream != "always"
    padding = {"usage": None} if asked and reported else {}
    events = [_chunk(play, frame, delta, **padding) for delta in deltas]
    events.append(_chunk(play, frame, {}, _finish(play), **(padding | _closing(play, reported))))
    if asked and reported:
        events.append(event(frame | {"choices": []} | reported | dict(play.extra)))
    return [*events, DONE]


def error_body(play: Play, status: int) -> dict[str, Any]:
    """An error in OpenAI's shape, made up from the status where the play says nothing."""
    kind, code = ERRORS.get(status, ("server_error" if status >= 500 else "invalid_request_error", None))
    made_up = {"message": f"the loopback server answers {status}", "type": kind, "param": None, "code": code}
    return {"error": made_up | dict(play.error or {}), **play.extra}


def models(names: Sequence[str], play: Play) -> bytes:
    """The list of models."""
    listed = [{"id": name, "object": "model", "created": CREATED, "owned_by": "loopback"} for name in names]
    return to_json({"object": "list", "data": listed, **play.extra})


def _frame(play: Play, received: Received, kind: str) -> dict[str, Any]:
    number = f"chatcmpl-{received.number:06d}"
    return {"id": number, "object": kind, "created": CREATED, "model": model_of(play, received)}


def _finish(play: Play) -> str:
    return play.finish or ("tool_calls" if play.tool_calls else "stop")


def _tool_call(call: ToolCall, arguments: str) -> dict[str, Any]:
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": arguments}}


def _deltas(play: Play) -> list[dict[str, Any]]:
    field, text = ("refusal", play.refusal) if play.refusal else ("content", play.text)
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": None if play.refusal else "", "refusal": None}]
    deltas += [{field: piece} for piece in cut(text, play.chunks)]
    for index, call in enumerate(play.tool_calls):
        deltas.append({"tool_calls": [{"index": index, **_tool_call(call, "")}]})
        pieces = [{"index": index, "function": {"arguments": piece}} for piece in cut(call.arguments, play.chunks)]
        deltas += [{"tool_calls": [piece]} for piece in pieces]
    return deltas


def _chunk(
    play: Play, frame: Mapping[str, Any], delta: Mapping[str, Any], finish: str | None = None, **fields: Any
) -> bytes:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
    return event({**frame, "choices": [choice], **fields, **play.extra})


def _closing(play: Play, reported: dict[str, Any]) -> dict[str, Any]:
    if play.in_stream == "option" or not reported:
        return {}
    return reported if play.in_stream == "always" else {"x_groq": {"id": "req_loopback", **reported}}


def _asked_for_usage(received: Received) -> bool:
    options = received.body.get("stream_options")
    return isinstance(options, dict) and options.get("include_usage") is True
