"""HTTP providers against a real loopback server: what goes out, what comes back, and what can go wrong."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

import anthropic
import openai
import pytest

from llm_tester.catalogue import ProviderConfig
from llm_tester.errors import (
    AuthenticationError,
    ConfigurationError,
    MissingKeyError,
)
from llm_tester.llms.apis.openai_compatible import OpenAICompatible
from llm_tester.llms.exchange import CallPolicy, exchange
from llm_tester.llms.flow import Session, adrive
from llm_tester.llms.wire import HTTPProvider
from llm_tester.records import Message, Request, TLSConfig, chat
from llm_tester.testing import LoopbackServer, Play, ToolCall
from tests.llms.wire_calls import KEY, USAGE, Ask, provider


@pytest.mark.parametrize("api", ["openai", "anthropic"])
def test_an_answer_with_its_usage_and_cost(api: str, ask_wire: Ask) -> None:
    with LoopbackServer(Play("Hello.", usage=USAGE, model="m-2026-01-01")) as server:
        response = ask_wire(provider(api, server.url), system="Be brief.", call_id="abc")
        [received] = server.received
    assert (response.text, response.finish_reason, response.served_model) == ("Hello.", "stop", "m-2026-01-01")
    assert response.usage.counts() == USAGE
    assert response.cost.usd == Decimal("0.000124")  # 60 x 1 + 40 x 0.1 + 30 x 2 dollars per million
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
def test_how_answers_end(api: str, play: Play, text: str | None, finish: str, ask_wire: Ask) -> None:
    with LoopbackServer(play) as server:
        response = ask_wire(provider(api, server.url))
    assert response.finish_reason == finish
    if text is not None:
        assert response.text == text


def test_parameters_are_renamed_or_left_out_visibly(ask_wire: Ask) -> None:
    entry = {
        "name": "m",
        "rename_params": {"max_tokens": "max_completion_tokens"},
        "unsupported_params": ["temperature"],
    }
    with LoopbackServer() as server:
        asked = provider("openai", server.url, llm_models=[entry])
        response = ask_wire(asked, parameters={"max_tokens": 5, "temperature": 0, "seed": 1})
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


def test_a_subclass_that_overrides_the_call_is_what_every_call_uses(ask_wire: Ask) -> None:
    class Own(OpenAICompatible):
        def _call_llm_api(self, prompt: str, *_: Any) -> tuple[str, dict[str, Any]]:
            return f"own {prompt}", {}

    config = {"name": "p", "llm_models": [{"name": "m"}], "base_url": "http://127.0.0.1:1"}
    assert ask_wire(Own(ProviderConfig.model_validate(config))).text == "own hi"


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


def test_files_that_are_not_sent_are_named(ask_wire: Ask) -> None:
    with LoopbackServer() as server:
        assert ask_wire(provider("openai", server.url), files=("a.png",)).not_applied == ("files",)


def test_model_key_and_address_are_checked_before_the_first_call() -> None:
    asked = provider("openai", "", base_url="https://${ENDPOINT}/v1")
    with pytest.raises(MissingKeyError, match="ENDPOINT"):
        asked.prepare("m")
    asked.environment = {"P_API_KEY": KEY, "ENDPOINT": "models.example"}
    asked.prepare("m")
    assert asked.host == "models.example"
