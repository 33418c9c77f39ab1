"""The contract of classes: what keeps it passes, each way of breaking it is found, and no network is used."""

from __future__ import annotations

import asyncio
import json
import re
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from llm_tester import BaseLLM, ProviderConfig, error_for_status
from llm_tester.llms.validation import Verdict
from llm_tester.testing import LoopbackServer, check_provider

Usage = dict[str, Any]
Add = Callable[..., Path]
MODELS = ({"name": "m", "default": True, "cost_input": 1, "cost_output": 2},)
DECLARED = "declared in `applies`; whether they reach the service does not show here"
SHAPE = "    def _call_llm_api(self, prompt, system_prompt, model_name, model_config):\n"


def findings(verdict: Verdict, *states: str) -> dict[str, str]:
    return {found.rule: found.text for found in verdict.findings if found.state in (states or ("failed",))}


def config(**said: Any) -> ProviderConfig:
    return ProviderConfig.model_validate({"name": "mine", "llm_models": MODELS, **said})


class Local(BaseLLM):
    applies = frozenset({"*"})

    def _call_llm_api(self, prompt: str, *rest: Any) -> tuple[str, Usage]:
        return f"you said {prompt}", {"input": 3, "output": 4}


class Slow(Local):
    async def _call_llm_api(self, prompt: str, *rest: Any) -> tuple[str, Usage]:  # type: ignore[override]
        time.sleep(0.3)  # noqa: ASYNC251 - the mistake that is to be found
        return "slow", {"input": 1, "output": 1}


class Brief(Local):
    async def _call_llm_api(self, prompt: str, *rest: Any) -> tuple[str, Usage]:  # type: ignore[override]
        time.sleep(0.03)  # noqa: ASYNC251 - as above
        return "brief", {"input": 1, "output": 1}


class Patient(Local):
    async def _call_llm_api(self, prompt: str, *rest: Any) -> tuple[str, Usage]:  # type: ignore[override]
        await asyncio.sleep(0.01)
        return prompt, {"input": 1, "output": 1}


class BadReturn(Local):
    def _call_llm_api(self, prompt: str, *rest: Any) -> Any:
        return prompt


class BadKey(Local):
    def _call_llm_api(self, prompt: str, *rest: Any) -> tuple[str, Usage]:
        usage = {"promt_tokens": 3}
        return prompt, usage


class BadCounts(Local):
    def _call_llm_api(self, prompt: str, *rest: Any) -> tuple[str, Usage]:
        return prompt, {"input": 3, "cached_input": 5, "output": 1}


class WordCounts(Local):
    def _call_llm_api(self, prompt: str, *rest: Any) -> tuple[str, Usage]:
        return prompt, {"input": "1 tokens", "output": 1}


class NoCounts(Local):
    applies = frozenset()

    def _call_llm_api(self, prompt: str, *rest: Any) -> tuple[str, Usage]:
        return prompt, {}


class Plain(Local):
    def _call_llm_api(self, prompt: str, *rest: Any) -> tuple[str, Usage]:
        raise RuntimeError("what")


class Refuses(Local):
    def _call_llm_api(self, prompt: str, *rest: Any) -> tuple[str, Usage]:
        raise error_for_status(401, "the key is refused")


class Fussy(Local):
    def _call_llm_api(self, prompt: str, *rest: Any) -> tuple[str, Usage]:
        return prompt.split()[0], {"input": 1, "output": 1}


class Stateful(Local):
    def _call_llm_api(self, prompt: str, *rest: Any) -> tuple[str, Usage]:
        self.prompt = prompt
        time.sleep(0.02)
        return self.prompt, {"input": 1, "output": 1}


class FailsTogether(Local):
    busy = False

    def _call_llm_api(self, prompt: str, *rest: Any) -> tuple[str, Usage]:
        if self.busy:
            raise error_for_status(400, "one at a time")
        self.busy = True
        time.sleep(0.02)
        self.busy = False
        return prompt, {"input": 1, "output": 1}


@pytest.mark.parametrize("chosen", [Local, Patient])
def test_a_class_keeps_it(chosen: type[BaseLLM]) -> None:
    verdict = check_provider(chosen(config()))
    assert verdict, str(verdict)
    assert findings(verdict, "note", "skipped") == {"parameters": DECLARED}
    assert "each got its own answer" in findings(verdict, "ok")["threads"]


def test_it_can_be_checked_from_a_test_that_runs_on_a_loop() -> None:
    async def test() -> Verdict:
        return check_provider(Local(config()))

    assert asyncio.run(test())


