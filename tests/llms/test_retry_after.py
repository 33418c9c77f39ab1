"""Retry-After in every dialect that providers speak."""

from __future__ import annotations

import pytest

from llm_tester.llms.retry_after import go_duration, retry_after

NOW = 1_795_219_200.0  # 2026-11-21 00:00:00 UTC


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        pytest.param({}, None, id="says nothing"),
        pytest.param({"retry-after": "2"}, 2.0, id="seconds"),
        pytest.param({"retry-after": "0.25"}, 0.25, id="a fraction"),
        pytest.param({"retry-after-ms": "1500", "retry-after": "9"}, 1.5, id="milliseconds win"),
        pytest.param({"retry-after": "Sat, 21 Nov 2026 00:00:30 GMT"}, 30.0, id="an HTTP date"),
        pytest.param({"retry-after": "Fri, 20 Nov 2026 00:00:00 GMT"}, 0.0, id="a date that has passed"),
        pytest.param({"retry-after": "-5"}, None, id="negative"),
        pytest.param({"retry-after": "NaN"}, None, id="no number"),
        pytest.param({"retry-after": "inf"}, None, id="endless"),
        pytest.param({"retry-after": "soon"}, None, id="nonsense"),
        pytest.param({"retry-after": "1e308"}, None, id="for ever"),
        pytest.param({"retry-after-ms": "soon", "retry-after": "3"}, 3.0, id="nonsense, then seconds"),
        pytest.param(
            {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "1m30s"}, 90.0, id="a Go duration"
        ),
        pytest.param(
            {"x-ratelimit-remaining-tokens": "12", "x-ratelimit-reset-tokens": "6m0s"},
            None,
            id="a limit with room left",
        ),
        pytest.param(
            {
                "x-ratelimit-remaining-requests": "0",
                "x-ratelimit-reset-requests": "12ms",
                "x-ratelimit-remaining-tokens": "0",
                "x-ratelimit-reset-tokens": "2s",
            },
            2.0,
            id="the later of two",
        ),
        pytest.param(
            {
                "anthropic-ratelimit-requests-remaining": "0",
                "anthropic-ratelimit-requests-reset": "2026-11-21T00:00:07Z",
            },
            7.0,
            id="RFC 3339",
        ),
        pytest.param(
            {"anthropic-ratelimit-tokens-remaining": "0", "anthropic-ratelimit-tokens-reset": "later"},
            None,
            id="a reset that is no time",
        ),
        pytest.param(
            {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "-1"}, None, id="a negative reset"
        ),
    ],
)
def test_the_wait_that_headers_ask_for(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers, NOW) == (None if seconds is None else pytest.approx(seconds))


@pytest.mark.parametrize(
    ("text", "seconds"), [("12ms", 0.012), ("6m0s", 360.0), ("1h2m3s", 3723.0), ("1.5s", 1.5), ("", None), ("5", None)]
)
def test_go_durations(text: str, seconds: float | None) -> None:
    assert go_duration(text) == seconds
