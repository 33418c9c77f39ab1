from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from llm_tester import discover_providers, get_llm_provider, reset_provider_cache
from llm_tester.config import Workspace
from llm_tester.errors import ProviderLoadError, UnknownProviderError
from llm_tester.llms.base import BaseLLM
from llm_tester.llms.llm_registry import ProviderRegistry, default_registry
from llm_tester.records import UsageData

Add = Callable[..., Path]


class Own(BaseLLM):
    def _call_llm_api(self, *_: Any) -> tuple[str, UsageData]:
        return "own", UsageData()


def test_an_instance_is_made_once(workspace: Path) -> None:
    registry = ProviderRegistry(Workspace.open(workspace, {}))
    assert registry.get("stub") is registry.get("stub")
    assert registry.discovered() is registry.discovered()
    before = registry.get("stub")
    registry.reset()
    assert registry.get("stub") is not before


def test_a_registry_may_be_narrowed(workspace: Path) -> None:
    registry = ProviderRegistry(Workspace.open(workspace, {}), only=["stub", "null"])
    assert list(registry.discovered()) == ["stub", "null"]
    with pytest.raises(UnknownProviderError):
        registry.get("mock")
    with pytest.raises(UnknownProviderError, match="mokc"):
        ProviderRegistry(Workspace.open(workspace, {}), only=["mokc"]).discovered()


def test_an_instance_of_ones_own_can_be_added() -> None:
    registry = ProviderRegistry(Workspace(None))
    own = Own()
    registry.add(own)
    assert registry.get("own") is own


def test_a_failure_is_not_remembered(workspace: Path, add_provider: Add) -> None:
    folder = add_provider("late", "raise ValueError('not yet, and long enough to be another file')")
    registry = ProviderRegistry(Workspace.open(workspace, {}))
    with pytest.raises(ProviderLoadError):
        registry.get("late")
    (folder / "provider.py").write_text(
        "from llm_tester import BaseLLM\nclass L(BaseLLM):\n    def _call_llm_api(self, *_): return '', {}\n"
    )
    assert registry.get("late").name == "late"


def test_the_default_registry_is_that_of_the_current_folder(
    workspace: Path, add_provider: Add, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_provider("broken", "", api="nothing")
    (workspace / "config.json").write_text('{"providers": {"null": {"enabled": false}}}')
    monkeypatch.chdir(workspace)
    names = discover_providers()
    assert "stub" in names
    assert not {"null", "broken"} & set(names)
    assert default_registry().workspace.root == workspace.resolve()
    assert get_llm_provider("stub") is get_llm_provider("stub")
    monkeypatch.chdir("/")
    assert "null" not in discover_providers(), "remembered until the cache is reset"
    reset_provider_cache()
    assert "null" in discover_providers()
