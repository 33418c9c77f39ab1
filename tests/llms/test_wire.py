"""HTTP providers against a real loopback server: what goes out, what comes back, and what can go wrong."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import anthropic
import openai
import pytest

from llm_tester.catalogue import ProviderConfig
from llm_tester.cost_manager import cost_of, rates_of
from llm_tester.errors import (
    AuthenticationError,
    BadRequestError,
    BadResponseError,
    ConfigurationError,
    ContentFilterError,
    ContextLengthError,
    MissingKeyError,
    OverloadedError,
    ProviderConnectionError,
    ProviderError,
    ProviderTimeoutError,
    QuotaExceededError,
    RateLimitError,
)
from llm_tester.llms.apis.anthropic import AnthropicMessages
from llm_tester.llms.apis.openai_compatible import OpenAICompatible
from llm_tester.llms.exchange import CallPolicy, exchange
from llm_tester.llms.flow import Session, adrive, drive
from llm_tester.llms.retry import RetryPolicy
from llm_tester.llms.transport import HTTPTransport, Reply, proxy_for
from llm_tester.llms.wire import HTTPProvider
from llm_tester.records import Message, Request, Response, TLSConfig, chat
from llm_tester.testing import LoopbackServer, Play, ToolCall

KEY = "sk-canary-0815"
Ask = Callable[..., Response]
CLASSES: dict[str, type[HTTPProvider]] = {"openai": OpenAICompatible, "anthropic": AnthropicMessages}


def provider(api: str, url: str, **more: Any) -> HTTPProvider:
    auth = {"kind": "header", "name": "x-api-key"} if api == "anthropic" else {"kind": "bearer"}
    base = url if api == "anthropic" else f"{url}/v1"
    models = more.pop("llm_models", [{"name": "m", "cost_input": 1, "cost_output": 2, "cost_cached_input": 0.1}])
    data = {"name": "p", "api": api, "base_url": base, "env_key": "P_API_KEY", "auth": auth, "llm_models": models}
    made = CLASSES[api](ProviderConfig.model_validate(data | more))
    made.environment = {"P_API_KEY": KEY}
    return made


@pytest.fixture(params=["sync", "async"])
def ask(request: pytest.FixtureRequest) -> Ask:
    """A call through the flow, in a thread or on an event loop, whose waits take no time; `waits` collects them."""

    def call(asked: HTTPProvider, *, retries: int = 0, waits: list[float] | None = None, **details: Any) -> Response:
        timeout = details.pop("timeout", 5.0)
        transport = details.pop("transport", None) or asked.make_transport(4)
        messages = details.pop("messages", chat("hi", details.pop("system", "")))
        question = Request(asked.name, details.pop("model", "m"), messages, timeout=timeout, **details)
        rates = rates_of(asked.model_entry(question.model))
        policy = CallPolicy(RetryPolicy(max_retries=retries, jitter=False), lambda usage: cost_of(usage, rates))
        seen: list[float] = waits if waits is not None else []

        async def asleep(seconds: float) -> None:
            seen.append(seconds)

        session = Session(transport, sleep=seen.append, asleep=asleep)
        flow = exchange(asked, question, policy)
        return drive(flow, session) if request.param == "sync" else asyncio.run(adrive(flow, session))

    return call


USAGE = {"input": 100, "cached_input": 40, "output": 30, "reasoning": 20}


@pytest.mark.parametrize("api", ["openai", "anthropic"])
def test_an_answer_with_its_usage_and_cost(api: str, ask: Ask) -> None:
    with LoopbackServer(Play("Hello.", usage=USAGE, model="m-2026-01-01")) as server:
        response = ask(provider(api, server.url), system="Be brief.", call_id="abc")
        [received] = server.received
    assert (response.text, response.finish_reason, response.served_model) == ("Hello.", "stop", "m-2026-01-01")
    assert response.usage.counts() == USAGE
    assert str(response.cost.usd) == "0.000124"  # 60 x 1 + 40 x 0.1 + 30 x 2 dollars per million
    assert [(a.number, a.ok) for a in response.attempts] == [(1, True)]
    assert response.latency_ms is not None
    assert received.call_id == "abc"
    key = received.headers["x-api-key" if api == "anthropic" else "authorization"]
    assert key.removeprefix("Bearer ") == KEY


def test_the_openai_body_is_the_official_client_s() -> None:
    with LoopbackServer(Play("ok")) as server:
        ours = provider("openai", server.url)
        turns = (
            Message("system", "Be brief."),
            Message("user", "hi"),
            Message("assistant", "ho"),
            Message("user", "hm"),
        )
        parameters = {"temperature": 0.5, "max_tokens": 9, "stop": ["x"], "seed": 3}
        ours.respond(Request("p", "m", turns, parameters))
        client: Any = openai.OpenAI(api_key=KEY, base_url=f"{server.url}/v1", max_retries=0)
        messages = [{"role": turn.role, "content": turn.content} for turn in turns]
        client.chat.completions.create(model="m", messages=messages, **parameters)
        client.close()
        mine, theirs = server.received
    assert mine.body == theirs.body
    assert mine.path == theirs.path
    assert mine.headers["authorization"] == theirs.headers["authorization"]


def test_the_anthropic_body_is_the_official_client_s() -> None:
    with LoopbackServer(Play("ok")) as server:
        ours = provider("anthropic", server.url)
        ours.respond(Request("p", "m", chat("hi", "Be brief."), {"max_tokens": 9, "stop_sequences": ["x"]}))
        with anthropic.Anthropic(api_key=KEY, base_url=server.url, max_retries=0) as client:
            client.messages.create(
                model="m",
                system="Be brief.",
                messages=[{"role": "user", "content": "hi"}],
                max_tokens=9,
                stop_sequences=["x"],
            )
        mine, theirs = server.received
    assert mine.body == theirs.body
    assert mine.path == theirs.path


def test_anthropic_gets_the_max_tokens_that_it_wants() -> None:
    with LoopbackServer() as server:
        provider("anthropic", server.url).respond(Request("p", "m", chat("hi")))
        small = provider("anthropic", server.url, llm_models=[{"name": "m", "max_output_tokens": 512}])
        small.respond(Request("p", "m", chat("hi")))
        assert [received.body["max_tokens"] for received in server.received] == [4096, 512]


@pytest.mark.parametrize("api", ["openai", "anthropic"])
@pytest.mark.parametrize(
    ("play", "text", "finish"),
    [
        (Play("cut", finish="length"), "cut", "length"),
        (Play("", refusal="I can't."), None, "refusal"),
        (Play(""), "", "stop"),
        (Play("", tool_calls=(ToolCall("f"),)), "", "tool_calls"),
    ],
)
def test_how_answers_end(api: str, play: Play, text: str | None, finish: str, ask: Ask) -> None:
    with LoopbackServer(play) as server:
        response = ask(provider(api, server.url))
    assert response.finish_reason == finish
    if text is not None:
        assert response.text == text


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
def test_a_200_that_is_no_answer_is_an_error(play: Play, reason: str, ask: Ask) -> None:
    with LoopbackServer(play) as server:
        with pytest.raises(BadResponseError) as caught:
            ask(provider("openai", server.url), retries=3)
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
def test_an_anthropic_200_that_is_no_answer_is_an_error(raw: bytes, reason: str, ask: Ask) -> None:
    with LoopbackServer(Play(raw=raw)) as server, pytest.raises(BadResponseError) as caught:
        ask(provider("anthropic", server.url))
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
    status: int, error: dict[str, Any] | None, kind: type[ProviderError], attempts: int, ask: Ask
) -> None:
    waits: list[float] = []
    with LoopbackServer(Play(status=status, error=error)) as server:
        with pytest.raises(kind) as caught:
            ask(provider("openai", server.url), retries=3, waits=waits)
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


def test_errors_with_a_status_hidden_in_a_200_are_those_of_the_status(ask: Ask) -> None:
    raw = json.dumps({"error": {"message": "slow down", "code": 429}}).encode()
    with LoopbackServer([Play(raw=raw), Play("then")]) as server:
        assert ask(provider("openai", server.url), retries=1).text == "then"


def test_retry_after_is_obeyed(ask: Ask) -> None:
    waits: list[float] = []
    plays = [
        Play(status=429, headers={"retry-after": "7"}),
        Play(status=503, headers={"retry-after-ms": "250"}),
        Play(),
    ]
    with LoopbackServer(plays) as server:
        assert ask(provider("openai", server.url), retries=3, waits=waits).text == "ok"
    assert waits == [7.0, 0.25]


@pytest.mark.parametrize("fault", ["reset", "close", "garbage", "bad_chunk"])
def test_a_broken_connection_is_tried_again(fault: Any, ask: Ask) -> None:
    with LoopbackServer(Play(fault=fault)) as server:
        with pytest.raises(ProviderConnectionError):
            ask(provider("openai", server.url), retries=3)
        assert server.count == 4


def test_a_closed_port_is_a_connection_error(ask: Ask) -> None:
    with LoopbackServer() as server:
        url = server.url
    with pytest.raises(ProviderConnectionError) as caught:
        ask(provider("openai", url), retries=3)
    assert len(caught.value.attempts) == 4


@pytest.mark.parametrize("fault", ["hang", "dribble_headers", "dribble_body"])
def test_the_deadline_is_for_the_whole_answer(fault: Any, ask: Ask) -> None:
    with LoopbackServer(Play("x" * 400, fault=fault)) as server, pytest.raises(ProviderTimeoutError, match=r"0\.2 s"):
        ask(provider("openai", server.url), timeout=0.2)


def test_redirects_are_not_followed(ask: Ask) -> None:
    with LoopbackServer() as other, LoopbackServer(Play(fault="redirect", location=f"{other.url}/v1/x")) as server:
        with pytest.raises(BadResponseError) as caught:
            ask(provider("openai", server.url))
        assert other.count == 0
    assert caught.value.reason == "redirect"
    assert "base_url" in caught.value.hint


def test_an_answer_above_the_cap_is_refused(ask: Ask) -> None:
    with LoopbackServer(Play("x" * 5000)) as server, pytest.raises(BadResponseError) as caught:
        ask(provider("openai", server.url), transport=HTTPTransport(max_bytes=4000))
    assert caught.value.reason == "too_large"


def test_a_compressed_answer_expands_no_further_than_the_cap(ask: Ask) -> None:
    import gzip

    good = gzip.compress(b'{"choices": [{"message": {"content": "plain"}}]}')
    bomb = gzip.compress(b"0" * 40_000_000)
    plays = [Play(raw=good, headers={"content-encoding": "gzip"}), Play(raw=bomb, headers={"content-encoding": "gzip"})]
    with LoopbackServer(plays) as server:
        asked = provider("openai", server.url)
        assert ask(asked).text == "plain"
        with pytest.raises(BadResponseError, match="larger than"):
            ask(asked)


def test_parameters_are_renamed_or_left_out_visibly(ask: Ask) -> None:
    entry = {
        "name": "m",
        "rename_params": {"max_tokens": "max_completion_tokens"},
        "unsupported_params": ["temperature"],
    }
    with LoopbackServer() as server:
        asked = provider("openai", server.url, llm_models=[entry])
        response = ask(asked, parameters={"max_tokens": 5, "temperature": 0, "seed": 1})
        body = server.received[0].body
    assert response.not_applied == ("max_tokens as max_completion_tokens", "temperature")
    assert {key: body[key] for key in body if key not in ("messages", "model")} == {
        "max_completion_tokens": 5,
        "seed": 1,
    }


def test_addresses_are_filled_in_from_the_environment() -> None:
    with LoopbackServer() as server:
        azure = provider(
            "openai",
            "",
            base_url="${ENDPOINT}",
            auth={"kind": "query", "name": "key"},
            options={"path": "openai/deployments/{model}/chat/completions?api-version=1"},
            system_prompt="Be brief.",
            headers={"x-team": "a"},
        )
        azure.environment = {"P_API_KEY": KEY, "ENDPOINT": f"{server.url}/"}
        azure.respond(Request("p", "m", chat("hi")))
        [received] = server.received
    assert received.path == "/openai/deployments/m/chat/completions"
    assert received.query == f"api-version=1&key={KEY}"
    assert received.headers["x-team"] == "a"
    assert received.body["messages"][0] == {"role": "system", "content": "Be brief."}


def test_what_is_missing_is_named() -> None:
    asked = provider("openai", "http://127.0.0.1")
    asked.environment = {}
    with pytest.raises(MissingKeyError, match="P_API_KEY"):
        asked.respond(Request("p", "m", chat("hi")))
    with pytest.raises(MissingKeyError, match="ENDPOINT"):
        provider("openai", "", base_url="${ENDPOINT}").respond(Request("p", "m", chat("hi")))
    with pytest.raises(ConfigurationError, match="no http address"):
        provider("openai", "", base_url="file:///etc/passwd").respond(Request("p", "m", chat("hi")))


@pytest.mark.parametrize("api", ["openai", "anthropic"])
def test_the_fixed_signature_works(api: str) -> None:
    with LoopbackServer(Play("hello", usage=USAGE)) as server:
        asked = provider(api, server.url)
        entry = asked.get_model_config("m")
        assert entry is not None
        text, usage = asked._call_llm_api("hi", "Be brief.", "m", entry)
        assert server.received[0].body["messages"][-1]["content"] == "hi"
    assert (text, usage.counts()) == ("hello", USAGE)  # type: ignore[union-attr]


def test_the_fixed_signature_raises_what_went_wrong() -> None:
    with LoopbackServer(Play(status=401)) as server:
        asked = provider("openai", server.url)
        entry = asked.get_model_config("m")
        assert entry is not None
        with pytest.raises(AuthenticationError):
            asked._call_llm_api("hi", "", "m", entry)


def test_a_subclass_that_overrides_the_call_is_what_every_call_uses(ask: Ask) -> None:
    class Own(OpenAICompatible):
        def _call_llm_api(self, prompt: str, *_: Any) -> tuple[str, dict[str, Any]]:
            return f"own {prompt}", {}

    config = {"name": "p", "llm_models": [{"name": "m"}], "base_url": "http://127.0.0.1:1"}
    assert ask(Own(ProviderConfig.model_validate(config))).text == "own hi"


def test_tls_settings_are_those_of_requests_and_of_ssl() -> None:
    assert TLSConfig().as_requests_kwargs() == {"verify": True}
    assert TLSConfig(verify=False).as_requests_kwargs() == {"verify": False}
    both = TLSConfig(ca_file="ca.pem", cert_file="c.pem", key_file="k.pem")
    assert both.as_requests_kwargs() == {"verify": "ca.pem", "cert": ("c.pem", "k.pem")}
    assert TLSConfig(cert_file="c.pem").as_requests_kwargs()["cert"] == "c.pem"
    assert TLSConfig().context().check_hostname
    assert not TLSConfig(verify=False).context().check_hostname


def test_many_calls_share_a_loop_s_session_and_it_can_be_closed() -> None:
    async def work(asked: HTTPProvider) -> int:
        transport = asked.make_transport(16)
        session = Session(transport)
        flows = [exchange(asked, Request("p", "m", chat("hi")), CallPolicy()) for _ in range(100)]
        answers = await asyncio.gather(*(adrive(flow, session) for flow in flows))
        await transport.aclose()
        await transport.aclose()
        return len({answer.text for answer in answers})

    with LoopbackServer() as server:
        assert asyncio.run(work(provider("openai", server.url))) == 1
        assert server.count == 100


def test_a_key_in_the_address_is_whole_and_in_no_message(ask: Ask) -> None:
    secret = "a+b&c=d#e%/"  # noqa: S105 - made up
    with LoopbackServer() as server:
        asked = provider("openai", server.url, auth={"kind": "query", "name": "key"})
        asked.environment = {"P_API_KEY": secret}
        ask(asked)
        assert parse_qs(server.received[0].query) == {"key": [secret]}
    with pytest.raises(ProviderConnectionError) as caught:
        ask(asked)
    assert "key=" not in caught.value.message
    assert "127.0.0.1" in caught.value.message


def test_a_login_in_netrc_does_not_replace_the_key(ask: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login somebody password secret\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    with LoopbackServer() as server:
        ask(provider("openai", server.url))
        assert server.received[0].headers["authorization"] == f"Bearer {KEY}"


def test_a_proxy_of_the_environment_is_used(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    with LoopbackServer(Play("through the proxy")) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        asked = provider("openai", "http://models.invalid")
        assert ask(asked).text == "through the proxy"
        monkeypatch.setenv("no_proxy", "models.invalid")
        assert proxy_for("http://models.invalid/v1") is None


def test_files_that_are_not_sent_are_named(ask: Ask) -> None:
    with LoopbackServer() as server:
        assert ask(provider("openai", server.url), files=("a.png",)).not_applied == ("files",)


def test_model_key_and_address_are_checked_before_the_first_call() -> None:
    asked = provider("openai", "", base_url="https://${ENDPOINT}/v1")
    with pytest.raises(MissingKeyError, match="ENDPOINT"):
        asked.prepare("m")
    asked.environment = {"P_API_KEY": KEY, "ENDPOINT": "models.example"}
    asked.prepare("m")
    assert asked.host == "models.example"
