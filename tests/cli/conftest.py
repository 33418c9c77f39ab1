"""The workspace and the program of tests/evals."""

from __future__ import annotations

from tests.evals.conftest import bench

__all__ = ["bench"]
