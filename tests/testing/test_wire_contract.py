"""The contract over HTTP: what keeps it passes, and each way of breaking it is found and said."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from llm_tester import create_provider
from llm_tester.config import Workspace
from llm_tester.llms.provider_factory import discover
from llm_tester.llms.validation import Verdict
from llm_tester.testing import LoopbackServer, check_provider
from llm_tester.testing.contract import check_discovered

Usage = dict[str, Any]
Add = Callable[..., Path]
MODELS = ({"name": "m", "default": True, "cost_input": 1, "cost_output": 2},)
SHAPE = "    def _call_llm_api(self, prompt, system_prompt, model_name, model_config):\n"


def findings(verdict: Verdict, *states: str) -> dict[str, str]:
    return {found.rule: found.text for found in verdict.findings if found.state in (states or ("failed",))}


@pytest.mark.parametrize("name", ["openai", "anthropic", "xai", "groq", "azure", "vllm"])
def test_built_in_providers_keep_it(name: str) -> None:
    verdict = check_provider(create_provider(name, Workspace(None)))
    assert verdict, str(verdict)
    tried = {"answer", "key", "parameters", "usage", "errors", "bad answers", "retries", "timeouts", "stream"}
    assert set(findings(verdict, "ok")) >= tried | {"threads", "event loop"} - {"key"}


def test_a_folder_keeps_it_whose_usage_stands_elsewhere(workspace: Path, add_provider: Add) -> None:
    paths = {"input": "tokens.read", "output": ["no.such", "tokens.made"]}
    add_provider("odd", api="openai", base_url="http://127.0.0.1:9", usage={"paths": paths})
    verdict = check_provider(create_provider("odd", Workspace.open(workspace)))
    # The first of several paths is where the server puts the count.
    assert verdict, str(verdict)
    assert findings(verdict, "note")["usage"] == "your paths were played back, not compared with your server"


@pytest.mark.parametrize("auth", [{"kind": "query", "name": "key"}, {"kind": "header", "name": "x-key"}])
def test_keys_are_shown_as_declared(workspace: Path, add_provider: Add, auth: dict[str, str]) -> None:
    add_provider("mine", api="openai", base_url="http://x.example", env_key="P_KEY", auth=auth)
    verdict = check_provider(create_provider("mine", Workspace.open(workspace)))
    assert verdict, str(verdict)
    place = "address" if auth["kind"] == "query" else "x-key"
    assert [found.text for found in verdict.findings if found.rule == "key"][-1] == f"it is sent in {place}"


def own_wire(workspace: Path, add_provider: Add, body: str, **said: Any) -> Verdict:
    """The verdict on a provider of the workspace whose class changes OpenAI's."""
    head = "import json, time\nfrom llm_tester import *\n\nclass Mine(OpenAICompatible):\n"
    code = head + textwrap.indent(textwrap.dedent(body), "    ")
    add_provider("mine", code, **{"base_url": "http://127.0.0.1:9/v1", "env_key": "P_KEY", **said})
    return check_provider(create_provider("mine", Workspace.open(workspace, {})))


