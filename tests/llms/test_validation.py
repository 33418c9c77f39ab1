"""validate_provider_implementation: what shows of a class without calling it."""

from __future__ import annotations

from typing import Any

import pytest

from llm_tester import BaseLLM, HTTPProvider, ModelEntry, ProviderConfig, validate_provider_implementation
from llm_tester.llms.validation import Finding, Verdict

Usage = dict[str, Any]


class Plain(BaseLLM):
    def _call_llm_api(self, prompt: Any, system_prompt: Any, model_name: Any, model_config: Any) -> tuple[str, Usage]:
        raise AssertionError("it is not called")


class Async(BaseLLM):
    async def _call_llm_api(self, *arguments: Any) -> tuple[str, Usage]:  # type: ignore[override]
        return "", {"input": 1, "output": 2}


class Static(BaseLLM):
    @staticmethod
    def _call_llm_api(prompt: Any, system: Any, model: Any, config: Any) -> tuple[str, Usage]:
        return "", {}


class NoMethod(BaseLLM):
    pass


class NoWire(HTTPProvider):
    pass


class FewArguments(Plain):
    def _call_llm_api(self, prompt: Any) -> tuple[str, Usage]:  # type: ignore[override]
        return "", {}


class Yields(Plain):
    def _call_llm_api(self, *arguments: Any) -> Any:
        yield "a"


class WrongKey(Plain):
    def _call_llm_api(self, *arguments: Any) -> tuple[str, Usage]:
        return "", {"inptu": 1, "output": 2}


class NoConfig(Plain):
    def __init__(self) -> None:
        super().__init__()


class TextApplies(Plain):
    applies = "temperature"  # type: ignore[assignment]


class OddFlags(Plain):
    blocking = "yes"  # type: ignore[assignment]


class OddOptions(Plain):
    options_type = dict  # type: ignore[assignment]


def failures(verdict: Verdict) -> list[tuple[str, str, str]]:
    return [(found.rule, found.text, found.fix) for found in verdict.findings if found.state == "failed"]


@pytest.mark.parametrize("chosen", [Plain, Async, Static])
def test_a_class_that_keeps_the_contract(chosen: type[BaseLLM]) -> None:
    verdict = validate_provider_implementation(chosen)
    assert verdict
    assert failures(verdict) == []
    assert verdict.provider == chosen.__name__
    assert str(verdict).startswith(f"{chosen.__name__}: passed\n  ok      class: {chosen.__name__} is a BaseLLM")
    kind = "(async)" if chosen is Async else "(sync)"
    assert next(found.text for found in verdict.findings if found.rule == "signature").endswith(kind)


def test_the_keys_of_a_usage_are_read_off_the_code() -> None:
    found = validate_provider_implementation(Async).findings
    assert Finding("usage keys", "ok", "input, output") in found
    assert "usage keys" not in [finding.rule for finding in validate_provider_implementation(Plain).findings]


@pytest.mark.parametrize(
    ("chosen", "rule", "text", "fix"),
    [
        (dict, "class", "dict is no subclass of BaseLLM", "Derive it from BaseLLM."),
        (NoMethod, "class", "NoMethod does not define _call_llm_api", "Add _call_llm_api(self, prompt, system_prompt"),
        (NoWire, "class", "NoWire does not define build_request, parse_response", "Add"),
        (FewArguments, "signature", "cannot be called with four arguments: too many positional", "Write _call_llm_api"),
        (Yields, "signature", "_call_llm_api yields", "Return (text, usage) once, at the end."),
        (WrongKey, "usage keys", 'the usage has an unknown key "inptu"', "Did you mean input"),
        (
            NoConfig,
            "constructor",
            "__init__(self) -> 'None' cannot be called with a config",
            "super().__init__(config)",
        ),
        (TextApplies, "declarations", "applies is 'temperature', not a set of names", "frozenset"),
        (OddFlags, "declarations", "blocking is 'yes'", "It is True or False."),
        (OddOptions, "declarations", "options_type is <class 'dict'>", "subclass of llm_tester.Document"),
    ],
)
def test_a_class_that_breaks_it(chosen: type[Any], rule: str, text: str, fix: str) -> None:
    verdict = validate_provider_implementation(chosen)
    assert not verdict
    ((found_rule, found_text, found_fix),) = failures(verdict)
    assert found_rule == rule
    assert text in found_text
    assert fix in found_fix
    assert f"\n  failed  {rule}: " in str(verdict)
    assert f"\n          {found_fix}" in str(verdict)


def made(environment: dict[str, str] | None = None, **config: Any) -> Plain:
    provider = Plain(ProviderConfig(name="plain", **config))
    provider.environment = environment or {}
    return provider


def model(name: str, *, priced: bool) -> ModelEntry:
    prices = {"cost_input": 1, "cost_output": 2} if priced else {}
    return ModelEntry.model_validate({"name": name, **prices})


@pytest.mark.parametrize(
    ("config", "state", "text"),
    [
        ({}, "failed", "it has no models"),
        ({"open_catalogue": True}, "note", "any model is accepted, none has a price"),
        ({"llm_models": (model("a", priced=True),)}, "ok", "1 model, with prices"),
        (
            {"llm_models": (model("a", priced=True), *(model(name, priced=False) for name in "bcde"))},
            "note",
            "5 models; without a price: b, c, d and 1 more",
        ),
    ],
)
def test_an_instance_has_its_catalogue_checked_too(config: dict[str, Any], state: str, text: str) -> None:
    verdict = validate_provider_implementation(made(**config))
    assert verdict.provider == "plain"
    assert [(found.state, found.text) for found in verdict.findings if found.rule == "catalogue"] == [(state, text)]
    assert bool(verdict) == (state != "failed")


@pytest.mark.parametrize(
    ("environment", "state", "text"),
    [({}, "note", "P_KEY is not set"), ({"P_KEY": "secret"}, "ok", "P_KEY is set")],
)
def test_an_instance_is_asked_for_its_key(environment: dict[str, str], state: str, text: str) -> None:
    verdict = validate_provider_implementation(made(environment, open_catalogue=True, env_key="P_KEY"))
    assert [(found.state, found.text) for found in verdict.findings if found.rule == "key"] == [(state, text)]
    assert "secret" not in str(verdict)
    assert verdict


def test_an_instance_of_a_broken_class_fails_by_its_class() -> None:
    verdict = validate_provider_implementation(WrongKey(ProviderConfig(name="x")))
    assert [rule for rule, *_ in failures(verdict)] == ["usage keys"]


class WantsKey(Plain):
    def headers(self) -> str:
        return f"Bearer {self.get_api_key()}"


def test_a_class_that_wants_a_key_needs_the_name_of_its_variable() -> None:
    (found,) = [one for one in validate_provider_implementation(WantsKey()).findings if one.rule == "key"]
    assert (found.state, found.text) == ("note", "it asks for its key, and config.json names no env_key")
    assert '"env_key"' in found.fix
    with_it = WantsKey(ProviderConfig(name="w", open_catalogue=True, env_key="W_KEY"))
    assert [one.text for one in validate_provider_implementation(with_it).findings if one.rule == "key"] == [
        "W_KEY is not set"
    ]
    assert "key" not in [one.rule for one in validate_provider_implementation(Plain()).findings]
