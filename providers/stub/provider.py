"""The stub: a deterministic offline answer that names its prompt."""

from __future__ import annotations

from llm_tester import OfflineProvider


class StubProvider(OfflineProvider):
    """The offline provider under the name of a folder."""
