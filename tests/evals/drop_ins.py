"""Drop-in providers that write their calls down."""

from __future__ import annotations

import json
from typing import Any

from tests.evals.conftest import Bench

LOGGING = """
import json
import sqlite3
import threading
from pathlib import Path

from llm_tester import BaseLLM

HERE = Path(__file__).parent
LOCK = threading.Lock()

def log(**line):
    with LOCK, (HERE / "calls.jsonl").open("a") as file:
        file.write(json.dumps(line) + "\\n")

def right(prompt):
    return str(int(prompt.split()[0]) + 1), {"input": 10, "output": 1}
"""
PLAIN = (
    LOGGING
    + """
class Plain(BaseLLM):
    def _call_llm_api(self, prompt, system_prompt, model_name, model_config):
        log(sample=model_config.tags["sample_id"], model=model_name)
        return right(prompt)
"""
)
NO_RETRY = {"run": {"canary": False}, "retry": {"max_retries": 0}}


def calls(bench: Bench, provider: str = "drop") -> list[dict[str, Any]]:
    """What the provider wrote down of its calls."""
    file = bench.root / "providers" / provider / "calls.jsonl"
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