@pytest.mark.parametrize(
    ("body", "rule", "text"),
    [
        pytest.param(
            "def url(self, path):\n    return 'https://api.paid.example/' + path",
            "request",
            "requests go to api.paid.example, whatever base_url says; nothing was sent",
            id="another address",
        ),
        pytest.param(
            "def build_request(self, request):\n    raise KeyError('x')",
            "request",
            "build_request raises KeyError: 'x'",
            id="no request",
        ),
        pytest.param(
            "def parse_response(self, reply, request):\n"
            "    from dataclasses import replace\n"
            "    return replace(super().parse_response(reply, request), text='hm')",
            "answer",
            "the text is 'hm', not 'contract answer'",
            id="another text",
        ),
        pytest.param(
            "def parse_response(self, reply, request):\n    raise BadResponseError('never')",
            "answer",
            "BadResponseError: never",
            id="no answer",
        ),
        pytest.param(
            "def headers(self, request):\n    return {}",
            "key",
            "it is not sent",
            id="no key",
        ),
        pytest.param(
            "def sent_parameters(self, request):\n    return {'user': self.key()}",
            "key",
            "it stands in the body of requests",
            id="the key in the body",
        ),
        pytest.param(
            "def sent_parameters(self, request):\n    return {'temperature': request.parameters.get('temperature')}",
            "parameters",
            "max_tokens, seed: neither sent nor reported",
            id="lost parameters",
        ),
        pytest.param(
            "def usage_of(self, body, **details):\n    return UsageData(**details)",
            "usage",
            "{'input': 11, 'output': 7} was sent, {'input': None, 'output': None} was read",
            id="no usage",
        ),
        pytest.param(
            "def usage_of(self, body, **details):\n"
            "    counts = body.get('usage') or {}\n"
            "    return UsageData(counts.get('prompt_tokens', 0), counts.get('completion_tokens', 0), **details)",
            "usage",
            "an answer without counts has {'input': 0, 'output': 0}",
            id="0 for unknown",
        ),
        pytest.param(
            "def error_of(self, reply):\n    return ProviderError('no')",
            "errors",
            "status 401 is ProviderError, not AuthenticationError",
            id="all errors alike",
        ),
        pytest.param(
            "def retry_after(self, reply):\n    return None",
            "errors",
            "status 429: retry-after 7 is read as None",
            id="no retry-after",
        ),
        pytest.param(
            "def parse_response(self, reply, request):\n"
            "    try:\n        return super().parse_response(reply, request)\n"
            "    except BadResponseError:\n        raise ValueError('what') from None",
            "bad answers",
            "HTML is ValueError; broken JSON is ValueError; an empty object is ValueError, not BadResponseError",
            id="another error for bad answers",
        ),
        pytest.param(
            "def parse_response(self, reply, request):\n"
            "    from dataclasses import replace\n"
            "    if not hasattr(self, 'last'):\n        self.last = super().parse_response(reply, request)\n"
            "    return super().parse_response(reply, request) if request.prompt == 'Say ok.' else self.last",
            "threads",
            "16 calls from 8 threads: 16 got the answer of another",
            id="state on self",
        ),
    ],
)
def test_what_breaks_it_over_http_is_found(workspace: Path, add_provider: Add, body: str, rule: str, text: str) -> None:
    verdict = own_wire(workspace, add_provider, body)
    assert not verdict
    assert text in findings(verdict)[rule]
    assert next(found.fix for found in verdict.findings if found.rule == rule and found.state == "failed") or (
        rule in ("request", "answer")
    )


ELSEWHERE = """
def headers(self, request):
    import urllib.request
    urllib.request.urlopen("{address}")
    return super().headers(request)
"""


def test_it_may_ask_for_nothing_beside_its_base_url(workspace: Path, add_provider: Add) -> None:
    with LoopbackServer() as tokens:
        verdict = own_wire(workspace, add_provider, ELSEWHERE.format(address=f"{tokens.url}/token"))
        assert tokens.connections == 0
    assert verdict
    host = tokens.url.removeprefix("http://").split(":")[0]
    assert f"it asks for a connection to {host}" in findings(verdict, "skipped")["network"]
    assert "answer" not in findings(verdict, "ok", "note", "skipped")


def test_a_module_that_connects_when_it_is_imported(workspace: Path, add_provider: Add) -> None:
    with LoopbackServer() as server:
        code = f"import urllib.request\nurllib.request.urlopen({server.url!r})\n"
        add_provider("eager", code)
        here = Workspace.open(workspace)
        verdict = check_discovered(discover(here)["eager"], here)
        assert server.connections == 0
        assert "is not allowed in a check" in findings(verdict)["loads"]
        assert "first call" in verdict.findings[0].fix


