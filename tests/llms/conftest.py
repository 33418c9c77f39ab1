"""Fixtures for calls, and for providers from everywhere."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.llms.packages import forget
from tests.llms.wire_calls import ask_wire

__all__ = ["ask_wire"]


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of installed packages, searched first."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    return folder


@pytest.fixture
def modules(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Modules that a test leaves behind are forgotten after it."""
    monkeypatch.setattr("sys.path", [*sys.path])
    yield
    forget("acme_llm", "lone_llm", "broken_llm", "lone", "pack", "mine")
