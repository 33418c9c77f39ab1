"""One run over every HTTP provider at once: what the ledger and the report say is what the server says it sent."""

from __future__ import annotations

import json
import random
import sqlite3
from collections import Counter
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path

import pytest

from llm_tester.config import Workspace
from llm_tester.cost_manager import rates_from_json
from llm_tester.evals.preparing import RunOptions, prepare
from llm_tester.evals.results import results
from llm_tester.evals.summary import standings
from llm_tester.llms.llm_registry import ProviderRegistry
from llm_tester.testing import LoopbackServer, Play, Received

SAMPLES = 182
CANARY = "sk-canary-5f0c"
MODELS = {
    "openai": "gpt-5.4-mini",
    "anthropic": "claude-sonnet-5-5",
    "groq": "openai/gpt-oss-120b",
    "together": "openai/gpt-oss-120b",
    "openrouter": "openai/gpt-5.6-luna",
    "mistral": "mistral-small-latest",
    "deepseek": "deepseek-flash",
    "xai": "grok-4.7",
    "azure": "gpt-5.4-mini",
    "lmstudio": "local-model",
    "vllm": "served-model",
}
BESIDE = {"xai"}
"""Providers that count reasoning beside the output, which the server's canonical shape does not."""


def answer(received: Received) -> Play:
    """Counts that differ from call to call, by the prompt alone."""
    chance = random.Random(received.call_id)
    fresh, cached = chance.randint(1, 900), chance.choice([0, 0, 64, 512])
    output = chance.randint(1, 400)
    reasoning = chance.randint(0, output) if chance.random() < 0.3 else 0
    usage = {"input": fresh + cached, "cached_input": cached, "output": output, "reasoning": reasoning}
    return Play("A: 7", usage=usage)


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    (tmp_path / "tasks" / "sums").mkdir(parents=True)
    (tmp_path / "providers").mkdir()
    task = {"name": "sums", "prompt": "{{ input }}", "scorer": {"type": "numeric"}, "parameters": {"max_tokens": 500}}
    (tmp_path / "tasks" / "sums" / "task.json").write_text(json.dumps(task))
    rows = [{"id": f"s{n}", "input": f"What is {n}?", "target": "7"} for n in range(SAMPLES)]
    (tmp_path / "tasks" / "sums" / "samples.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path


def test_totals_are_those_of_the_server(workspace: Path) -> None:
    prefixes = {name: f"/{name}" for name in MODELS}
    with LoopbackServer(answer) as server:
        overrides = {name: {"base_url": f"{server.url}{prefix}"} for name, prefix in prefixes.items()}
        (workspace / "config.json").write_text(json.dumps({"providers": overrides}))
        keys = {f"{name.upper()}_API_KEY": CANARY for name in MODELS} | {"AZURE_OPENAI_API_KEY": CANARY}
        here = Workspace.open(workspace, keys)
        models = [f"{name}:{model}" for name, model in MODELS.items()]
        execution = prepare(here, ProviderRegistry(here), RunOptions(["sums"], models, canary=False)).start()
        with execution.ledger as ledger:
            assert execution.go() == "complete"
            found = {standing.entrant: standing for standing in standings(results(ledger, execution.run))}
        received = server.received
    assert len(received) == SAMPLES * len(MODELS) == 2002
    assert max(Counter(call.call_id for call in received).values()) == 1
    assert all(call.call_id for call in received)

    sent: dict[str, Counter[str]] = {name: Counter() for name in MODELS}
    for call in received:
        provider = call.path.split("/")[1]
        usage = answer(call).usage or {}
        sent[provider].update({name: count or 0 for name, count in usage.items()})
    for provider, model in MODELS.items():
        standing = found[f"{provider}:{model}"]
        expected = sent[provider]
        if provider in BESIDE:
            expected["output"] += expected["reasoning"]
        assert standing.scored == SAMPLES
        assert {name: standing.usage[name] for name in expected} == dict(expected), provider
        _check_cost(provider, standing.cost_usd, standing.unknown_calls, expected, workspace)
    _no_byte_holds_the_key(workspace)


def _check_cost(provider: str, cost: Decimal | None, unknown: int, tokens: Counter[str], workspace: Path) -> None:
    """The sum of the ledger's cost lines is tokens times the frozen rates, class by class."""
    if provider in ("lmstudio", "vllm"):
        assert (cost, unknown) == (None, SAMPLES)
        return
    ledger = sqlite3.connect(workspace / ".llm_tester" / "ledger.sqlite3")
    query = "SELECT rates FROM prices JOIN entrants USING (price) WHERE provider = ?"
    (frozen,) = ledger.execute(query, (provider,)).fetchone()
    ledger.close()
    rates = rates_from_json(json.loads(frozen), "catalogue", None)
    # Where prices hang on the time of the day, all calls of this short run fall into one span.
    tables = [rates.by_class, *(span.rates.by_class for span in rates.spans)]
    assert cost in [_cost(tokens, table) for table in tables], provider
    assert unknown == 0 or "cached_input" not in rates.by_class


def _cost(tokens: Counter[str], table: Mapping[str, Decimal]) -> Decimal:
    fresh, cached = tokens["input"] - tokens["cached_input"], tokens["cached_input"]
    billed = (
        fresh * table["input"] + cached * table.get("cached_input", Decimal(0)) + tokens["output"] * table["output"]
    )
    return billed / 1_000_000


def _no_byte_holds_the_key(workspace: Path) -> None:
    written = [path for path in workspace.rglob("*") if path.is_file()]
    assert any(path.name == "ledger.sqlite3" for path in written)
    assert not [path for path in written if CANARY.encode() in path.read_bytes()]
