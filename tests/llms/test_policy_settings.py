"""Retries, circuit breaker and fallback by PROVIDER_* variables and config.json, in real calls where they show."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from llm_tester import ProviderManager, ProviderRegistry, Response
from llm_tester.config import Workspace
from llm_tester.errors import CircuitOpenError, ConfigurationError, OverloadedError, ProviderError
from llm_tester.llms.config_values import config_values, get_settings
from llm_tester.llms.flow import Session
from llm_tester.llms.policy_settings import breaker_settings, fallback_settings, retry_settings
from llm_tester.testing import LoopbackServer, Play
from tests.llms.wire_calls import provider as wire_provider

Ask = Callable[..., Response]


def opened(root: Path, **environment: str) -> Workspace:
    return Workspace.open(root, environment)


def settings(workspace: Workspace) -> dict[str, Any]:
    found = {"retry": retry_settings, "circuit_breaker": breaker_settings, "fallback": fallback_settings}
    return {name: read(workspace).model_dump() for name, read in found.items()}


DEFAULTS: dict[str, dict[str, Any]] = {
    "retry": {"max_retries": 3, "initial_delay": 1.0, "exponential_base": 2.0, "max_delay": 60.0, "jitter": True},
    "circuit_breaker": {"enabled": True, "failure_threshold": 5, "recovery_timeout": 60.0},
    "fallback": {"enabled": True, "order": ("openai", "lmstudio"), "chains": {}},
}
VARIABLES = [
    ("PROVIDER_MAX_RETRIES", "7", "retry", "max_retries", 7),
    ("PROVIDER_INITIAL_DELAY", "0.5", "retry", "initial_delay", 0.5),
    ("PROVIDER_EXPONENTIAL_BASE", "3", "retry", "exponential_base", 3.0),
    ("PROVIDER_MAX_DELAY", "10", "retry", "max_delay", 10.0),
    ("PROVIDER_JITTER", "false", "retry", "jitter", False),
    ("PROVIDER_CIRCUIT_BREAKER_ENABLED", "0", "circuit_breaker", "enabled", False),
    ("PROVIDER_FAILURE_THRESHOLD", "9", "circuit_breaker", "failure_threshold", 9),
    ("PROVIDER_RECOVERY_TIMEOUT", "1.5", "circuit_breaker", "recovery_timeout", 1.5),
    ("PROVIDER_FALLBACK_ENABLED", "no", "fallback", "enabled", False),
    ("PROVIDER_FALLBACK_ORDER", " groq , openai,", "fallback", "order", ("groq", "openai")),
]


def test_the_defaults(workspace: Path) -> None:
    assert settings(opened(workspace)) == DEFAULTS


@pytest.mark.parametrize(("name", "text", "section", "field", "value"), VARIABLES)
def test_a_variable_changes_one_setting(
    workspace: Path, name: str, text: str, section: str, field: str, value: Any
) -> None:
    expected = {**DEFAULTS, section: {**DEFAULTS[section], field: value}}
    assert settings(opened(workspace, **{name: text})) == expected
    assert settings(opened(workspace, **{name: "  "})) == DEFAULTS


@pytest.mark.parametrize(("name", "text", "section", "field", "value"), VARIABLES)
def test_the_environment_wins_over_dot_env_and_that_over_config_json(
    workspace: Path, name: str, text: str, section: str, field: str, value: Any
) -> None:
    there = {**DEFAULTS[section], "max_delay": 33} if section == "retry" else {**DEFAULTS[section]}
    (workspace / "config.json").write_text(json.dumps({section: there}))
    (workspace / ".env").write_text(f"{name}={text.strip()}\n")
    found = settings(opened(workspace))[section]
    assert found[field] == value
    if section == "retry" and field != "max_delay":
        assert found["max_delay"] == 33
    other = "true" if isinstance(DEFAULTS[section][field], bool) else "4"
    assert settings(opened(workspace, **{name: other}))[section][field] != value


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("PROVIDER_MAX_RETRIES", "many"),
        ("PROVIDER_MAX_RETRIES", "-1"),
        ("PROVIDER_MAX_RETRIES", "1.5"),
        ("PROVIDER_INITIAL_DELAY", "nan"),
        ("PROVIDER_EXPONENTIAL_BASE", "0.5"),
        ("PROVIDER_MAX_DELAY", "inf"),
        ("PROVIDER_JITTER", "perhaps"),
        ("PROVIDER_FAILURE_THRESHOLD", "0"),
        ("PROVIDER_RECOVERY_TIMEOUT", "-1"),
        ("PROVIDER_CIRCUIT_BREAKER_ENABLED", "2"),
        ("PROVIDER_FALLBACK_ORDER", ","),
    ],
)
def test_a_variable_that_makes_no_sense_is_one_clear_error(workspace: Path, name: str, text: str) -> None:
    with pytest.raises(ConfigurationError, match=f'^{name} is "{text}": ') as caught:
        settings(opened(workspace, **{name: text}))
    assert caught.value.hint == "Correct or unset it."


@pytest.mark.parametrize(
    ("environment", "tries", "waits"),
    [
        ({}, 4, [1, 2, 4]),
        ({"PROVIDER_MAX_RETRIES": "0"}, 1, []),
        (
            {"PROVIDER_INITIAL_DELAY": "3", "PROVIDER_EXPONENTIAL_BASE": "10", "PROVIDER_MAX_DELAY": "20"},
            4,
            [3, 20, 20],
        ),
    ],
)
def test_calls_are_tried_again_as_the_environment_says(
    workspace: Path, ask: Ask, environment: dict[str, str], tries: int, waits: list[float]
) -> None:
    made: list[float] = []

    async def asleep(seconds: float) -> None:
        made.append(seconds)

    with LoopbackServer(Play(status=500)) as server:
        provider = wire_provider("openai", server.url)
        registry = ProviderRegistry(opened(workspace, PROVIDER_JITTER="false", **environment))
        registry.add(provider)
        session = Session(provider.make_transport(1), sleep=made.append, asleep=asleep)
        with pytest.raises(OverloadedError):
            ask(ProviderManager(registry=registry, session=session), provider.request("hi", "m"))
        assert (server.count, made) == (tries, waits)


@pytest.mark.parametrize(("enabled", "tries"), [("true", 2), ("false", 4)])
def test_the_breaker_is_as_the_environment_says(workspace: Path, ask: Ask, enabled: str, tries: int) -> None:
    now = 100.0
    said = {
        "PROVIDER_MAX_RETRIES": "0",
        "PROVIDER_FAILURE_THRESHOLD": "2",
        "PROVIDER_RECOVERY_TIMEOUT": "7",
        "PROVIDER_CIRCUIT_BREAKER_ENABLED": enabled,
    }
    with LoopbackServer(Play(status=500)) as server:
        provider = wire_provider("openai", server.url)
        registry = ProviderRegistry(opened(workspace, **said))
        registry.add(provider)
        manager = ProviderManager(registry=registry, clock=lambda: now)
        for number in range(4):
            expected = CircuitOpenError if number >= tries else OverloadedError
            with pytest.raises(expected):
                ask(manager, provider.request("hi", "m"))
        assert server.count == tries
        now += 7
        with pytest.raises(ProviderError):
            ask(manager, provider.request("hi", "m"))
        assert server.count == tries + 1


def test_the_variables_hold_for_a_provider_of_its_own_and_are_shown(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    here = opened(tmp_path, PROVIDER_MAX_RETRIES="7", PROVIDER_FAILURE_THRESHOLD="9")
    registry = ProviderRegistry(here)
    retry = registry.get("stub").retry
    assert retry is not None
    assert retry.max_retries == 7
    assert get_settings(here).circuit_breaker.failure_threshold == 9
    shown = {value.name: (value.value, value.source) for value in config_values(registry)}
    assert shown["retry.max_retries"] == ("7", "PROVIDER_MAX_RETRIES")
