"""When a provider says to come back: every dialect of Retry-After, in seconds from now."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

_GO_DURATION = re.compile(r"(?:\d+(?:\.\d+)?(?:h|ms|m|us|µs|ns|s))+")
_GO_PART = re.compile(r"(\d+(?:\.\d+)?)(h|ms|m|us|µs|ns|s)")
_GO_SECONDS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
_RESETS = (
    "x-ratelimit-{}-requests",
    "x-ratelimit-{}-tokens",
    "anthropic-ratelimit-requests-{}",
    "anthropic-ratelimit-tokens-{}",
    "anthropic-ratelimit-input-tokens-{}",
    "anthropic-ratelimit-output-tokens-{}",
)


def retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Seconds until the provider wants to be asked again; None where it says nothing that makes sense.

    `retry-after-ms` wins over `retry-after` (seconds or an HTTP date), and that over the latest reset of a limit that
    is used up (`x-ratelimit-reset-*`: Go durations, `anthropic-ratelimit-*-reset`: RFC 3339). `now` is Unix time.
    """
    milliseconds = _number(headers.get("retry-after-ms", ""))
    if milliseconds is not None:
        return milliseconds / 1000
    text = headers.get("retry-after", "").strip()
    if text:
        seconds = _number(text)
        if seconds is None:
            return _http_date(text, now)
        # Nobody means 30 years.
        return seconds if seconds < 1e9 else None
    resets = [_reset(headers, template, now) for template in _RESETS]
    return max((reset for reset in resets if reset is not None), default=None)


def _reset(headers: Mapping[str, str], template: str, now: float) -> float | None:
    if headers.get(template.format("remaining"), "").strip() != "0":
        return None
    return reset_seconds(headers.get(template.format("reset"), ""), now)


def reset_seconds(text: str, now: float) -> float | None:
    """Seconds until a reset that is told as a Go duration, in seconds, or as an RFC 3339 or Unix time."""
    text = text.strip()
    number = _number(text)
    if number is not None:
        # Seconds since 1970 are told from a span by their size: no limit lasts 30 years.
        return number if number < 1e9 else max(0.0, number - now)
    return go_duration(text) if _GO_DURATION.fullmatch(text) else _timestamp(text, now)


def go_duration(text: str) -> float | None:
    """Seconds of a Go duration such as 6m0s or 12ms."""
    if not _GO_DURATION.fullmatch(text):
        return None
    return sum(float(amount) * _GO_SECONDS[unit] for amount, unit in _GO_PART.findall(text))


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) and value >= 0 else None


def _http_date(text: str, now: float) -> float | None:
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError):
        return None
    return max(0.0, (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() - now)


def _timestamp(text: str, now: float) -> float | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return max(0.0, (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() - now)
