"""The pytest plugin: `llm_provider` and `llm_complete` for tests that ask a model, `no_network` for those that may not.

A test asks a real provider only where LLM_TESTER_PROVIDER names it; else the stand-in answers, `stub` or `null`.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

import llm_tester

MARKER = "no_network"
OFFLINE = {"DISABLE_PROVIDERS": "true", "SAFE_DEFAULT_PROVIDER": "stub", "PROVIDER": "openai"}


def pytest_configure(config: pytest.Config) -> None:
    """Makes the marker known."""
    config.addinivalue_line("markers", f"{MARKER}: no provider is asked, no key seen, no other host connected")


def pytest_itemcollected(item: pytest.Item) -> None:
    """The marker is the fixture of the same name, before all others."""
    names = getattr(item, "fixturenames", None)
    if names is not None and item.get_closest_marker(MARKER) and MARKER not in names:
        names.insert(0, MARKER)


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forbids providers that are not simulated, takes all keys away, and fails a test that connects to another host."""
    for name in list(os.environ):
        if name.startswith("DEVSYNTH_") or name.endswith("_API_KEY"):
            monkeypatch.delenv(name)
    for name, value in OFFLINE.items():
        monkeypatch.setenv(f"LLM_TESTER_{name}", value)
    for name in ("connect", "connect_ex"):
        monkeypatch.setattr(socket.socket, name, _guarded(getattr(socket.socket, name)))
    llm_tester.reset_provider_cache()


@pytest.fixture
def llm_provider_name() -> str:
    """The provider that LLM_TESTER_PROVIDER names, else the stand-in; to be overridden in a conftest.py."""
    chosen = "" if _variable("DISABLE_PROVIDERS").lower() in ("true", "1", "yes", "on") else _variable("PROVIDER")
    stand_in = _variable("SAFE_DEFAULT_PROVIDER").lower()
    return chosen.lower() or ("null" if stand_in == "null" else "stub")


@pytest.fixture
def llm_provider(llm_provider_name: str) -> llm_tester.BaseLLM:
    """A provider that is ready to be asked; raises MissingKeyError for one without its key."""
    llm_tester.reset_provider_cache()
    return llm_tester.get_provider(llm_provider_name)


@pytest.fixture
def llm_complete(llm_provider: llm_tester.BaseLLM) -> Callable[..., str]:
    """As `llm_tester.complete`, of that provider."""
    return partial(llm_tester.complete, provider_type=llm_provider.name)


def _variable(name: str) -> str:
    return (os.environ.get(f"LLM_TESTER_{name}") or os.environ.get(f"DEVSYNTH_{name}") or "").strip()


def _guarded(connect: Callable[..., Any]) -> Callable[..., Any]:
    """`connect`, which leaves this machine for nobody; addresses of other kinds than host and port stay on it."""

    def guarded(own: socket.socket, address: Any) -> Any:
        host = str(address[0]) if isinstance(address, tuple) else "localhost"
        if host not in ("localhost", "::1") and not host.startswith("127."):
            pytest.fail(f"a test that is marked {MARKER} connects to {host}", pytrace=False)
        return connect(own, address)

    return guarded
