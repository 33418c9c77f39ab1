"""`llm-tester costs` over runs that cost money, partly unknown, and runs that cost none."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from llm_tester.config import Workspace
from llm_tester.evals.preparing import RunOptions, prepare
from llm_tester.llms.llm_registry import ProviderRegistry

Program = Callable[..., tuple[int, str, str]]
PROVIDER = """
from llm_tester import BaseLLM, OverloadedError


class Paid(BaseLLM):
    applies = frozenset({"max_tokens"})

    def _call_llm_api(self, prompt, system_prompt, model_name, model_config):
        number = int(prompt)
        if number == 3:
            raise OverloadedError("down", status=500, retry_after=0)
        return f"A: {number}", {} if number == 4 else {"input": 100, "output": 10, "reasoning": 4}
"""


@pytest.fixture
def paid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A workspace after one run of two models over five samples: one fails, one has no usage, one is wrong."""
    return after_a_run(tmp_path, monkeypatch, ["paid:big", "paid:small", "stub:stub"])


def after_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, models_asked: list[str]) -> Path:
    task, provider = tmp_path / "tasks" / "sums", tmp_path / "providers" / "paid"
    task.mkdir(parents=True)
    provider.mkdir(parents=True)
    (tmp_path / "config.json").write_text('{"run": {"project": "alpha", "canary": false}}')
    spec = {"name": "sums", "prompt": "{{ input }}", "scorer": {"type": "numeric"}, "parameters": {"max_tokens": 50}}
    (task / "task.json").write_text(json.dumps(spec))
    rows = [{"id": f"s{n}", "input": str(n), "target": str(n if n else 7)} for n in range(5)]
    (task / "samples.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (provider / "provider.py").write_text(PROVIDER)
    models = [
        {"name": "big", "cost_input": 10, "cost_output": 20},
        {"name": "small", "cost_input": 1, "cost_output": 2},
        {"name": "fee", "cost_input": 1, "cost_output": 2, "cost_per_request": 0.01},
    ]
    (provider / "config.json").write_text(json.dumps({"name": "paid", "llm_models": models}))
    here = Workspace.open(tmp_path, {})
    options = RunOptions(["sums"], models_asked)
    with (execution := prepare(here, ProviderRegistry(here), options).start()).ledger:
        assert execution.go() == "incomplete"
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def costs(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Program:
    """The command in this process: exit code, output, errors."""
    from llm_tester.cli.main import main

    def call(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["llm-tester", "costs", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        captured = capsys.readouterr()
        return int(ended.value.code or 0), captured.out, captured.err

    return call


def rows(costs: Program, *arguments: str) -> list[dict[str, Any]]:
    code, out, err = costs("--format", "json", *arguments)
    assert code == 0, err
    found: list[dict[str, Any]] = json.loads(out)
    return found


def test_the_bill_by_model(paid: Path, costs: Program) -> None:
    # Three answers with usage: 3 x (100 x 10 + 10 x 20) = 3,600 millionths of a dollar. One without: at most
    # (1 byte + 64) x 10 + 50 x 20 = 1,650 more. The simulated model is not on the bill.
    assert rows(costs) == [
        {
            "model": "paid:big",
            "calls": 5,
            "tokens": 330,
            "spent_usd": "0.0036",
            "unknown_calls": 1,
            "at_most_usd": "0.00525",
        },
        {
            "model": "paid:small",
            "calls": 5,
            "tokens": 330,
            "spent_usd": "0.00036",
            "unknown_calls": 1,
            "at_most_usd": "0.000525",
        },
    ]


def test_the_bill_by_outcome_and_by_token_class(paid: Path, costs: Program) -> None:
    by_outcome = {row["outcome"]: row for row in rows(costs, "--by", "outcome")}
    assert {name: row["calls"] for name, row in by_outcome.items()} == {"correct": 6, "wrong": 2, "error": 2}
    assert by_outcome["wrong"]["spent_usd"] == "0.00132"
    by_class = {row["token-class"]: row for row in rows(costs, "--by", "token-class")}
    assert {name: row["tokens"] for name, row in by_class.items()} == {"input": 600, "output": 36, "reasoning": 24}
    whole = sum(Decimal(row["spent_usd"]) for row in by_class.values())
    assert whole == Decimal("0.00396")


def test_what_has_no_token_class_is_told_beside_them(paid: Path, costs: Program) -> None:
    _, _, told = costs("--by", "token-class")
    # Each model has one call without usage: at most 0.00165 and 0.000165.
    assert told == ("Beside these, which are of token classes, 2 calls cost an unknown amount: at most $0.00182.\n")
    assert costs("--by", "model")[2] == ""


def test_a_price_per_request_is_money_and_no_token(
    tmp_path: Path, costs: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    after_a_run(tmp_path, monkeypatch, ["paid:fee"])
    # Of four answers one has no usage, and so a price per request and nothing else that is known.
    [bill] = rows(costs)
    assert (bill["tokens"], bill["spent_usd"]) == (330, "0.04036")
    by_class = {row["token-class"]: (row["tokens"], row["spent_usd"]) for row in rows(costs, "--by", "token-class")}
    assert by_class["request"] == (0, "0.04")
    assert sum(tokens for tokens, _ in by_class.values()) == 330
    assert costs("--verify")[0] == 0


def test_the_bill_by_several_and_from_a_day_on(paid: Path, costs: Program) -> None:
    [row] = rows(costs, "--by", "project,task,provider")
    assert (row["project"], row["task"], row["provider"], row["spent_usd"]) == ("alpha", "sums", "paid", "0.00396")
    [by_day] = rows(costs, "--by", "day")
    assert rows(costs, "--since", by_day["day"]) == rows(costs)
    assert rows(costs, "--since", "2999-01-01") == []


@pytest.mark.parametrize(
    ("form", "text"),
    [
        ("table", "In all $0.00396"),
        ("md", "| paid:big | 5 | 330 | $0.0036 | 1 | $0.00525 |"),
        ("csv", "paid:big,5,330,0.0036,1,0.00525"),
    ],
)
def test_the_bill_in_every_form(paid: Path, costs: Program, form: str, text: str) -> None:
    code, out, _ = costs("--format", form)
    assert code == 0
    assert text in out


def test_the_sums_are_verified_and_rebuilt(paid: Path, costs: Program) -> None:
    assert costs("--verify")[:2] == (0, "The sums are those of the single calls.\n")
    before = rows(costs)
    ledger = sqlite3.connect(paid / ".llm_tester" / "ledger.sqlite3")
    ledger.execute("UPDATE rollups SET picodollars = picodollars + 1 WHERE token_class = 'input' AND model = 'big'")
    ledger.commit()
    ledger.close()
    code, _, err = costs("--verify")
    assert code == 1
    assert "--rebuild" in err
    assert costs("--rebuild", "--verify")[0] == 0
    assert rows(costs) == before


def test_nothing_was_spent(paid: Path, costs: Program) -> None:
    code, out, _ = costs("--since", "2999-01-01")
    assert (code, out) == (0, "Nothing was spent: there are no calls but simulated or replayed ones.\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--by", "modell"), "Did you mean model?"),
        (("--by", ","), "--by names nothing"),
        (("--since", "yesterday"), '"yesterday" is no day'),
    ],
)
def test_bad_options_are_named(paid: Path, costs: Program, arguments: tuple[str, ...], message: str) -> None:
    code, _, err = costs(*arguments)
    assert code == 2
    assert message in err
