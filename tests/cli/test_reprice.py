"""`reprice`: a run at other prices, without a trace in the ledger."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.evals.conftest import Bench

USAGE = {"prompt_tokens": 1000, "completion_tokens": 100}


@pytest.fixture
def done(bench: Bench) -> Bench:
    """A run of three answers at 1 and 2 USD per million, of a model whose price doubles in 2030."""
    bench.task()
    bench.replay("rep", {"m": {f"s{n}": {"answer": str(n + 1), "usage": USAGE} for n in (1, 2, 3)}})
    assert bench.cli("run", "sums", "-m", "rep:m").code == 0
    change(bench, timed_prices=[{"valid_from": "2030-01-01", "cost_input": 2, "cost_output": 4}])
    return bench


def change(bench: Bench, **fields: Any) -> None:
    path = bench.root / "providers" / "rep" / "config.json"
    config = json.loads(path.read_text("utf-8"))
    config["llm_models"][0] |= fields
    bench.write("providers/rep/config.json", config)


def costs(bench: Bench, *options: str) -> tuple[str, str]:
    (row,) = bench.cli("reprice", "last", "--json", *options).json["models"]
    return row["cost_usd"], row["new_cost_usd"]


def test_a_price_that_changed_shows_and_the_ledger_stays(done: Bench) -> None:
    assert costs(done) == ("0.0036", "0.0036")
    assert costs(done, "--at", "2030-01-01") == ("0.0036", "0.0072")
    assert costs(done, "--at", "2029-12-31") == ("0.0036", "0.0036")
    before = done.sql("SELECT * FROM costs"), done.sql("SELECT * FROM prices")
    text = done.cli("reprice", "last", "--at", "2030-01-01").out
    assert "$0.0036" in text
    assert "$0.0072" in text
    assert "+100.0 %" in text
    assert (done.sql("SELECT * FROM costs"), done.sql("SELECT * FROM prices")) == before


def test_a_price_that_is_gone_is_unknown(done: Bench) -> None:
    change(done, cost_input=None, cost_output=None, timed_prices=[])
    (row,) = done.cli("reprice", "last", "--json").json["models"]
    assert (row["new_cost_usd"], row["new_unknown_calls"], row["new_source"]) == (None, 3, "unknown")
    text = done.cli("reprice", "last").out
    assert "unknown" in text
    assert "Without a price in the catalogue: rep:m." in text


def test_a_provider_that_is_gone_is_unknown(done: Bench) -> None:
    (done.root / "providers" / "rep" / "config.json").unlink()
    assert done.cli("reprice", "last", "--json").json["models"][0]["new_cost_usd"] is None


def test_half_a_price_makes_the_cost_at_least(done: Bench) -> None:
    change(done, cost_output=None, timed_prices=[])
    assert "≥ $0.003 (3 unknown)" in done.cli("reprice", "last").out


def test_a_day_that_is_none_is_a_usage_error(done: Bench) -> None:
    assert done.cli("reprice", "last", "--at", "soon").code == 2