@pytest.mark.parametrize(
    ("chosen", "rule", "text", "fix"),
    [
        (Slow, "event loop", "a call held up the event loop, and with it all other calls, for 0.", "Await what takes"),
        (BadReturn, "answer", "_call_llm_api returned str, not (text, usage)", "Return (text, {"),
        (BadKey, "answer", 'the usage has an unknown key "promt_tokens"', "Did you mean prompt_tokens"),
        (BadCounts, "usage", "the parts of input sum to 5, more than 3", "Counts of parts lie within the whole."),
        (WordCounts, "usage", "input is '1 tokens'", "Write counts as whole numbers"),
        (Plain, "answer", "): RuntimeError: what", "error_for_status(status, message)"),
        (Refuses, "answer", "AuthenticationError: the key is refused", ""),
        (Fussy, "odd prompts", "IndexError", "error_for_status"),
        (Stateful, "threads", "4 calls at once got other answers than one after the other", "Keep nothing of a call"),
        (FailsTogether, "threads", "BadRequestError: one at a time", ""),
    ],
)
def test_what_breaks_it_in_a_class_is_found(chosen: type[BaseLLM], rule: str, text: str, fix: str) -> None:
    verdict = check_provider(chosen(config()))
    assert not verdict
    assert text in findings(verdict)[rule]
    assert fix in next(found.fix for found in verdict.findings if found.state == "failed")


def test_what_is_only_poor_is_noted() -> None:
    verdict = check_provider(NoCounts(config()))
    assert verdict
    assert findings(verdict, "note") == {
        "usage": "input or output is not reported: costs will be unknown",
        "parameters": "max_tokens, temperature of a call would be reported as not applied",
    }


def test_a_class_that_fails_by_itself_is_not_called() -> None:
    class Unusable(Local):
        def _call_llm_api(self) -> Any:  # type: ignore[override]
            raise AssertionError("called")

    assert list(findings(check_provider(Unusable(config())))) == ["signature"]


# --- networks of their own


class Fetches(Local):
    """Asks the server that its options name."""

    def _call_llm_api(self, prompt: str, *rest: Any) -> tuple[str, Usage]:
        address = self.config.options["address"]
        request = urllib.request.Request(address, json.dumps({"messages": []}).encode())  # noqa: S310 - loopback
        with urllib.request.urlopen(request) as reply:  # noqa: S310 - as above
            return json.load(reply)["choices"][0]["message"]["content"], {"input": 1, "output": 1}


class Hides(Fetches):
    def _call_llm_api(self, prompt: str, *rest: Any) -> tuple[str, Usage]:
        try:
            return super()._call_llm_api(prompt, *rest)
        except OSError:
            return "fine", {"input": 1, "output": 1}


@pytest.mark.parametrize("chosen", [Fetches, Hides])
def test_a_class_that_uses_a_network_is_only_called_when_it_may_be(chosen: type[BaseLLM]) -> None:
    with LoopbackServer() as server:
        provider = chosen(config(options={"address": f"{server.url}/chat/completions"}))
        verdict = check_provider(provider)
        assert server.count == 0
        assert server.connections == 0
        assert verdict
        host = server.url.removeprefix("http://")
        assert findings(verdict, "skipped")["calls"].startswith(f"it asks for a connection to {host.split(':')[0]}")
        verdict = check_provider(provider, call=True)
        assert verdict, str(verdict)
        assert findings(verdict, "note")["calls"].startswith("6 calls made")
        assert server.count == 6


@pytest.mark.parametrize("said", [{"env_key": "P_KEY"}, {"base_url": "https://api.paid.example"}])
def test_a_class_whose_configuration_names_a_network_is_not_called(said: dict[str, str]) -> None:
    class Called(Local):
        def _call_llm_api(self, *arguments: Any) -> Any:
            raise AssertionError("called")

    verdict = check_provider(Called(config(**said)))
    assert verdict
    assert f"its config.json names {next(iter(said))}" in findings(verdict, "skipped")["calls"]


def test_without_its_key_it_is_not_called_either() -> None:
    provider = Local(config(env_key="P_KEY"))
    provider.environment = {}
    verdict = check_provider(provider, call=True)
    assert findings(verdict)["answer"] == "MissingKeyError: mine needs a key, and P_KEY is not set"
    assert findings(verdict, "note")["calls"].startswith("0 calls made")


def test_a_library_whose_network_cannot_be_watched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "grpc", object())
    verdict = check_provider(Local(config()))
    assert "grpc is loaded, whose network cannot be watched" in findings(verdict, "skipped")["calls"]


def test_other_programs_are_not_started_either() -> None:
    class Starts(Local):
        def _call_llm_api(self, *arguments: Any) -> Any:
            import subprocess

            return subprocess.run(["curl", "x"], check=True, capture_output=True), {}  # noqa: S607 - refused

    assert "it asks for starting curl" in findings(check_provider(Starts(config())), "skipped")["calls"]


def test_a_short_hold_of_the_event_loop_is_noted() -> None:
    verdict = check_provider(Brief(config()))
    assert verdict
    held = re.fullmatch(r"a call held up .* for (\d+) ms", findings(verdict, "note")["event loop"])
    assert held
    assert 20 <= int(held[1]) <= 250


def test_what_is_only_declared_is_not_called_ok() -> None:
    assert findings(check_provider(Local(config())), "note") == {"parameters": DECLARED}
