"""`"transport": "sdk"` over a real socket: our request by the vendor's client, what comes back by our rules."""

from __future__ import annotations

import asyncio
import gc
import gzip
import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest

from llm_tester import BadResponseError, ConfigurationError, ProviderConnectionError, ProviderError, ProviderRegistry
from llm_tester.config import Workspace
from llm_tester.errors import BadRequestError, OverloadedError, ProviderTimeoutError
from llm_tester.llms.base import BaseLLM
from llm_tester.llms.flow import Open, Send
from llm_tester.llms.sdk_transport import SDKTransport
from llm_tester.llms.transport import Reply, WireRequest
from llm_tester.records import Request, chat
from llm_tester.testing import LoopbackServer, Play
from tests.llms.wire_calls import KEY, USAGE, Ask, ask_wire, provider

__all__ = ["ask_wire"]
APIS = ("openai", "anthropic")
AGENTS = {"openai": "OpenAI/Python", "anthropic": "Anthropic/Python"}


@pytest.fixture
def server() -> Iterator[LoopbackServer]:
    with LoopbackServer() as running:
        yield running


def sdk(api: str, server: LoopbackServer, **more: Any) -> Any:
    return provider(api, server.url, transport="sdk", **more)


def by_sdk(server: LoopbackServer) -> list[bool]:
    """Of each request whether an official client sent it."""
    return ["/Python" in received.headers.get("user-agent", "") for received in server.received]


# --- what goes out


@pytest.mark.parametrize("api", APIS)
def test_the_same_request_goes_out_and_the_same_answer_comes_back(
    api: str, server: LoopbackServer, ask_wire: Ask
) -> None:
    server.play(Play("Hello.", usage=USAGE, model="m-2026-01-01"))
    details: dict[str, Any] = {"system": "Be brief.", "parameters": {"max_tokens": 9}, "call_id": "abc"}
    plain = ask_wire(provider(api, server.url), **details)
    response = ask_wire(sdk(api, server), **details)
    ours, theirs = server.received
    assert AGENTS[api] in theirs.headers["user-agent"]
    assert (theirs.raw, theirs.path, theirs.query) == (ours.raw, ours.path, ours.query)
    named = (
        "authorization",
        "x-api-key",
        "anthropic-version",
        "content-type",
        "accept-encoding",
        "x-client-request-id",
    )
    assert {name: theirs.headers.get(name) for name in named} == {name: ours.headers.get(name) for name in named}
    assert (response.text, response.usage, response.cost, response.served_model) == (
        plain.text,
        plain.usage,
        plain.cost,
        plain.served_model,
    )


@pytest.mark.parametrize("api", APIS)
def test_nothing_of_the_environment_goes_with_it(
    api: str, server: LoopbackServer, ask_wire: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_ADMIN_KEY", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID", "ANTHROPIC_AUTH_TOKEN"):
        monkeypatch.setenv(name, "stray")
    for name in ("OPENAI_CUSTOM_HEADERS", "ANTHROPIC_CUSTOM_HEADERS"):
        monkeypatch.setenv(name, "Authorization: Bearer stray\nX-Team: stray")
    for name in ("OPENAI_BASE_URL", "ANTHROPIC_BASE_URL"):
        monkeypatch.setenv(name, "http://stray.invalid")
    ask_wire(sdk(api, server))
    headers = server.received[0].headers
    assert by_sdk(server) == [True]
    assert "stray" not in str(headers)
    assert KEY in str(headers)


def test_azure_s_path_and_header_work_as_they_are(server: LoopbackServer, ask_wire: Ask) -> None:
    azure = sdk(
        "openai",
        server,
        base_url=server.url,
        auth={"kind": "header", "name": "api-key"},
        options={"path": "openai/deployments/{model}/chat/completions?api-version=2026-01-01"},
    )
    assert ask_wire(azure).text == "ok"
    [received] = server.received
    assert (received.path, received.query) == ("/openai/deployments/m/chat/completions", "api-version=2026-01-01")
    assert received.headers["api-key"] == KEY
    assert "authorization" not in received.headers


def test_a_key_in_the_address_is_whole(server: LoopbackServer, ask_wire: Ask) -> None:
    asked = sdk("openai", server, auth={"kind": "query", "name": "key"})
    asked.environment = {"P_API_KEY": "a+b&c=d#e%/"}
    ask_wire(asked)
    assert parse_qs(server.received[0].query) == {"key": ["a+b&c=d#e%/"]}


