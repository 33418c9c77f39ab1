"""Fixtures for calls."""

from __future__ import annotations

from tests.llms.wire_calls import ask_wire

__all__ = ["ask_wire"]
