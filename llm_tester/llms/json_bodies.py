"""JSON as servers send it: HTML in its place, keys that stand twice and endless nesting are found here."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from typing import Any, NoReturn

from llm_tester.errors import BadResponseError
from llm_tester.llms.transport import Reply

RAW_SHOWN = 500
RAW_KEPT = 16_000
DEEPEST = 100


def json_body(reply: Reply) -> dict[str, Any]:
    """The JSON object in a reply; raises BadResponseError for HTML, broken or endless JSON, keys that stand twice."""
    text = reply.body.decode("utf-8", "replace")
    kind = reply.headers.get("content-type", "")
    if "json" not in kind and text.lstrip()[:1] not in ("{", "["):
        bad(f"the answer is {kind or 'of no declared type'}, not JSON", "bad_content_type", text)
    return json_text(text)


def json_text(text: str) -> dict[str, Any]:
    """The JSON object in a text; raises BadResponseError."""
    try:
        body = _JSON.decode(text)
    except RecursionError:
        bad("the answer is nested too deeply", "too_deep", text)
    except ValueError as error:
        bad(f"the answer is not valid JSON ({error})", "bad_json", text)
    if is_too_deep(body, text):
        bad(f"the answer is nested deeper than {DEEPEST} levels", "too_deep", text)
    if not isinstance(body, dict):
        bad("the answer is not a JSON object", "bad_shape", text)
    return body


def is_too_deep(value: Any, text: str) -> bool:
    """Whether a value that could be read might be too deep to be written again, which ends earlier in places."""
    if text.count("[") + text.count("{") <= DEEPEST:
        return False
    level = [value]
    for _ in range(DEEPEST):
        level = [child for item in level for child in _children(item)]
    return bool(level)


def _children(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def bad(message: str, reason: str, raw: str) -> NoReturn:
    """Raise BadResponseError with the beginning of what came in its message, and more of it in `raw`."""
    shown = raw.strip()[:RAW_SHOWN]
    raise BadResponseError(f"{message}: {shown}" if shown else message, reason=reason, raw=raw[:RAW_KEPT])


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        twice = Counter(name for name, _ in pairs).most_common(1)[0][0]
        raise ValueError(f'the key "{twice[:80]}" stands twice')
    return found


_JSON = json.JSONDecoder(object_pairs_hook=_unique)
