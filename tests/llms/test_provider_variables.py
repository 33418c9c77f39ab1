"""OPENAI_BASE_URL, OPENAI_MODEL and their like, through the calls that they are for."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import llm_tester
from llm_tester import LLMTester, Workspace, create_provider
from llm_tester.llms.provider_factory import discover
from llm_tester.testing import LoopbackServer

KEYS = {"OPENAI_API_KEY": "sk-1", "ANTHROPIC_API_KEY": "sk-2"}


@pytest.fixture
def server() -> Iterator[LoopbackServer]:
    with LoopbackServer() as running:
        yield running


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch, workspace: Path) -> Callable[..., None]:
    """Sets variables, with the workspace as the current folder."""
    monkeypatch.chdir(workspace)

    def put(**variables: str) -> None:
        for name, value in (KEYS | variables).items():
            monkeypatch.setenv(name, value)
        llm_tester.reset_provider_cache()

    return put


@pytest.mark.parametrize(
    ("provider", "variable", "value", "path"),
    [
        ("openai", "OPENAI_BASE_URL", "{url}/proxy/v1/", "/proxy/v1/chat/completions"),
        ("anthropic", "ANTHROPIC_BASE_URL", "{url}", "/v1/messages"),
        ("lmstudio", "LM_STUDIO_ENDPOINT", "{url}", "/v1/chat/completions"),
        ("lmstudio", "LM_STUDIO_ENDPOINT", "{url}/v1/", "/v1/chat/completions"),
        ("lmstudio", "LMSTUDIO_BASE_URL", "{url}/v1", "/v1/chat/completions"),
    ],
)
def test_the_address_of_a_provider(
    server: LoopbackServer, environment: Callable[..., None], provider: str, variable: str, value: str, path: str
) -> None:
    environment(**{variable: value.format(url=server.url)})
    assert llm_tester.complete("hi", provider_type=provider) == "ok"
    assert [received.path for received in server.received] == [path]


def test_the_address_wins_over_config_json_and_the_endpoint_over_the_url(
    server: LoopbackServer, workspace: Path
) -> None:
    (workspace / "config.json").write_text(json.dumps({"providers": {"lmstudio": {"base_url": "http://file/v1"}}}))

    def host(**variables: str) -> str:
        return create_provider("lmstudio", Workspace.open(workspace, variables)).host

    assert host() == "file"
    assert host(LMSTUDIO_BASE_URL="http://url/v1") == "url"
    assert host(LMSTUDIO_BASE_URL="http://url/v1", LM_STUDIO_ENDPOINT="http://endpoint:1234") == "endpoint:1234"


@pytest.mark.parametrize("value", ["127.0.0.1:1234", "ftp://host", "http://", "http://[::1", "http://h:99999"])
def test_what_is_no_address_stops_that_provider_alone(value: str) -> None:
    found = discover(Workspace(None, environment={"LM_STUDIO_ENDPOINT": value}))
    assert [name for name, provider in found.items() if provider.problem] == ["lmstudio"]
    assert "LM_STUDIO_ENDPOINT: expected an address" in str(found["lmstudio"].problem)


def test_a_compatible_service_serves_models_of_its_own() -> None:
    def openai(address: str) -> llm_tester.BaseLLM:
        return create_provider("openai", Workspace(None, environment={"OPENAI_BASE_URL": address}))

    assert openai("http://elsewhere.example/v1").is_model_available("their-model")
    assert not openai("https://api.openai.com/v1").is_model_available("their-model")


def test_the_organization_is_a_header(server: LoopbackServer, environment: Callable[..., None]) -> None:
    environment(OPENAI_BASE_URL=f"{server.url}/v1", OPENAI_ORGANIZATION="org-7")
    llm_tester.complete("hi", provider_type="openai")
    environment(OPENAI_ORGANIZATION="")
    llm_tester.complete("hi", provider_type="openai")
    assert [received.headers.get("openai-organization") for received in server.received] == ["org-7", None]


@pytest.mark.parametrize(
    ("provider", "variables", "model"),
    [
        ("openai", {"OPENAI_MODEL": "gpt-4o"}, "gpt-4o"),
        ("anthropic", {"ANTHROPIC_MODEL": "claude-sonnet-4-5"}, "claude-sonnet-4-5"),
        ("lmstudio", {"LM_STUDIO_MODEL": "llama", "LMSTUDIO_MODEL": "qwen"}, "llama"),
        ("lmstudio", {"LMSTUDIO_MODEL": "qwen"}, "qwen"),
        ("lmstudio", {}, "default"),
    ],
)
def test_the_model_of_calls_that_name_none(
    server: LoopbackServer, environment: Callable[..., None], provider: str, variables: dict[str, str], model: str
) -> None:
    address = "LM_STUDIO_ENDPOINT" if provider == "lmstudio" else f"{provider.upper()}_BASE_URL"
    environment(**variables, **{address: f"{server.url}{'/v1' if provider == 'openai' else ''}"})
    llm_tester.complete("hi", provider_type=provider)
    llm_tester.complete("hi", provider_type=provider, model="named")
    assert [received.model for received in server.received] == [model, "named"]


def test_a_run_that_names_its_models_is_not_touched(server: LoopbackServer, workspace: Path) -> None:
    task = {"name": "t", "prompt": "{{ input }}", "scorer": {"type": "exact"}}
    (workspace / "tasks" / "t").mkdir()
    (workspace / "tasks" / "t" / "task.json").write_text(json.dumps(task))
    (workspace / "tasks" / "t" / "samples.jsonl").write_text('{"id": "s1", "input": "hi", "target": "ok"}\n')
    variables = KEYS | {"OPENAI_BASE_URL": f"{server.url}/v1", "OPENAI_MODEL": "gpt-4o"}
    run = LLMTester(workspace=Workspace.open(workspace, variables)).run(["t"], ["openai:gpt-4o-mini"])
    assert [standing.score for standing in run.standings()] == [1.0]
    assert set(server.by_model) == {"gpt-4o-mini"}
