"""A provider that says itself what its answers cost: their tokens and money on the bill and at other prices."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.evals.conftest import Bench

SAYS = """
    from llm_tester import BaseLLM

    class Says(BaseLLM):
        def _call_llm_api(self, prompt, system_prompt, model_name, model_config):
            number = int(prompt.split()[0])
            usage = {"input": 100, "output": 10, "cached_input": 40, "reasoning": 4}
            cost = {} if model_name == "half" and number == 1 else {"reported_cost": "0.25"}
            return str(number + 1), {**usage, **cost}
"""


@pytest.fixture
def paid(bench: Bench) -> Bench:
    bench.task()
    bench.provider("says", SAYS, models=("m", "half"), open_catalogue=True)
    bench.write("config.json", {"run": {"canary": False}})
    assert bench.cli("run", "sums", "-m", "says:m", "-m", "says:half", "--yes").code == 0
    return bench


def bill(bench: Bench, by: str) -> dict[str, tuple[int, str]]:
    rows = bench.cli("costs", "--by", by, "--format", "json").json
    return {row[by]: (row["tokens"], row["spent_usd"]) for row in rows}


def test_the_tokens_are_on_the_bill_once(paid: Bench) -> None:
    assert paid.cli("costs", "--verify").code == 0
    models = bill(paid, "model")
    assert models["says:m"] == (330, "0.75")
    assert models["says:half"][0] == 330
    assert bill(paid, "token-class")["reported"] == (5 * 110, "1.25")


def test_other_prices_change_nothing_of_it_and_say_so(paid: Bench) -> None:
    rows = {row["entrant"]: row for row in paid.cli("reprice", "last", "--json").json["models"]}
    named: dict[str, tuple[Any, ...]] = {name: (row["source"], row["new_source"]) for name, row in rows.items()}
    assert named["says:m"] == ("provider", "provider")
    assert named["says:half"] == ("provider and catalogue", "provider and catalogue")
    assert rows["says:m"]["new_cost_usd"] == "0.75"
    assert rows["says:m"]["priced_on"] is None
    assert paid.cli("reprice", "last").out.count("reported") == 2


def test_it_stays_when_other_prices_are_saved(paid: Bench) -> None:
    before = bill(paid, "model")["says:m"]
    file = paid.root / "providers" / "says" / "config.json"
    config = json.loads(file.read_text("utf-8"))
    config["llm_models"][0] |= {"cost_input": 77}
    file.write_text(json.dumps(config), "utf-8")
    assert paid.cli("reprice", "last", "--save").code == 0
    assert bill(paid, "model")["says:m"] == before
    assert paid.cli("costs", "--verify").code == 0


def test_prices_of_the_workspace_take_its_place(paid: Bench) -> None:
    models = [{"name": "m", "cost_input": 1, "cost_output": 1, "cost_cached_input": 1}]
    paid.write("config.json", {"providers": {"says": {"llm_models": models}}})
    rows = {row["entrant"]: row for row in paid.cli("reprice", "last", "--json").json["models"]}
    assert (rows["says:m"]["new_source"], rows["says:m"]["new_cost_usd"]) == ("config.json", "0.00033")
