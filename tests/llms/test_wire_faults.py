"""HTTP providers against a real loopback server that fails in every way it can."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest

from llm_tester.errors import (
    AuthenticationError,
    BadRequestError,
    BadResponseError,
    ContentFilterError,
    ContextLengthError,
    OverloadedError,
    ProviderConnectionError,
    ProviderError,
    ProviderTimeoutError,
    QuotaExceededError,
    RateLimitError,
)
from llm_tester.llms.transport import HTTPTransport, Reply, proxy_for
from llm_tester.testing import LoopbackServer, Play
from tests.llms.wire_calls import KEY, Ask, provider


@pytest.mark.parametrize(
    ("play", "reason"),
    [
        (Play(raw=b"<html>down</html>", content_type="text/html"), "bad_content_type"),
        (Play(raw=b'{"choices": [{"mess'), "bad_json"),
        (Play(raw=b"[]"), "bad_shape"),
        (Play(raw=b"[" * 20_000), "too_deep"),
        (Play(raw=b'{"choices": [], "choices": []}'), "bad_json"),
        (Play(raw=b'{"choices": []}'), "no_choices"),
        (Play(raw=b'{"choices": null}'), "no_choices"),
        (Play(raw=b'{"choices": [{}]}'), "no_message"),
        (Play(raw=b'{"choices": [{"message": {"content": 5}}]}'), "bad_content"),
        (Play(raw=b'{"choices": [{"message": {"content": "x"}, "finish_reason": "error"}]}'), "error_in_200"),
        (Play(raw=b'{"error": {"message": "upstream is down"}}'), "error_in_200"),
        (Play(raw=b'{"choices": 1}', headers={"content-encoding": "br"}), "bad_encoding"),
        (Play(raw=b"not gzip", headers={"content-encoding": "gzip"}), "bad_encoding"),
    ],
)
def test_a_200_that_is_no_answer_is_an_error(play: Play, reason: str, ask_wire: Ask) -> None:
    with LoopbackServer(play) as server:
        with pytest.raises(BadResponseError) as caught:
            ask_wire(provider("openai", server.url), retries=3)
        assert server.count == 1
    assert caught.value.reason == reason


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b'{"type": "error", "error": {"type": "overloaded_error", "message": "x"}}', "error_in_200"),
        (b'{"content": null}', "no_content"),
        (b'{"content": [], "stop_reason": "pause_turn"}', "paused"),
    ],
)
def test_an_anthropic_200_that_is_no_answer_is_an_error(raw: bytes, reason: str, ask_wire: Ask) -> None:
    with LoopbackServer(Play(raw=raw)) as server, pytest.raises(BadResponseError) as caught:
        ask_wire(provider("anthropic", server.url))
    assert caught.value.reason == reason


@pytest.mark.parametrize(
    ("status", "error", "kind", "attempts"),
    [
        (400, {"message": "bad"}, BadRequestError, 1),
        (401, {"message": "key"}, AuthenticationError, 1),
        (402, {"message": "credits"}, QuotaExceededError, 1),
        (403, {"message": "no"}, AuthenticationError, 1),
        (404, {"message": "model"}, BadRequestError, 1),
        (413, {"message": "large"}, BadRequestError, 1),
        (422, {"message": "shape"}, BadRequestError, 1),
        (408, None, OverloadedError, 4),
        (409, None, OverloadedError, 4),
        (429, {"message": "slow down", "code": "rate_limit_exceeded"}, RateLimitError, 4),
        (429, {"message": "pay", "code": "insufficient_quota"}, QuotaExceededError, 1),
        (400, {"message": "You have reached your specified API usage limits"}, QuotaExceededError, 1),
        (400, {"message": "x", "code": "context_length_exceeded"}, ContextLengthError, 1),
        (400, {"message": "prompt is too long: 9 tokens"}, ContextLengthError, 1),
        (400, {"message": "x", "code": "content_filter"}, ContentFilterError, 1),
        (400, {"message": "x", "code": "tool_use_failed"}, BadResponseError, 1),
        (500, None, OverloadedError, 4),
        (503, None, OverloadedError, 4),
        (529, {"message": "overloaded"}, OverloadedError, 4),
    ],
)
def test_statuses_are_told_apart_and_attempts_counted_at_the_server(
    status: int, error: dict[str, Any] | None, kind: type[ProviderError], attempts: int, ask_wire: Ask
) -> None:
    waits: list[float] = []
    with LoopbackServer(Play(status=status, error=error)) as server:
        with pytest.raises(kind) as caught:
            ask_wire(provider("openai", server.url), retries=3, waits=waits)
        assert server.count == attempts
    assert type(caught.value) is kind
    assert caught.value.status == status
    assert len(caught.value.attempts) == attempts
    assert waits == [1.0, 2.0, 4.0][: attempts - 1]
    assert KEY not in str(caught.value)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"detail": [{"msg": "too few"}]}', '[{"msg": "too few"}]'),
        (b'[{"error": {"message": "in a list"}}]', "in a list"),
        (b'{"error": "a plain text"}', "a plain text"),
        (b'{"title": "Payment", "status": 402}', "Payment"),
        (b'"only text"', '"only text"'),
        (b"no json", "no json"),
    ],
)
def test_the_message_of_an_error_is_found_in_every_shape(body: bytes, message: str) -> None:
    error = provider("openai", "http://127.0.0.1").error_of(Reply(400, {}, body))
    assert error.message == f"HTTP 400: {message}"


def test_errors_with_a_status_hidden_in_a_200_are_those_of_the_status(ask_wire: Ask) -> None:
    raw = json.dumps({"error": {"message": "slow down", "code": 429}}).encode()
    with LoopbackServer([Play(raw=raw), Play("then")]) as server:
        assert ask_wire(provider("openai", server.url), retries=1).text == "then"


def test_retry_after_is_obeyed(ask_wire: Ask) -> None:
    waits: list[float] = []
    plays = [
        Play(status=429, headers={"retry-after": "7"}),
        Play(status=503, headers={"retry-after-ms": "250"}),
        Play(),
    ]
    with LoopbackServer(plays) as server:
        assert ask_wire(provider("openai", server.url), retries=3, waits=waits).text == "ok"
    assert waits == [7.0, 0.25]


@pytest.mark.parametrize("fault", ["reset", "close", "garbage", "bad_chunk"])
def test_a_broken_connection_is_tried_again(fault: Any, ask_wire: Ask) -> None:
    with LoopbackServer(Play(fault=fault)) as server:
        with pytest.raises(ProviderConnectionError):
            ask_wire(provider("openai", server.url), retries=3)
        assert server.count == 4


def test_a_closed_port_is_a_connection_error(ask_wire: Ask) -> None:
    with LoopbackServer() as server:
        url = server.url
    with pytest.raises(ProviderConnectionError) as caught:
        ask_wire(provider("openai", url), retries=3)
    assert len(caught.value.attempts) == 4


@pytest.mark.parametrize("fault", ["hang", "dribble_headers", "dribble_body"])
def test_the_deadline_is_for_the_whole_answer(fault: Any, ask_wire: Ask) -> None:
    with LoopbackServer(Play("x" * 400, fault=fault)) as server, pytest.raises(ProviderTimeoutError, match=r"0\.2 s"):
        ask_wire(provider("openai", server.url), timeout=0.2)


def test_redirects_are_not_followed(ask_wire: Ask) -> None:
    with LoopbackServer() as other, LoopbackServer(Play(fault="redirect", location=f"{other.url}/v1/x")) as server:
        with pytest.raises(BadResponseError) as caught:
            ask_wire(provider("openai", server.url))
        assert other.count == 0
    assert caught.value.reason == "redirect"
    assert "base_url" in caught.value.hint


def test_an_answer_above_the_cap_is_refused(ask_wire: Ask) -> None:
    with LoopbackServer(Play("x" * 5000)) as server, pytest.raises(BadResponseError) as caught:
        ask_wire(provider("openai", server.url), transport=HTTPTransport(max_bytes=4000))
    assert caught.value.reason == "too_large"


def test_a_compressed_answer_expands_no_further_than_the_cap(ask_wire: Ask) -> None:
    import gzip

    good = gzip.compress(b'{"choices": [{"message": {"content": "plain"}}]}')
    bomb = gzip.compress(b"0" * 40_000_000)
    plays = [Play(raw=good, headers={"content-encoding": "gzip"}), Play(raw=bomb, headers={"content-encoding": "gzip"})]
    with LoopbackServer(plays) as server:
        asked = provider("openai", server.url)
        assert ask_wire(asked).text == "plain"
        with pytest.raises(BadResponseError, match="larger than"):
            ask_wire(asked)


def test_a_key_in_the_address_is_whole_and_in_no_message(ask_wire: Ask) -> None:
    secret = "a+b&c=d#e%/"  # noqa: S105 - made up
    with LoopbackServer() as server:
        asked = provider("openai", server.url, auth={"kind": "query", "name": "key"})
        asked.environment = {"P_API_KEY": secret}
        ask_wire(asked)
        assert parse_qs(server.received[0].query) == {"key": [secret]}
    with pytest.raises(ProviderConnectionError) as caught:
        ask_wire(asked)
    assert "key=" not in caught.value.message
    assert "127.0.0.1" in caught.value.message


def test_a_login_in_netrc_does_not_replace_the_key(
    ask_wire: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login somebody password secret\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    with LoopbackServer() as server:
        ask_wire(provider("openai", server.url))
        assert server.received[0].headers["authorization"] == f"Bearer {KEY}"


def test_a_proxy_of_the_environment_is_used(ask_wire: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    with LoopbackServer(Play("through the proxy")) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        asked = provider("openai", "http://models.invalid")
        assert ask_wire(asked).text == "through the proxy"
        monkeypatch.setenv("no_proxy", "models.invalid")
        assert proxy_for("http://models.invalid/v1") is None


def test_a_wait_that_is_too_long_ends_the_call_and_says_why(ask_wire: Ask) -> None:
    with LoopbackServer(Play(status=429, headers={"retry-after": "121"})) as server:
        with pytest.raises(RateLimitError) as caught:
            ask_wire(provider("openai", server.url), retries=3)
        assert server.count == 1
    assert caught.value.retry_after == 121
    assert caught.value.hint == "asked to wait 121 s, longer than 60 s"
