"""Rows P: answers that are none, or not quite."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from faults.room import Room
from faults.table import Finding
from llm_tester.testing import LoopbackServer, Play
from llm_tester.testing.plays import ToolCall

Results = list[dict[str, Any]]


def _each(folder: Path, plays: Mapping[str, Play]) -> dict[str, dict[str, Any]]:
    """The one result of a run per play, by its name."""
    found = {}
    for name, play in plays.items():
        with LoopbackServer(play) as server:
            room = Room(folder / name.replace(" ", "_"), f"{server.url}/v1", config={"retry": {"max_retries": 0}})
            ended = room.batch()
            (result,) = room.results()
            found[name] = {**result, "clean": ended.clean}
    return found


def _chat(**fields: Any) -> Play:
    return Play(raw=json.dumps({"id": "x", "object": "chat.completion", "model": "m", **fields}).encode())


def _reasons(found: Mapping[str, dict[str, Any]]) -> str:
    return ", ".join(f"{name}: {row['outcome']}" for name, row in found.items())


def _all_errors(number: str, fault: str, required: str, plays: Mapping[str, Play]) -> Callable[[Path], Finding]:
    def row(folder: Path) -> Finding:
        found = _each(folder, plays)
        good = [name for name, result in found.items() if result["outcome"] != "error" or not result["clean"]]
        said = {str(result.get("error", "")).partition(":")[0] for result in found.values()}
        counted = f"{len(good)} taken for an answer of {len(found)}; {', '.join(sorted(said))}"
        return Finding(number, fault, "server", required, counted, not good and said == {"BadResponseError"})

    return row


_HTML = Play(raw=b"<html><body>Welcome to the Wi-Fi</body></html>", content_type="text/html")
_WHOLE = json.dumps({"choices": [{"message": {"role": "assistant", "content": "1"}}]}).encode()

html = _all_errors("P1", "200 with HTML", "BadResponseError", {"html": _HTML})
hidden = _all_errors(
    "P2", "200 with an error body", "an error, not an empty answer", {"error": _chat(error={"message": "no capacity"})}
)
truncated = _all_errors("P4", "truncated JSON", "BadResponseError", {"half": Play(raw=_WHOLE[: len(_WHOLE) // 2])})


def no_choices(folder: Path) -> Finding:
    """P3"""
    found = _each(folder, {"none": _chat(choices=[]), "null": _chat(choices=None), "empty text": Play("")})
    held = [row["outcome"] for row in found.values()] == ["error", "error", "empty"]
    return Finding("P3", "choices [] / null; empty text", "server", "error; empty", _reasons(found), held)


def cut_stream(folder: Path) -> Finding:
    """P5"""
    codes = {}
    for fault in ("cut_stream", "error_in_stream"):
        with LoopbackServer(Play("one two three", fault=fault)) as server:
            ended = Room(folder / fault, f"{server.url}/v1", config={"retry": {"max_retries": 0}}).ask()
            codes[fault] = ended.code if ended.clean and "Error: " in ended.err else -1
    counted = ", ".join(f"{fault}: exit {code}" for fault, code in codes.items())
    return Finding("P5", "truncated stream", "server", "an error, never whole", counted, set(codes.values()) == {1})


def no_usage(folder: Path) -> Finding:
    """P6"""
    found = _each(folder, {"missing": Play("1", usage=None), "null": Play("1", raw_usage=None)})
    zero = [name for name, row in found.items() if row["cost_usd"] is not None]
    answered = all(row["outcome"] == "correct" for row in found.values())
    return Finding(
        "P6", "usage missing", "server", "cost unknown, not 0", f"{len(zero)} rows with a cost", answered and not zero
    )


def odd_counts(folder: Path) -> Finding:
    """P7"""
    bodies = {
        "NaN": b'{"prompt_tokens": NaN, "completion_tokens": 5}',
        "negative": b'{"prompt_tokens": -5, "completion_tokens": 5}',
        "huge": b'{"prompt_tokens": 1e30, "completion_tokens": 5}',
        "fraction": b'{"prompt_tokens": 1.5, "completion_tokens": 5}',
    }
    plays = {name: Play(raw=_WHOLE[:-1] + b', "usage": ' + usage + b"}") for name, usage in bodies.items()}
    found = _each(folder, plays)
    priced = [name for name, row in found.items() if row["cost_usd"] is not None]
    answered = all(row["outcome"] in ("correct", "error") and row["clean"] for row in found.values())
    counted = f"{len(priced)} priced, no NaN in the report; {_reasons(found)}"
    return Finding(
        "P7", "NaN, negative, huge tokens", "server", "cost unknown, totals finite", counted, answered and not priced
    )


def refusal(folder: Path) -> Finding:
    """P8"""
    (row,) = _each(folder, {"refusal": Play(refusal="I cannot help with that.")}).values()
    held = row["outcome"] == "refused" and row["cost_usd"] is not None
    return Finding("P8", "refusal", "server", "refused, billed", f"{row['outcome']}, ${row['cost_usd']}", held)


def tool_call(folder: Path) -> Finding:
    """P9"""
    (row,) = _each(folder, {"tool": Play("", tool_calls=(ToolCall("search"),))}).values()
    held = row["clean"] and row["outcome"] in ("empty", "invalid")
    return Finding("P9", "tool call, content null", "server", "no crash", row["outcome"], held)


def odd_json(folder: Path) -> Finding:
    """P10"""
    deep = b"[" * 10_000 + b"]" * 10_000
    plays = {
        "duplicate": Play(raw=_WHOLE[:-1] + b', "choices": []}'),
        "deep": Play(raw=_WHOLE[:-1] + b', "more": ' + deep + b"}"),
        "unknown": Play("1", extra={"service_tier": "x", "new_field": {"a": 1}}),
    }
    found = _each(folder, plays)
    outcomes = {name: row["outcome"] for name, row in found.items()}
    clean = all(row["clean"] for row in found.values())
    held = clean and outcomes == {"duplicate": "error", "deep": "error", "unknown": "correct"}
    return Finding(
        "P10", "duplicate or unknown keys, 10,000 levels", "server", "a bounded error", _reasons(found), held
    )


def other_model(folder: Path) -> Finding:
    """P11"""
    found = _each(folder, {"other": Play("1", model="another-model"), "dated": Play("1", model="m-2026-01-01")})
    served = {name: row.get("served_model") for name, row in found.items()}
    priced = all(row["cost_usd"] == "0.00002" for row in found.values())
    held = priced and served["other"] == "another-model"
    counted = ", ".join(f"{name}: {model}" for name, model in served.items())
    return Finding("P11", "another model answers", "server", "both names kept, price of the one asked", counted, held)


ROWS: dict[str, Callable[[Path], Finding]] = {
    "P1": html,
    "P2": hidden,
    "P3": no_choices,
    "P4": truncated,
    "P5": cut_stream,
    "P6": no_usage,
    "P7": odd_counts,
    "P8": refusal,
    "P9": tool_call,
    "P10": odd_json,
    "P11": other_model,
}
