"""`llm-tester config show`: every setting, its value and where it comes from, and never a key."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from llm_tester import Workspace, reset_provider_cache
from llm_tester.cli.main import main
from llm_tester.config import Settings
from llm_tester.environment import VARIABLES
from llm_tester.llms.config_values import get_provider_config, get_settings, without_login

CANARY = "sk-canary-0815"
Program = Callable[..., str]


@pytest.fixture
def config(workspace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Program:
    def call(*arguments: str) -> str:
        monkeypatch.chdir(workspace)
        monkeypatch.setattr("sys.argv", ["llm-tester", "config", "show", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        assert not ended.value.code
        return capsys.readouterr().out

    return call


def sources(config: Program) -> dict[str, tuple[Any, str]]:
    return {row["name"]: (row["value"], row["source"]) for row in json.loads(config("--json"))}


def test_where_each_value_comes_from(workspace: Path, config: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    said = {"retry": {"max_retries": 1}, "run": {"seed": 3}, "tls": {"ca_file": "ca.pem"}}
    own = {"groq": {"enabled": False, "timeout": 5}, "openai": {"default_model": "gpt-4o"}}
    (workspace / "config.json").write_text(json.dumps(said | {"providers": own}))
    (workspace / ".env").write_text(f"OPENAI_API_KEY={CANARY}\nDEVSYNTH_PROVIDER=openai\nTLS_VERIFY=no\n")
    monkeypatch.setenv("LLM_TESTER_PROJECT", "acme")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://me:secret@proxy.example/v1")
    monkeypatch.setenv("OPENAI_MODEL", "o3")
    found = sources(config)
    expected = {
        "retry.max_retries": (1, "config.json"),
        "retry.max_delay": (60.0, "default"),
        "run.seed": (3, "config.json"),
        "run.project": ("acme", "LLM_TESTER_PROJECT"),
        "tls.verify": ("no", "TLS_VERIFY in .env"),
        "tls.ca_file": ("ca.pem", "config.json"),
        "tls.key_file": (None, "default"),
        "LLM_TESTER_PROVIDER": ("openai", "DEVSYNTH_PROVIDER in .env"),
        "LLM_TESTER_SAFE_DEFAULT_PROVIDER": ("stub", "default"),
        "providers.openai.key": ("set", "OPENAI_API_KEY in .env"),
        "providers.openai.base_url": ("http://proxy.example/v1", "OPENAI_BASE_URL"),
        "providers.openai.default_model": ("gpt-4o", "config.json"),
        "providers.openai.default_model of convenience calls": ("o3", "OPENAI_MODEL"),
        "providers.groq.enabled": (False, "config.json"),
        "providers.groq.timeout": (5.0, "config.json"),
        "providers.groq.base_url": ("https://api.groq.com/openai/v1", "built in catalogue"),
        "providers.groq.key": ("not set", "GROQ_API_KEY"),
        "providers.stub.enabled": (True, "default"),
    }
    assert {name: found.get(name) for name in expected} == expected
    assert CANARY not in config("--all") + config("--json")


def test_every_setting_and_variable_is_shown(config: Program) -> None:
    found = sources(config)
    tops = {name.partition(".")[0] for name in found}
    assert set(Settings.model_fields) - {"schema_"} <= tops
    assert {variable.setting or variable.name for variable in VARIABLES} <= set(found)


def test_people_see_what_was_said_and_what_is_missing(workspace: Path, config: Program) -> None:
    (workspace / "config.json").write_text('{"providers": {"groq": {"enabled": false}, "grok": {}}}')
    rows = {line.split()[0]: line.split()[1:] for line in config().splitlines() if line.strip()}
    assert rows["providers.groq.enabled"] == ["false", "config.json"]
    assert rows["providers.xai.key"] == ["not", "set", "XAI_API_KEY"]
    assert "providers.grok.problem" in rows
    assert "providers.xai.base_url" not in rows
    assert "providers.xai.base_url" in config("--all")


def test_the_model_that_config_json_marks_as_default(workspace: Path, config: Program) -> None:
    models = [{"name": "mine", "default": True}]
    (workspace / "config.json").write_text(json.dumps({"providers": {"openai": {"llm_models": models}}}))
    assert sources(config)["providers.openai.default_model"] == ("mine", "config.json")


def test_outside_a_workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, config: Program, workspace: Path) -> None:
    (workspace / "config.json").unlink()
    for folder in ("tasks", "providers"):
        (workspace / folder).rmdir()
    assert sources(config)["run.project"] == ("default", "default")


def test_an_address_is_shown_without_its_login() -> None:
    assert without_login("https://a:b@h:1/v1?x=1") == "https://h:1/v1?x=1"
    assert without_login("${AZURE_OPENAI_ENDPOINT}") == "${AZURE_OPENAI_ENDPOINT}"


# --- in Python


def test_settings_with_the_environment_over_them(workspace: Path) -> None:
    (workspace / "config.json").write_text('{"run": {"project": "file", "seed": 4}, "tls": {"verify": true}}')
    opened = Workspace.open(workspace, {"LLM_TESTER_PROJECT": "acme", "TLS_VERIFY": "false"})
    settings = get_settings(opened)
    assert settings.tls is not None
    assert (settings.run.project, settings.run.seed, settings.tls.verify) == ("acme", 4, False)
    assert get_settings(Workspace.open(workspace, {})).run.project == "file"


def test_the_configuration_of_calls_as_a_dict(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    variables = {"OPENAI_API_KEY": CANARY, "OPENAI_MODEL": "gpt-4o", "LM_STUDIO_ENDPOINT": "http://lmstudio:1234"}
    found = get_provider_config(Workspace.open(workspace, variables))
    assert found["default_provider"] == "openai"
    assert found["openai"]["api_key"].get_secret_value() == CANARY
    assert CANARY not in repr(found)
    assert (found["openai"]["model"], found["openai"]["base_url"]) == ("gpt-4o", "https://api.openai.com/v1")
    assert found["lmstudio"] == {"endpoint": "http://lmstudio:1234/v1", "model": "default"}
    assert found["retry"]["max_retries"] == 3
    monkeypatch.chdir(workspace)
    reset_provider_cache()
    assert get_provider_config()["openai"]["api_key"] is None


def test_one_that_is_broken_has_no_address(workspace: Path) -> None:
    found = get_provider_config(Workspace.open(workspace, {"OPENAI_BASE_URL": "nowhere"}))
    assert found["openai"] == {"api_key": None, "base_url": None, "model": None}
