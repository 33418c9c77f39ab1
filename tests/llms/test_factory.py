"""ProviderFactory: instances by name, by the environment, by configuration alone, bound to a model."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from llm_tester import (
    ConfigurationError,
    MissingKeyError,
    ProviderConfig,
    ProviderFactory,
    ProviderRegistry,
    SubstitutionWarning,
    UnknownModelError,
    UnknownProviderError,
    Workspace,
)
from llm_tester.llms.apis.openai_compatible import OpenAICompatible
from llm_tester.llms.factory import chain_of
from llm_tester.testing import LoopbackServer

KEY = {"OPENAI_API_KEY": "sk-1"}


@pytest.fixture
def server() -> Iterator[LoopbackServer]:
    with LoopbackServer() as running:
        yield running


@pytest.fixture
def here(workspace: Path) -> Callable[..., Workspace]:
    """The workspace with variables."""
    return lambda **variables: Workspace.open(workspace, variables)


def test_a_provider_by_name_bound_to_a_model(server: LoopbackServer, here: Callable[..., Workspace]) -> None:
    opened = here(**KEY, OPENAI_BASE_URL=f"{server.url}/v1")
    provider = ProviderFactory.create(provider_type="OpenAI", model="gpt-4o", workspace=opened)
    assert provider.get_default_model() == "gpt-4o"
    assert provider.complete("hi") == "ok"
    assert server.by_model == {"gpt-4o": 1}
    assert ProviderFactory.create("openai", workspace=opened) is not ProviderFactory.create("openai", workspace=opened)


def test_the_environment_names_provider_and_model(here: Callable[..., Workspace]) -> None:
    opened = here(**KEY, GROQ_API_KEY="k", DEVSYNTH_PROVIDER="openai", OPENAI_MODEL="gpt-4o")
    assert ProviderFactory.create(workspace=opened).get_default_model() == "gpt-4o"
    assert ProviderFactory.create(model="o3", workspace=opened).get_default_model() == "o3"
    assert ProviderFactory.create("lmstudio", workspace=opened).get_default_model() == "default"


def test_one_that_is_bound_to_an_embedding_model_embeds_with_it(here: Callable[..., Workspace]) -> None:
    large = ProviderFactory.create(model="text-embedding-3-large", workspace=here(**KEY))
    assert large.default_embedding_model == "text-embedding-3-large"
    assert ProviderFactory.create(workspace=here(**KEY)).default_embedding_model == "text-embedding-3-small"
    both = ProviderFactory.create("openai", "gpt-4o", embedding_model="text-embedding-3-large", workspace=here(**KEY))
    assert (both.get_default_model(), both.default_embedding_model) == ("gpt-4o", "text-embedding-3-large")


def test_it_reads_the_workspace_at_the_current_folder(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (workspace / "config.json").write_text(json.dumps({"retry": {"max_retries": 7}}))
    monkeypatch.chdir(workspace)
    made = ProviderFactory.create_provider("stub")
    assert made.retry is not None
    assert (made.name, made.retry.max_retries) == ("stub", 7)


def test_what_cannot_be_made_is_said(here: Callable[..., Workspace]) -> None:
    with pytest.raises(UnknownProviderError, match='no provider "opnai"'):
        ProviderFactory.create("opnai", workspace=here())
    with pytest.raises(MissingKeyError, match="OPENAI_API_KEY"):
        ProviderFactory.create("openai", workspace=here())
    with pytest.raises(UnknownModelError, match='openai has no model "gpt-5o"'):
        ProviderFactory.create("openai", model="gpt-5o", workspace=here(**KEY))


def test_without_a_key_and_where_all_are_forbidden_the_stand_in_is_made(here: Callable[..., Workspace]) -> None:
    with pytest.warns(SubstitutionWarning, match="no provider's key is set"):
        assert ProviderFactory.create_provider(workspace=here()).name == "stub"
    off = here(**KEY, LLM_TESTER_DISABLE_PROVIDERS="true", LLM_TESTER_SAFE_DEFAULT_PROVIDER="null")
    with pytest.warns(SubstitutionWarning, match="forbidden"):
        assert ProviderFactory.create_provider(workspace=off).name == "null"
    with pytest.raises(ConfigurationError, match='"openai" is forbidden'):
        ProviderFactory.create_provider("openai", workspace=off)


# --- who stands behind it


def test_a_second_one_that_cannot_be_made_is_left_out_with_a_warning(here: Callable[..., Workspace]) -> None:
    opened = here(**KEY, LLM_TESTER_FALLBACK_PROVIDER="anthropic")
    with pytest.warns(SubstitutionWarning, match="anthropic is left out of the fallback: .*ANTHROPIC_API_KEY"):
        assert ProviderFactory.create(workspace=opened).name == "openai"
    assert ProviderFactory.create(workspace=opened, use_fallback=False).name == "openai"


def test_those_behind_it_are_made_in_their_order(workspace: Path, here: Callable[..., Workspace]) -> None:
    folder = workspace / "providers" / "local"
    folder.mkdir()
    (folder / "config.json").write_text(
        '{"name": "local", "api": "openai", "base_url": "http://127.0.0.1:9/v1", "open_catalogue": true}'
    )
    assert ProviderFactory.create_provider("local", workspace=here()).get_default_model() is None
    variables = {**KEY, "LLM_TESTER_FALLBACK_PROVIDER": "LMStudio", "LLM_TESTER_USE_LOCAL_FALLBACK": "1"}
    registry = ProviderRegistry(here(**variables))
    primary = ProviderFactory.create("openai", workspace=registry.workspace, use_fallback=False)
    assert [provider.name for provider in chain_of(registry, primary)] == ["openai", "lmstudio", "local"]


def test_one_that_is_broken_is_left_out(workspace: Path, here: Callable[..., Workspace]) -> None:
    (workspace / "providers" / "odd").mkdir()
    (workspace / "providers" / "odd" / "config.json").write_text("{")
    with pytest.warns(SubstitutionWarning, match="odd is left out of the fallback"):
        ProviderFactory.create("stub", workspace=here(LLM_TESTER_FALLBACK_PROVIDER="odd"))


def test_the_local_one_comes_last_where_it_is_asked_for(here: Callable[..., Workspace]) -> None:
    opened = here(**KEY, LLM_TESTER_FALLBACK_PROVIDER="openai", LLM_TESTER_USE_LOCAL_FALLBACK="true")
    with pytest.warns(SubstitutionWarning, match='local is left out of the fallback: there is no provider "local"'):
        ProviderFactory.create(workspace=opened)


# --- by configuration alone


def test_a_configuration_is_enough(server: LoopbackServer) -> None:
    config = ProviderConfig(name="mine", api="openai", base_url=f"{server.url}/v1", env_key="K", open_catalogue=True)
    made = ProviderFactory.from_config(config, {"K": "sk-1"})
    assert isinstance(made, OpenAICompatible)
    assert made.complete("hi", model="m") == "ok"
    assert server.received[0].headers["authorization"] == "Bearer sk-1"


@pytest.mark.parametrize("api", ["opnai", None])
def test_it_needs_an_api_of_ours(api: str | None) -> None:
    with pytest.raises(ConfigurationError, match="mine: there is no built-in api"):
        ProviderFactory.from_config(ProviderConfig(name="mine", api=api))


def test_without_an_environment_it_is_the_real_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("K", "sk-2")
    assert ProviderFactory.from_config(ProviderConfig(name="mine", api="openai", env_key="K")).get_api_key() == "sk-2"
