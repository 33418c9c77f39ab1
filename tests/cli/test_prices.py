"""`prices check`: where the catalogues differ from genai-prices."""

from __future__ import annotations

import json
from pathlib import Path

from tests.cli.conftest import Program


def test_a_check_ends_with_1_where_prices_differ(program: Program, own: Path) -> None:
    code, out, _ = program("prices", "check")
    assert code == 1
    flat = " ".join(out.split())
    assert "big cost_input 3 2" in flat
    assert "priced_on" not in flat
    assert "small" not in flat
    assert program("models", "sync", "acme", "--all", "--yes", "--prune")[0] == 0
    assert program("prices", "check") == (0, "acme: 2 models as in genai-prices\n", "")
    assert program("prices", "check", "acme")[0] == 0


def test_a_check_tells_prices_that_nobody_confirms(program: Program, own: Path) -> None:
    content = {"name": "acme", "api": "openai", "llm_models": [{"name": "free"}]}
    own.write_text(json.dumps(content))
    assert program("prices", "check", "acme")[0] == 0
    content["llm_models"] = [{"name": "free"}, {"name": "x", "cost_input": 1}]
    own.write_text(json.dumps(content))
    code, out, _ = program("prices", "check", "acme")
    assert code == 1
    assert "Priced here, not in genai-prices: x\n" in out
