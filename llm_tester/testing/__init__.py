"""A server on this machine that speaks the providers' APIs, for tests, examples and benchmarks."""

from __future__ import annotations

from llm_tester.testing.contract import check_provider
from llm_tester.testing.plays import ABSENT, Fault, Play, Received, Scripted, ToolCall
from llm_tester.testing.server import LoopbackServer
from llm_tester.testing.traffic import Rate

__all__ = ["ABSENT", "Fault", "LoopbackServer", "Play", "Rate", "Received", "Scripted", "ToolCall", "check_provider"]