def test_a_proxy_of_the_environment_is_used(ask_wire: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    with LoopbackServer(Play("through the proxy")) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        asked = provider("openai", "http://models.invalid", transport="sdk")
        assert ask_wire(asked).text == "through the proxy"


# --- who says so


def test_a_call_may_choose_otherwise(server: LoopbackServer) -> None:
    plain, official = provider("openai", server.url), sdk("openai", server)
    question = Request("p", "m", chat("hi"), transport="sdk")
    plain.respond(question)
    asyncio.run(plain.arespond(question))
    plain.complete("hi", transport="sdk")
    list(plain.stream("hi", transport="sdk"))
    official.complete("hi", transport="http")
    asyncio.run(official.acomplete("hi", transport="http"))
    assert by_sdk(server) == [True] * 4 + [False] * 2
    assert all("transport" not in received.body for received in server.received)


def test_a_workspace_may_say_so(workspace: Path, add_provider: Callable[..., Path], server: LoopbackServer) -> None:
    add_provider("p", api="openai", base_url=f"{server.url}/v1")
    for said, expected in (({}, False), ({"transport": "sdk"}, True)):
        (workspace / "config.json").write_text(json.dumps({"providers": {"p": said}}))
        made = ProviderRegistry(Workspace.open(workspace, {})).get("p")
        made.complete("hi")
        assert by_sdk(server)[-1] is expected


OWN = """
    from llm_tester import OpenAICompatible

    class Own(OpenAICompatible):
        def _call_llm_api(self, prompt, system_prompt, model_name, model_config):
            return prompt, {}
"""


@pytest.mark.parametrize(("said", "code"), [({"api": "replay"}, ""), ({"api": "openai"}, OWN)])
@pytest.mark.parametrize("where", ["provider", "workspace"])
def test_who_has_no_official_client_says_where_and_what_is_allowed(
    workspace: Path, add_provider: Callable[..., Path], said: dict[str, Any], code: str, where: str
) -> None:
    own = {"transport": "sdk"} if where == "provider" else {}
    folder = add_provider("p", code, base_url="http://127.0.0.1:1/v1", **said, **own)
    if where == "workspace":
        (workspace / "config.json").write_text(json.dumps({"providers": {"p": {"transport": "sdk"}}}))
    with pytest.raises(ConfigurationError) as caught:
        ProviderRegistry(Workspace.open(workspace, {})).get("p")
    error = caught.value
    assert error.file == str((folder if where == "provider" else workspace) / "config.json")
    assert error.path == ("transport" if where == "provider" else "providers.p.transport")
    assert error.message.startswith(f"{error.file}: {error.path}: ")
    assert 'expected "http"' in error.message
    assert error.hint == '"sdk" is for providers with "api": "anthropic" or "openai".'


def test_another_word_is_a_mistake(workspace: Path, add_provider: Callable[..., Path]) -> None:
    add_provider("p", api="openai", base_url="http://127.0.0.1:1/v1", transport="grpc")
    with pytest.raises(ConfigurationError, match=r"transport.*'http' or 'sdk'"):
        ProviderRegistry(Workspace.open(workspace, {})).get("p")


class Echo(BaseLLM):
    """Answers in this process."""

    blocking = False

    def _call_llm_api(self, prompt: str, system_prompt: str, model_name: str, model_config: Any) -> Any:
        return prompt, {}


def test_a_call_that_asks_for_what_is_not_there_is_told(server: LoopbackServer) -> None:
    with pytest.raises(ConfigurationError, match='echo has no transport "sdk"'):
        Echo().complete("hi", model="m", transport="sdk")
    assert Echo().complete("hi", model="m", transport="http") == "hi"
    with pytest.raises(ConfigurationError, match='p has no transport "grpc"') as caught:
        provider("openai", server.url).complete("hi", transport="grpc")
    assert caught.value.hint == "It has: http, sdk."
    assert server.count == 0


# --- what comes back


@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize(("status", "kind", "attempts"), [(500, OverloadedError, 4), (400, BadRequestError, 1)])
def test_the_client_tries_once_and_we_as_often_as_we_say(
    api: str, status: int, kind: type[ProviderError], attempts: int, server: LoopbackServer, ask_wire: Ask
) -> None:
    server.play(Play(status=status, headers={"retry-after": "0.001"}))
    with pytest.raises(kind) as caught:
        ask_wire(sdk(api, server), retries=3)
    assert by_sdk(server) == [True] * attempts
    assert len(caught.value.attempts) == attempts
    assert caught.value.status == status


BAD = {
    "bad_content_type": Play(raw=b"<html>down</html>", content_type="text/html"),
    "bad_json": Play(raw=b'{"choices": [{"mess'),
    "bad_shape": Play(raw=b"[]"),
    "too_deep": Play(raw=b"[" * 20_000),
    "error_in_200": Play(raw=b'{"error": {"message": "upstream is down"}}'),
    "bad_encoding": Play(raw=b"{}", headers={"content-encoding": "br"}),
    "too_large": Play("x" * 5000),
    "redirect": Play(fault="redirect", location="http://127.0.0.1:1/v1/x"),
}


@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize("reason", BAD)
def test_what_the_clients_let_through_is_an_error(api: str, reason: str, server: LoopbackServer, ask_wire: Ask) -> None:
    server.play(BAD[reason])
    with pytest.raises(BadResponseError) as caught:
        ask_wire(sdk(api, server, max_response_bytes=4000 if reason == "too_large" else 10**6), retries=3)
    assert caught.value.reason == reason
    assert by_sdk(server) == [True]


def test_counts_that_cannot_be_are_flagged(server: LoopbackServer, ask_wire: Ask) -> None:
    server.play(Play(raw_usage={"prompt_tokens": float("nan"), "completion_tokens": -2}))
    response = ask_wire(sdk("openai", server))
    assert response.usage.inconsistent
    assert response.cost.usd is None


@pytest.mark.parametrize("status", [200, 400])
def test_a_compressed_body_expands_no_further_than_the_cap(status: int, server: LoopbackServer, ask_wire: Ask) -> None:
    coded = {"content-encoding": "gzip"}
    good = gzip.compress(b'{"choices": [{"message": {"content": "plain"}}], "error": null}')
    server.play([Play(raw=good, headers=coded), Play(raw=gzip.compress(bytes(10**7)), headers=coded, status=status)])
    asked = sdk("openai", server, max_response_bytes=10**6)
    assert ask_wire(asked).text == "plain"
    with pytest.raises(BadResponseError, match="larger than 1,000,000"):
        ask_wire(asked)


@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize("fault", ["reset", "garbage", "bad_chunk"])
def test_a_broken_connection_is_tried_again(api: str, fault: Any, server: LoopbackServer, ask_wire: Ask) -> None:
    server.play(Play(fault=fault))
    with pytest.raises(ProviderConnectionError, match=r"at 127\.0\.0\.1"):
        ask_wire(sdk(api, server), retries=2)
    assert server.count == 3


@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize("fault", ["hang", "dribble_headers", "dribble_body"])
def test_the_deadline_is_for_the_whole_answer(api: str, fault: Any, server: LoopbackServer, ask_wire: Ask) -> None:
    server.play(Play("x" * 400, fault=fault))
    with pytest.raises(ProviderTimeoutError, match=r"0\.2 s"):
        ask_wire(sdk(api, server), timeout=0.2)


# --- clients


def test_one_client_serves_all_threads_and_one_each_loop(server: LoopbackServer) -> None:
    asked = sdk("openai", server)
    for _ in range(3):
        asked.complete("hi")
    assert server.connections == 1

    async def main() -> int:
        for _ in range(3):
            await asked.acomplete("hi")
        return server.connections

    assert asyncio.run(main()) == 2
    assert asyncio.run(main()) == 3


def test_it_can_be_closed_and_used_again(server: LoopbackServer) -> None:
    wire = WireRequest("POST", f"{server.url}/v1/chat/completions", {}, b'{"messages": []}')
    network = SDKTransport("openai")

    async def main() -> list[int]:
        found = []
        for _ in range(2):
            reply = await network.asend(Send(wire, 5.0))
            assert isinstance(reply, Reply)
            found.append(server.connections)
            await network.aclose()
        opened = await network.asend(Open(wire, 5.0))
        opened.close()
        return [*found, server.connections]

    assert asyncio.run(main()) == [1, 2, 3]


def test_a_client_is_closed_with_its_transport(server: LoopbackServer) -> None:
    wire = WireRequest("POST", f"{server.url}/v1/chat/completions", {}, b'{"messages": []}')
    network = SDKTransport("openai")
    assert isinstance(network.send(Send(wire, 5.0)), Reply)
    [client] = network._clients.values()
    assert not client.is_closed()
    del network
    # Its thread lets go of it a moment after it has answered.
    for _ in range(100):
        gc.collect()
        if client.is_closed():
            break
        threading.Event().wait(0.01)
    assert client.is_closed()


def test_the_clients_are_imported_at_their_first_call() -> None:
    code = """
import sys
from llm_tester.catalogue import ModelConfig, ProviderConfig
from llm_tester.llms.apis.openai_compatible import OpenAICompatible
from llm_tester.errors import ProviderConnectionError
config = {"name": "p", "base_url": "http://127.0.0.1:1/v1", "transport": "sdk", "open_catalogue": True}
asked = OpenAICompatible(ProviderConfig.model_validate(config))
clients = {"openai", "anthropic", "httpx2"}
before = clients & set(sys.modules)
try:
    asked._call_llm_api("hi", "", "m", ModelConfig(name="m"))
except ProviderConnectionError:
    pass
print(sorted(before), sorted(clients & set(sys.modules)))
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == "[] ['httpx2', 'openai']"
