"""`plan`: what a run would ask, cost and take, with nothing sent and nothing written."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from tests.cli.conftest import PAID

if TYPE_CHECKING:
    from tests.evals.conftest import Bench

# A call would leave a file behind.
TELLTALE = """
from pathlib import Path

from llm_tester import BaseLLM

class Paid(BaseLLM):
    applies = frozenset({"max_tokens"})

    def _call_llm_api(self, prompt, system_prompt, model_name, model_config):
        Path("called").touch()
        return "2", {"input": 10, "output": 1}
"""


@pytest.fixture
def paid(bench: Bench) -> Bench:
    """A task of three samples with a prompt of 20 letters, and a provider that costs."""
    bench.task(parameters={"max_tokens": 5}, prompt="Add this up: {{ input }}")
    bench.provider("paid", TELLTALE)
    return bench


def planned(bench: Bench, *more: str, task: str = "sums") -> dict[str, Any]:
    ended = bench.cli("plan", task, "--json", *more)
    assert (ended.code, ended.err) == (0, "")
    found: dict[str, Any] = ended.json
    return found


def one(bench: Bench, *more: str) -> dict[str, Any]:
    (row,) = planned(bench, *(more or ("-m", "paid:m")))["rows"]
    return dict(row)


def test_nothing_is_sent_and_nothing_written(paid: Bench) -> None:
    before = paid.snapshot()
    said = paid.cli("plan", "sums", "-m", "paid:m")
    assert said.code == 0
    assert "3 calls: likely $0.000045, at most $0.000279." in said.out
    assert "Nothing was sent." in said.out
    assert {name for name in paid.snapshot() if "__pycache__" not in name} == set(before)


def test_without_history_the_assumption_is_named(paid: Bench) -> None:
    row = one(paid)
    # 19 letters are 5 tokens; the answers are as long as they may be.
    assert row["tokens"] == {"input": 3 * 5, "output": 3 * 5}
    assert row["basis"] == "assumed: a token per 4 letters, 256 or max_tokens per answer"
    assert Decimal(row["likely_usd"]) == Decimal(3 * 5 * 1 + 3 * 5 * 2) / 1_000_000
    assert Decimal(row["at_most_usd"]) > Decimal(row["likely_usd"])
    assert (row["minutes"], row["minutes_at_least"]) == (None, False)


def test_stored_answers_of_the_model_to_the_task_say_more(paid: Bench) -> None:
    assert paid.cli("run", "sums", "-m", "paid:m", "--limit", "2").code in (0, 3)
    paid.sql("UPDATE answers SET latency_ms = 60000")
    row = one(paid, "-m", "paid:m", "--max-connections", "1")
    assert row["basis"] == "2 stored answers"
    assert row["tokens"] == {"input": 30, "output": 3}
    assert Decimal(row["likely_usd"]) == Decimal(36) / 1_000_000
    assert (row["minutes"], row["minutes_at_least"]) == (3, False)
    # Nothing is known of another model, or of another task.
    paid.task("more", parameters={"max_tokens": 5})
    assert planned(paid, "-m", "paid:m", task="more")["rows"][0]["basis"].startswith("assumed: ")


def test_it_asks_as_often_as_the_run(paid: Bench) -> None:
    paid.write("config.json", {})
    choices = ("-m", "paid:m", "--epochs", "2", "--limit", "2")
    found = planned(paid, *choices)
    assert paid.cli("run", "sums", *choices).code in (0, 3)
    # Two samples twice, and one canary.
    assert found["total"]["calls"] == paid.sql("SELECT count(*) FROM calls")[0][0] == 5
    assert planned(paid, *choices, "--no-canary")["total"]["calls"] == 4


def test_at_most_is_what_the_run_asks_about(paid: Bench) -> None:
    once, thrice = one(paid), one(paid, "-m", "paid:m", "--epochs", "3")
    assert Decimal(thrice["at_most_usd"]) == 3 * Decimal(once["at_most_usd"])
    with_variants = paid.task("twin", prompts={"a": "{{ input }}", "b": "{{ input }}"}, parameters={"max_tokens": 5})
    assert with_variants.is_dir()
    found = planned(paid, "-m", "paid:m", "--prompt", "a", "--prompt", "b", task="twin")
    assert Decimal(found["total"]["at_most_usd"]) == sum(Decimal(row["at_most_usd"]) for row in found["rows"])
    assert Decimal(planned(paid, "-m", "paid:m", "--budget", "0.000001")["total"]["at_most_usd"]) == Decimal("0.000001")


def test_unknown_is_counted_and_never_0(paid: Bench) -> None:
    paid.write("providers/free/provider.py", PAID)
    paid.write("providers/free/config.json", {"name": "free", "llm_models": [{"name": "m"}]})
    found = planned(paid, "-m", "paid:m", "-m", "free:m")
    unpriced = found["rows"][1]
    assert (unpriced["likely_usd"], unpriced["at_most_usd"]) == (None, None)
    assert (found["total"]["likely_unknown_calls"], found["total"]["at_most_unknown_calls"]) == (3, 3)
    assert found["total"]["at_most_usd"] is None
    said = paid.cli("plan", "sums", "-m", "paid:m", "-m", "free:m").out
    assert "unknown" in said
    assert "6 calls: likely $0.000045 and 3 calls of unknown cost, nothing bounds it (3 calls: free:m has no" in said
    alone = paid.cli("plan", "sums", "-m", "free:m").out
    assert "3 calls: likely unknown, nothing bounds it" in alone


def test_known_rate_limits_give_the_least_time(paid: Bench) -> None:
    paid.provider("slow", TELLTALE, rate_limits={"requests_per_minute": 2, "tokens_per_minute": 10})
    row = one(paid, "-m", "slow:m")
    assert (row["minutes"], row["minutes_at_least"]) == (3, True)
    assert "at least 3.0 min" in " ".join(paid.cli("plan", "sums", "-m", "slow:m").out.split())


def test_simulated_models_cost_nothing(ready: Bench) -> None:
    row = one(ready, "-m", "rep:good")
    assert (row["simulated"], row["likely_usd"], row["at_most_usd"], row["minutes"]) == (True, "0", "0", 0)
    assert "rep:good" in ready.cli("plan", "sums", "-m", "rep:good").out


# --- refused as `run` refuses it


def test_a_missing_key_is_named_with_its_variable(paid: Bench) -> None:
    said = paid.cli("plan", "sums", "-m", "openai:gpt-4o-mini")
    assert said.error() == paid.cli("run", "sums", "-m", "openai:gpt-4o-mini").error()
    assert "OPENAI_API_KEY is not set" in said.err


@pytest.mark.parametrize(
    "choices",
    [("-m", "nobody:m"), ("-m", "paid:other"), ("-m", "paid:m", "--param", "x"), (), ("-m", "paid:m", "--budget", "x")],
)
def test_what_run_refuses_is_refused(paid: Bench, choices: tuple[str, ...]) -> None:
    said = paid.cli("plan", "sums", *choices).error()
    assert said == paid.cli("run", "sums", *choices).error()


def test_bad_flags(paid: Bench) -> None:
    assert paid.cli("plan", "none", "-m", "paid:m").error().startswith('there is no task "none"')
    for flags in (("--limit", "0"), ("--epochs", "0"), ("--name", "x")):
        assert paid.cli("plan", "sums", "-m", "paid:m", *flags).code == 2
