"""Fixtures for all tests: a clean environment, a workspace to fill, and both ways to make a call."""

from __future__ import annotations

import asyncio
import json
import os
import textwrap
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from llm_tester.config import Workspace
from llm_tester.llms.base import BaseLLM
from llm_tester.llms.flow import Session, adrive, drive
from llm_tester.llms.llm_registry import ProviderRegistry, reset_provider_cache
from llm_tester.llms.provider_manager import ProviderManager
from llm_tester.records import Request, Response

# HYPOTHESIS_PROFILE=default tries twice as many; no test is about time.
settings.register_profile("suite", max_examples=50, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "suite"))


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> Generator[None]:
    for name in list(os.environ):
        ours = name.startswith(("LLM_TESTER_", "DEVSYNTH_", "LM_STUDIO_", "LMSTUDIO_", "OPENAI_", "ANTHROPIC_", "TLS_"))
        if ours or name.endswith(("_API_KEY", "_BASE_URL", "_MODEL")):
            monkeypatch.delenv(name)
    yield
    reset_provider_cache()


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """An empty workspace, whose runs have no canary: tests count calls."""
    root = tmp_path / "workspace"
    for folder in (root, root / "tasks", root / "providers"):
        folder.mkdir()
    (root / "config.json").write_text('{"run": {"canary": false}}')
    return root


@pytest.fixture
def add_provider(workspace: Path) -> Callable[..., Path]:
    """Makes a provider folder in the workspace: its config.json, and its provider.py where code is given."""

    def add(name: str, code: str = "", *, parent: Path | None = None, **config: Any) -> Path:
        folder = (parent or workspace / "providers") / name
        folder.mkdir(parents=True)
        listed = {"name": name, "llm_models": [{"name": "m", "default": True}], **config}
        (folder / "config.json").write_text(json.dumps(listed))
        if code:
            (folder / "provider.py").write_text(textwrap.dedent(code))
        return folder

    return add


@pytest.fixture(params=["sync", "async"])
def driven(request: pytest.FixtureRequest) -> Callable[..., Any]:
    """Runs a flow with each of the two drivers."""

    def run(flow: Any, session: Session) -> Any:
        return drive(flow, session) if request.param == "sync" else asyncio.run(adrive(flow, session))

    return run


@pytest.fixture(params=["sync", "async"])
def ask(request: pytest.FixtureRequest) -> Callable[[BaseLLM | ProviderManager, Request], Response]:
    """Makes a call in each of the two ways."""

    def call(target: BaseLLM | ProviderManager, question: Request) -> Response:
        if request.param == "sync":
            return target.respond(question)
        return asyncio.run(target.arespond(question))

    return call


@pytest.fixture
def patient(ask: Callable[..., Response]) -> Callable[[BaseLLM, Request], Response]:
    """Makes a call with the retries of a manager, whose waits take no time."""

    async def asleep(_: float) -> None:
        return None

    def call(provider: BaseLLM, question: Request) -> Response:
        registry = ProviderRegistry(Workspace(None))
        registry.add(provider)
        session = Session(threads=provider.config.max_connections, sleep=lambda _: None, asleep=asleep)
        return ask(ProviderManager(registry=registry, session=session), question)

    return call
