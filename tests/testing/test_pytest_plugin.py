"""The pytest plugin, in a project of its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.test_public_names import HEAVY, fresh

ROOT = Path(__file__).resolve().parent.parent.parent
PLUGIN = "llm_tester.testing.pytest_plugin"
PROJECT = """
import asyncio, os, socket
import pytest, llm_tester
from llm_tester.llms.apis.openai_compatible import OpenAICompatible


def test_a_provider(llm_provider):
    assert llm_provider.name == os.environ.get("EXPECTED", "stub")


def test_an_answer(llm_complete):
    assert llm_complete("hi", max_tokens=5) == llm_complete("hi")


@pytest.mark.no_network
def test_without_keys(llm_provider):
    assert (llm_provider.name, os.environ.get("OPENAI_API_KEY")) == ("stub", None)
    with pytest.warns(llm_tester.SubstitutionWarning):
        assert llm_tester.get_provider().name == "stub"
    with pytest.raises(llm_tester.ConfigurationError, match="forbidden"):
        llm_tester.get_provider("openai")


@pytest.mark.no_network
def test_this_machine_is_no_network():
    with socket.create_server(("127.0.0.1", 0)) as server:
        socket.create_connection(server.getsockname()).close()


def remote(call):
    config = llm_tester.ProviderConfig(name="p", base_url="http://192.0.2.1/v1", open_catalogue=True)
    return call(OpenAICompatible(config))


@pytest.mark.no_network
def test_fails_in_a_thread():
    remote(lambda provider: provider.complete("hi", model="m"))


@pytest.mark.no_network
def test_fails_on_a_loop():
    remote(lambda provider: asyncio.run(provider.acomplete("hi", model="m")))


class TestMarked:
    pytestmark = pytest.mark.no_network

    def test_a_class(self):
        assert os.environ["LLM_TESTER_DISABLE_PROVIDERS"] == "true"


def test_after_them_all_is_as_before():
    assert "LLM_TESTER_DISABLE_PROVIDERS" not in os.environ
    assert os.environ["OPENAI_API_KEY"] == "sk-canary-0815"


def test_nothing(no_network, llm_provider_name):
    assert llm_provider_name == "stub"
"""
FAILING = {"test_fails_in_a_thread", "test_fails_on_a_loop"}


def outcomes(folder: Path, *arguments: str, **variables: str) -> tuple[dict[str, str], str]:
    """How each test of the project ended, and all that was printed."""
    (folder / "test_project.py").write_text(PROJECT)
    (folder / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\naddopts = --strict-markers\n")
    alone = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "OPENAI_API_KEY": "sk-canary-0815"}
    command = [sys.executable, "-m", "pytest", "-rA", "-p", PLUGIN, "-p", "no:cacheprovider", *arguments, str(folder)]
    done = subprocess.run(
        command, cwd=folder, env={**os.environ, **alone, **variables}, capture_output=True, text=True, check=False
    )
    found = re.findall(r"^(PASSED|FAILED|ERROR) \S*::(\w+)", done.stdout, re.MULTILINE)
    return {name: outcome for outcome, name in found}, done.stdout + done.stderr


def test_fixtures_and_marker(tmp_path: Path) -> None:
    found, printed = outcomes(tmp_path)
    assert len(found) == 9, printed
    assert {name for name, outcome in found.items() if outcome != "PASSED"} == FAILING, printed
    assert printed.count("marked no_network connects to 192.0.2.1") >= len(FAILING)


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"DEVSYNTH_PROVIDER": "OpenAI"}, "openai"),
        ({"LLM_TESTER_PROVIDER": "openai", "DEVSYNTH_DISABLE_PROVIDERS": "true"}, "stub"),
    ],
)
def test_a_real_provider_answers_only_where_it_is_named(
    tmp_path: Path, variables: dict[str, str], expected: str
) -> None:
    found, printed = outcomes(tmp_path, "-k", "test_a_provider", EXPECTED=expected, **variables)
    assert found == {"test_a_provider": "PASSED"}, printed


def test_pytest_finds_it_by_itself() -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["entry-points"]["pytest11"]
    assert declared == {PLUGIN: PLUGIN}


def test_it_loads_nothing_heavy() -> None:
    loaded = fresh(f"import {PLUGIN}")
    assert [name for name in HEAVY if name in loaded] == []
    ours = {name for name in loaded if name.startswith("llm_tester")}
    assert ours == {"llm_tester", "llm_tester.version", "llm_tester.testing", PLUGIN}
