"""What a provider says is left of its limits, in the headers of any answer."""

from __future__ import annotations

import math
from collections.abc import Mapping

from llm_tester.llms.retry_after import reset_seconds
from llm_tester.records import Allowance

_STYLES = ("x-ratelimit-{what}-{kind}", "anthropic-ratelimit-{kind}-{what}")
_KINDS = {"requests": ("requests",), "tokens": ("tokens", "input-tokens", "output-tokens")}
_NAMES = {
    kind: [
        (style.format(what="remaining", kind=name), style.format(what="reset", kind=name))
        for style in _STYLES
        for name in names
    ]
    for kind, names in _KINDS.items()
}
"""The headers of each kind: what is left, and when it is whole again."""
_REMAINING = frozenset(remaining for pairs in _NAMES.values() for remaining, _ in pairs)


def allowance(headers: Mapping[str, str], now: float) -> Allowance | None:
    """What is left and in how many seconds it is whole again, the scarcest of each kind; None where nothing is said.

    Understood are `x-ratelimit-*` (resets as Go durations or seconds) and `anthropic-ratelimit-*` (RFC 3339); `now` is
    Unix time. Negative and nonsensical numbers are left out.
    """
    if _REMAINING.isdisjoint(headers):
        return None
    requests = _scarcest(headers, "requests", now)
    tokens = _scarcest(headers, "tokens", now)
    if requests is None and tokens is None:
        return None
    return Allowance(*(requests or (None, None)), *(tokens or (None, None)))


def _scarcest(headers: Mapping[str, str], kind: str, now: float) -> tuple[float, float] | None:
    found = [
        (left, reset)
        for remaining, again in _NAMES[kind]
        if remaining in headers
        and (left := _number(headers[remaining])) is not None
        and (reset := reset_seconds(headers.get(again, ""), now)) is not None
    ]
    return min(found, default=None)


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) and value >= 0 else None
