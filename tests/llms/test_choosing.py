"""Who answers a call that names no provider, and that nobody is contacted whom nobody has named."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import llm_tester
from llm_tester import ConfigurationError, MissingKeyError, SubstitutionWarning, Workspace
from llm_tester.llms.choosing import chosen_provider
from llm_tester.llms.llm_registry import default_registry
from llm_tester.testing import LoopbackServer

OFF = {
    "LLM_TESTER_DISABLE_PROVIDERS": "true",
    "LLM_TESTER_SAFE_DEFAULT_PROVIDER": "stub",
    "LLM_TESTER_PROVIDER": "openai",
}


@pytest.fixture
def lmstudio(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LoopbackServer]:
    """LM Studio runs where it is looked for."""
    with LoopbackServer() as running:
        monkeypatch.chdir(workspace)
        monkeypatch.setenv("LM_STUDIO_ENDPOINT", running.url)
        yield running


@pytest.fixture
def put(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    def put(**variables: str) -> None:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        llm_tester.reset_provider_cache()

    return put


def test_lm_studio_is_not_contacted_by_itself(lmstudio: LoopbackServer) -> None:
    with pytest.warns(SubstitutionWarning, match="no provider's key is set, so `stub` answers"):
        assert llm_tester.complete("hi").startswith("stub answer")
    with pytest.warns(SubstitutionWarning):
        asyncio.run(llm_tester.acomplete("hi"))
    with pytest.warns(SubstitutionWarning):
        llm_tester.embed("hi")
    with pytest.raises(ConfigurationError, match="no provider's key is set"):
        llm_tester.get_provider(fallback=False)
    assert (lmstudio.count, lmstudio.connections) == (0, 0)


@pytest.mark.parametrize("name", ["LLM_TESTER_RESOURCE_LMSTUDIO_AVAILABLE", "DEVSYNTH_RESOURCE_LMSTUDIO_AVAILABLE"])
def test_it_is_where_it_is_declared_available(lmstudio: LoopbackServer, put: Callable[..., None], name: str) -> None:
    put(**{name: "true"})
    assert llm_tester.complete("hi") == "ok"
    assert lmstudio.by_model == {"default": 1}


def test_it_is_where_it_is_named(lmstudio: LoopbackServer, put: Callable[..., None]) -> None:
    assert llm_tester.complete("hi", provider_type="lmstudio") == "ok"
    put(LLM_TESTER_PROVIDER="LMStudio")
    assert llm_tester.complete("hi") == "ok"
    assert lmstudio.count == 2


def test_one_with_a_key_comes_before_it(lmstudio: LoopbackServer, put: Callable[..., None]) -> None:
    put(LLM_TESTER_RESOURCE_LMSTUDIO_AVAILABLE="1", GROQ_API_KEY="k", ANTHROPIC_API_KEY="k")
    assert llm_tester.get_provider().name == "anthropic"
    put(OPENAI_API_KEY="k")
    assert llm_tester.get_provider().name == "openai"
    assert lmstudio.count == 0


@pytest.mark.parametrize(("said", "name"), [("stub", "stub"), ("NULL", "null"), ("offline", "stub")])
def test_the_stand_in_can_be_chosen(lmstudio: LoopbackServer, put: Callable[..., None], said: str, name: str) -> None:
    put(LLM_TESTER_SAFE_DEFAULT_PROVIDER=said)
    with pytest.warns(SubstitutionWarning, match=f"`{name}` answers"):
        assert llm_tester.get_provider().name == name


def test_only_who_makes_answers_up_can_stand_in(lmstudio: LoopbackServer, put: Callable[..., None]) -> None:
    put(LLM_TESTER_SAFE_DEFAULT_PROVIDER="lmstudio")
    with pytest.raises(
        ConfigurationError, match='LLM_TESTER_SAFE_DEFAULT_PROVIDER is "lmstudio": expected stub or null'
    ):
        llm_tester.complete("hi")


@pytest.mark.parametrize("how", ["argument", "variable"])
def test_a_named_one_without_its_key_is_an_error(lmstudio: LoopbackServer, put: Callable[..., None], how: str) -> None:
    put(LLM_TESTER_PROVIDER="anthropic" if how == "variable" else "")
    with pytest.raises(MissingKeyError, match="ANTHROPIC_API_KEY"):
        llm_tester.complete("hi", provider_type="anthropic" if how == "argument" else None)


def test_for_vectors_only_who_makes_them_counts(lmstudio: LoopbackServer, put: Callable[..., None]) -> None:
    put(ANTHROPIC_API_KEY="k")
    with pytest.warns(SubstitutionWarning, match="no key of a provider that makes embeddings is set, so `stub`"):
        llm_tester.embed("hi")
    put(MISTRAL_API_KEY="k")
    assert chosen_provider(default_registry(), embeds=True).name == "mistral"


# --- all forbidden


@pytest.mark.parametrize("prefix", ["LLM_TESTER_", "DEVSYNTH_"])
def test_where_all_are_forbidden_the_stand_in_answers(
    lmstudio: LoopbackServer, put: Callable[..., None], prefix: str
) -> None:
    put(OPENAI_API_KEY="k", **{name.replace("LLM_TESTER_", prefix): value for name, value in OFF.items()})
    with pytest.warns(SubstitutionWarning, match="forbidden by LLM_TESTER_DISABLE_PROVIDERS, so `stub` answers"):
        assert llm_tester.complete("hi").startswith("stub answer")


@pytest.mark.parametrize("name", ["openai", "lmstudio"])
def test_where_all_are_forbidden_a_named_one_is_an_error(
    lmstudio: LoopbackServer, put: Callable[..., None], name: str
) -> None:
    put(OPENAI_API_KEY="k", **OFF)
    with pytest.raises(ConfigurationError, match=f'"{name}" is forbidden by LLM_TESTER_DISABLE_PROVIDERS'):
        llm_tester.complete("hi", provider_type=name)
    assert lmstudio.count == 0


def test_where_all_are_forbidden_runs_have_simulated_models_only(workspace: Path) -> None:
    task = {"name": "t", "prompt": "{{ input }}", "scorer": {"type": "exact"}}
    (workspace / "tasks" / "t").mkdir()
    (workspace / "tasks" / "t" / "task.json").write_text(json.dumps(task))
    (workspace / "tasks" / "t" / "samples.jsonl").write_text('{"id": "s1", "input": "hi", "target": "ok"}\n')
    tester = llm_tester.LLMTester(workspace=Workspace.open(workspace, OFF | {"OPENAI_API_KEY": "k"}))
    assert len(tester.run(["t"], ["stub:stub"]).standings()) == 1
    with pytest.raises(ConfigurationError, match="forbidden"):
        tester.run(["t"], ["openai:gpt-4o"])
