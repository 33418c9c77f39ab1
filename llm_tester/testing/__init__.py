"""A server on this machine that speaks the providers' APIs, for tests, examples and benchmarks, and a pytest plugin."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from llm_tester.testing.contract import check_provider
    from llm_tester.testing.plays import ABSENT, Fault, Play, Received, Scripted, ToolCall
    from llm_tester.testing.server import LoopbackServer
    from llm_tester.testing.traffic import Rate

_MODULES = {
    "contract": ("check_provider",),
    "plays": ("ABSENT", "Fault", "Play", "Received", "Scripted", "ToolCall"),
    "server": ("LoopbackServer",),
    "traffic": ("Rate",),
}
_HOME = {name: f"{__name__}.{module}" for module, names in _MODULES.items() for name in names}

__all__ = ["ABSENT", "Fault", "LoopbackServer", "Play", "Rate", "Received", "Scripted", "ToolCall", "check_provider"]


def __getattr__(name: str) -> Any:
    """The name, imported at its first use: pytest loads the plugin beside it in every project that has us installed."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), name)