@pytest.mark.parametrize(
    "code",
    ["{}", "from llm_tester import BaseLLM\nclass A(BaseLLM):\n    _call_llm_api = 0\n    def __init__(self, _): {}"],
)
def test_a_module_that_hangs_is_left(workspace: Path, add_provider: Add, code: str) -> None:
    add_provider("slow", code.format("import threading; threading.Event().wait(20)"))
    here = Workspace.open(workspace)
    assert (
        "TimeoutError: still not done after 0.2 s"
        in findings(check_discovered(discover(here)["slow"], here, patience=0.2))["loads"]
    )


@pytest.mark.parametrize(
    ("said", "state", "text"),
    [
        ({"base_url": "https://x.example/v1"}, "ok", "calls go to x.example"),
        ({"base_url": "${NOWHERE}/v1"}, "note", "NOWHERE"),
        ({"base_url": "x.example/v1"}, "failed", "base_url"),
        ({}, "failed", "base_url"),
    ],
)
def test_where_calls_would_go(workspace: Path, add_provider: Add, said: dict[str, str], state: str, text: str) -> None:
    add_provider("mine", api="openai", **said)
    here = Workspace.open(workspace, {})
    verdict = check_discovered(discover(here)["mine"], here)
    found = next(one for one in verdict.findings if one.rule in ("address", "loads"))
    assert found.state == state
    assert text in found.text


def test_a_wire_that_the_server_does_not_speak_is_said(workspace: Path, add_provider: Add) -> None:
    verdict = own_wire(workspace, add_provider, "def endpoint(self, request):\n    return 'v9/sing'")
    assert verdict
    assert "POST /v1/v9/sing is none of the APIs" in findings(verdict, "skipped")["answer"]


def test_a_class_that_does_not_stream_is_fine(workspace: Path, add_provider: Add) -> None:
    verdict = own_wire(workspace, add_provider, "def parse_stream(self, request):\n    return None")
    assert findings(verdict, "ok")["stream"] == "it does not stream; answers come whole"


def test_a_stream_without_counts_is_noted(workspace: Path, add_provider: Add) -> None:
    body = "def stream_parameters(self):\n    return {'stream': True}"
    assert "its cost is unknown" in findings(own_wire(workspace, add_provider, body), "note")["stream"]


def test_a_proxy_would_take_calls_elsewhere(
    workspace: Path, add_provider: Add, monkeypatch: pytest.MonkeyPatch
) -> None:
    with LoopbackServer() as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        monkeypatch.delenv("no_proxy", raising=False)
        verdict = own_wire(workspace, add_provider, "pass")
        assert "HTTP_PROXY would take what is sent" in findings(verdict, "skipped")["answer"]
        assert proxy.count == 0


def test_what_keeps_a_provider_from_being_made_is_the_finding(workspace: Path, add_provider: Add) -> None:
    add_provider("bad", "import absent_sdk")
    here = Workspace.open(workspace)
    verdict = check_discovered(discover(here)["bad"], here)
    assert "No module named 'absent_sdk'" in findings(verdict)["loads"]
    assert verdict.findings[0].fix == "pip install absent_sdk"


@pytest.mark.parametrize("lines", ['{"id": "s1", "answer": "a"}\n', "", "{"])
def test_recorded_answers_are_read(workspace: Path, add_provider: Add, lines: str) -> None:
    folder = add_provider("rep", api="replay", llm_models=[{"name": "m", "answers": "m.jsonl"}])
    (folder / "m.jsonl").write_text(lines)
    here = Workspace.open(workspace)
    verdict = check_discovered(discover(here)["rep"], here)
    assert bool(verdict) == ("s1" in lines)
    assert "answers" in findings(verdict, "ok" if verdict else "failed")


def test_an_http_class_that_sends_by_itself_is_treated_as_one(workspace: Path, add_provider: Add) -> None:
    verdict = own_wire(workspace, add_provider, SHAPE.lstrip() + "    raise AssertionError('called')")
    assert verdict
    assert "names env_key" in findings(verdict, "skipped")["calls"]
