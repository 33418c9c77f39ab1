"""`reprice`: a run at other prices, shown without a trace in the ledger, or saved in it."""

from __future__ import annotations

import json
from pathlib import Path
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


def costs(bench: Bench, *options: str) -> tuple[str | None, str | None]:
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


PAID = """
    from llm_tester import BaseLLM, OverloadedError
    from llm_tester.records import UsageData

    class Paid(BaseLLM):
        def _call_llm_api(self, prompt, system_prompt, model_name, model_config):
            if model_config.tags["attempt"] == 1 and prompt.startswith("1"):
                raise OverloadedError("busy", status=503, usage=UsageData(prompt_tokens=500, completion_tokens=50))
            if prompt.startswith("2"):
                raise TimeoutError("late")
            return str(int(prompt.split()[0]) + 1), {"input": 1000, "output": 100}
"""

SETTINGS = {
    "run": {"canary": False},
    "retry": {"max_retries": 1, "initial_delay": 0},
    "circuit_breaker": {"enabled": False},
}


@pytest.fixture
def unpriced(bench: Bench) -> Bench:
    """A run of three samples by a model without a price: one after a retry that was billed, one that timed out."""
    bench.task(parameters={"max_tokens": 500})
    bench.write("config.json", SETTINGS)
    folder = bench.provider("paid", PAID)
    prices(folder, cost_input=None, cost_output=None)
    assert bench.cli("run", "sums", "-m", "paid:m", "--yes").code == 3
    return bench


def prices(folder: Path, **fields: Any) -> None:
    config = json.loads((folder / "config.json").read_text("utf-8"))
    config["llm_models"][0] |= fields
    (folder / "config.json").write_text(json.dumps(config), "utf-8")


def bill(bench: Bench) -> dict[str, Any]:
    assert bench.cli("costs", "--verify").code == 0
    (row,) = bench.cli("costs", "--by", "model", "--format", "json").json
    found: dict[str, Any] = row
    return found


def test_a_price_that_was_found_later_is_saved_and_the_bill_follows(unpriced: Bench) -> None:
    before = bill(unpriced)
    assert (before["spent_usd"], before["unknown_calls"], before["at_most_usd"]) == ("0", 3, None)
    prices(unpriced.root / "providers" / "paid", cost_input=1, cost_output=2)
    assert unpriced.cli("reprice", "last", "--save", "--json").json["saved"] == ["paid:m"]
    after = bill(unpriced)
    # Two answers at 1000 + 2 * 100, a billed retry at 500 + 2 * 50; two timeouts are at most the bound each.
    assert after["spent_usd"] == "0.003"
    bound = (len("2 + 1?") + 64 + 2 * 500) / 1e6
    assert after["unknown_calls"] == 1
    assert float(after["at_most_usd"]) == pytest.approx(0.003 + 2 * bound, rel=0.01)
    assert unpriced.cli("report", "last", "--output", "page.html").code == 0
    assert "paid:m on 2" in (unpriced.root / "page.html").read_text("utf-8").partition("Repriced")[2]


def test_what_was_saved_is_the_price_of_the_run(done: Bench) -> None:
    change(done, cost_input=3, cost_output=6)
    assert "Saved for rep:m." in done.cli("reprice", "last", "--save").out
    assert costs(done) == ("0.0108", "0.0108")
    assert "Nothing to save" in done.cli("reprice", "last", "--save").out


def test_an_unknown_price_replaces_none(done: Bench) -> None:
    change(done, cost_input=None, cost_output=None, timed_prices=[])
    assert done.cli("reprice", "last", "--save", "--json").json["saved"] == []
    assert costs(done) == ("0.0036", None)


def test_a_run_that_goes_on_is_left_alone(done: Bench) -> None:
    done.sql("UPDATE runs SET status = 'running', owner = 'elsewhere:1', lease_until = 1e12")
    change(done, cost_input=3)
    assert "is still going on" in done.cli("reprice", "last", "--save").error()
