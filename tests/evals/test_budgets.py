"""Budgets: no run costs more than it may, to the last picodollar, and what is stopped can go on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from llm_tester.cost_manager import usd_text
from llm_tester.testing import LoopbackServer, Play, Received
from tests.evals.conftest import Bench, Ended

MODEL = {"name": "m", "cost_input": "0.75", "cost_output": "4.5", "cost_cached_input": "0.075"}
RATES = {"input": Decimal("0.75"), "output": Decimal("4.5")}
RUN = ("run", "sums", "-m", "openai:m")
# 6 or 7 bytes and 64 tokens of framing in, 100 tokens out.
MOST = (Decimal(71) * RATES["input"] + 100 * RATES["output"]) / 1_000_000


def right(received: Received) -> Play:
    """The right answer, at a length of its own."""
    number = int(received.body["messages"][-1]["content"].split()[0])
    return Play(str(number + 1), usage={"input": 10 + number % 7, "output": 1 + number * 37 % 100}, latency=0.002)


@pytest.fixture
def server(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Iterator[LoopbackServer]:
    """A priced model on the loopback server, and a task of 60 samples."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-canary-0815")
    bench.task(samples=60, parameters={"max_tokens": 100})
    with LoopbackServer(right) as running:
        configure(bench, running)
        yield running


def configure(bench: Bench, server: LoopbackServer, **more: Any) -> None:
    there = {"base_url": f"{server.url}/v1", "llm_models": [MODEL], "max_connections": 20, **more.pop("openai", {})}
    bench.write("config.json", {"run": {"canary": False}, "providers": {"openai": there}, **more})


def billed(server: LoopbackServer) -> Decimal:
    """What the tokens that the server sent cost."""
    sent: Mapping[str, int] = server.sent.get("m", {})
    return sum((RATES[name] * sent.get(name, 0) for name in RATES), Decimal(0)) / 1_000_000


def bill(bench: Bench) -> dict[str, Any]:
    """The line of all runs on the bill."""
    rows: list[dict[str, Any]] = bench.cli("costs", "--by", "provider", "--format", "json").json
    return rows[0] if rows else {"spent_usd": "0", "at_most_usd": "0", "calls": 0}


def stopped(ended: Ended) -> str:
    """The message of a run that a budget stopped."""
    assert ended.code == 3, ended
    assert ended.err.count("Stopped: ") == 1, ended
    assert "Traceback" not in ended.err, ended
    return ended.err


def test_a_run_of_twenty_connections_stops_within_its_budget_and_goes_on_with_a_higher_one(
    bench: Bench, server: LoopbackServer
) -> None:
    ended = bench.process(*RUN, "--budget", "0.005", "--name", "b")
    spent = billed(server)
    # Less than one more call's worst case is left.
    assert Decimal("0.005") - MOST < spent <= Decimal("0.005")
    assert server.in_flight_peak > 5
    assert f"the run's budget of $0.005 does not cover the next call, which can cost up to ${MOST}" in stopped(ended)
    assert f"${spent} is spent, and $0 is reserved" in ended.err
    run = bench.cli("runs", "list", "--json").json[0]
    assert f"llm-tester resume {run['run']} --budget USD" in ended.err
    assert run["status"] == "stopped"
    assert Decimal(bill(bench)["spent_usd"]) == spent
    asked = server.count
    assert bill(bench)["calls"] == asked < 60

    again = bench.cli("resume", "b")
    assert "the run's budget of $0.005" in stopped(again)
    assert server.count == asked

    assert bench.cli("resume", "b", "--budget", "1").code == 0
    assert (server.count, max(server.by_call.values())) == (60, 1)
    assert Decimal(bill(bench)["spent_usd"]) == billed(server)
    assert bench.report("b")["models"][0]["score"] == 1.0
    assert bench.sql("SELECT count(*) FROM reservations") == [(0,)]


def test_the_report_says_what_the_budget_was_and_that_the_run_stopped_there(
    bench: Bench, server: LoopbackServer
) -> None:
    ended = bench.cli(*RUN, "--budget", "0.003", "--json")
    stopped(ended)
    budget = ended.json["budget"]
    spent = f"{billed(server)}"
    assert (budget["usd"], budget["spent_usd"], budget["reserved_usd"]) == ("0.003", spent, "0")
    assert "does not cover the next call" in budget["stopped"]
    told = f"Budget of $0.003: ${spent} spent."
    for shown in (bench.cli("show", "last").out, bench.cli("report", "last", "--format", "md").out):
        assert told in shown
        assert "Stopped at the run's budget of $0.003, before a call that can cost" in shown
    page = Path(bench.cli("report", "last", "--format", "html").out.strip()).read_text("utf-8")
    assert f"$0.003: ${spent} spent" in page
    assert bench.cli("resume", "last", "--budget", "1").code == 0
    assert "Stopped at" not in bench.cli("show", "last").out


def test_a_budget_below_the_first_call_says_so_and_nothing_is_sent(bench: Bench, server: LoopbackServer) -> None:
    ended = bench.cli(*RUN, "--budget", "0.0001")
    assert f"can cost up to ${MOST}: $0 is spent, and $0 is reserved" in stopped(ended)
    assert server.count == 0


def test_an_exact_fit_is_bought(bench: Bench, server: LoopbackServer) -> None:
    bench.task(samples=1, parameters={"max_tokens": 100})
    worst = (70 * RATES["input"] + 100 * RATES["output"]) / 1_000_000
    assert bench.cli(*RUN, "--budget", f"{worst - Decimal('1e-12'):f}").code == 3
    assert bench.cli(*RUN, "--budget", f"{worst:f}").code == 0


@pytest.mark.parametrize("given", ["-1", "abc", "nan", "inf", "", "1e-3", "1,5", "0.1234567890123", "-"])
def test_a_budget_that_is_no_amount_is_one_clear_error(bench: Bench, server: LoopbackServer, given: str) -> None:
    message = bench.cli(*RUN, "--budget", given).error()
    assert message.startswith(f'--budget: expected dollars, 0 or more, not "{given}"')
    assert not (bench.root / ".llm_tester").exists()


def test_the_budget_of_config_json_is_each_runs_and_the_command_line_wins(bench: Bench, server: LoopbackServer) -> None:
    configure(bench, server, run={"budget": "0.001"})
    assert "the run's budget of $0.001" in stopped(bench.cli(*RUN))
    assert bench.cli(*RUN, "--budget", "1").code == 0


@pytest.mark.parametrize("budget", [-1, "abc", "NaN", "1e-13", 10**9])
def test_a_bad_budget_in_config_json_is_one_clear_error(bench: Bench, server: LoopbackServer, budget: Any) -> None:
    configure(bench, server, run={"budget": budget})
    assert "run.budget: " in bench.cli(*RUN).error()
    configure(bench, server, budgets=[{"usd": budget, "per": "week"}])
    message = bench.cli(*RUN).error()
    assert "budgets[0].usd: " in message
    assert "budgets[0].per: " in message


def test_a_model_without_a_price_is_refused_under_a_budget_only(bench: Bench, server: LoopbackServer) -> None:
    configure(bench, server, openai={"llm_models": [{"name": "m"}]})
    message = bench.cli(*RUN, "--budget", "1").error()
    assert message.startswith("openai:m has no price for input and output, and a budget is set")
    assert (
        '{"providers": {"openai": {"llm_models": [{"name": "m", "cost_input": 1.25, "cost_output": 10}]}}}' in message
    )
    assert server.count == 0
    assert bench.cli(*RUN, "--name", "free").code == 0
    assert "llm-tester reprice" in bench.cli("resume", "free", "--budget", "1").error()


def test_without_max_tokens_a_budgeted_run_asks_for_1024(bench: Bench, server: LoopbackServer) -> None:
    bench.task(samples=2)
    assert bench.cli(*RUN).code == 0
    assert all("max_completion_tokens" not in received.body for received in server.received)
    server.reset()
    assert bench.cli(*RUN, "--budget", "1").code == 0
    assert [received.body["max_tokens"] for received in server.received] == [1024, 1024]
    shown = " ".join(bench.cli("show", "last").out.split())
    assert "not applied" not in shown
    assert "Calls under a budget that name no max_tokens ask for 1,024: longer answers are cut off." in shown


@pytest.mark.parametrize("limit", [{"provider": "groq"}, {"project": "another"}])
def test_calls_that_no_limit_is_for_are_left_as_they_are(
    bench: Bench, server: LoopbackServer, limit: dict[str, str]
) -> None:
    bench.task(samples=2)
    configure(bench, server, budgets=[{"usd": "5", "per": "day", **limit}])
    assert bench.cli(*RUN).code == 0
    assert all("max_tokens" not in received.body for received in server.received)
    assert "1,024" not in bench.cli("show", "last").out


def test_a_run_that_began_without_a_budget_asks_as_before_when_it_goes_on_under_one(
    bench: Bench, server: LoopbackServer
) -> None:
    bench.task(samples=3)
    entry = {**MODEL, "max_output_tokens": 200}
    configure(bench, server, openai={"llm_models": [entry]})
    assert bench.cli(*RUN, "--name", "r").code == 0
    bench.sql("DELETE FROM scores WHERE call = 3")
    bench.sql("DELETE FROM costs WHERE call = 3")
    bench.sql("DELETE FROM attempts WHERE call = 3")
    bench.sql("DELETE FROM answers WHERE call = 3")
    bench.sql("UPDATE calls SET state = 'unknown' WHERE call = 3")
    assert bench.cli("resume", "r", "--budget", "1").code == 0
    assert len(server.received) == 4
    assert all("max_tokens" not in received.body for received in server.received)
    assert "1,024" not in bench.cli("show", "r").out


@pytest.mark.parametrize("named", ["opnai", "OpenAI", "chain"])
def test_a_limit_of_a_provider_that_there_is_not_is_one_clear_error(
    bench: Bench, server: LoopbackServer, named: str
) -> None:
    configure(bench, server, budgets=[{"usd": "5", "per": "day"}, {"usd": "5", "per": "day", "provider": named}])
    message = bench.cli(*RUN).error()
    assert f'budgets[1].provider: there is no provider "{named}"' in message
    if named == "opnai":
        assert "Did you mean openai?" in message
    assert server.count == 0


def test_a_limit_of_a_project_without_a_name_is_an_error(bench: Bench, server: LoopbackServer) -> None:
    configure(bench, server, budgets=[{"usd": "5", "per": "day", "project": ""}])
    assert "budgets[0].project" in bench.cli(*RUN).error()


def test_a_model_that_takes_no_max_tokens_needs_a_longest_answer(bench: Bench, server: LoopbackServer) -> None:
    entry = {**MODEL, "unsupported_params": ["max_tokens"]}
    configure(bench, server, openai={"llm_models": [entry]})
    message = bench.cli(*RUN, "--budget", "1").error()
    assert message.startswith("openai:m takes no max_tokens, so that nothing bounds what a call costs")
    assert "max_output_tokens" in message
    configure(bench, server, openai={"llm_models": [{**entry, "max_output_tokens": 50}]})
    cheapest = (71 * RATES["input"] + 50 * RATES["output"]) / 1_000_000
    assert f"can cost up to ${cheapest}" in stopped(bench.cli(*RUN, "--budget", "0.0001"))


def test_several_answers_to_one_call_are_reserved_for(bench: Bench, server: LoopbackServer) -> None:
    bench.task(samples=1, parameters={"max_tokens": 100, "n": 3})
    worst = (70 * RATES["input"] + 300 * RATES["output"]) / 1_000_000
    assert f"can cost up to ${worst}" in stopped(bench.cli(*RUN, "--budget", "0.0001"))


def test_attempts_of_unknown_cost_keep_their_reservation(bench: Bench, server: LoopbackServer) -> None:
    """Cut off, without usage, or late: each try may have been billed in full."""
    bench.task(samples=1, parameters={"max_tokens": 100})
    configure(bench, server, retry={"max_retries": 2, "initial_delay": 0})
    worst = (70 * RATES["input"] + 100 * RATES["output"]) / 1_000_000
    for play in (Play(fault="close"), Play(fault="cut_stream"), Play(raw=b"{}")):
        server.reset()
        server.play(play)
        ended = bench.cli(*RUN, "--budget", f"{worst * 3 - Decimal('1e-12'):f}", "--json")
        attempts = server.count
        if attempts == 1:
            assert ended.json["budget"]["reserved_usd"] == usd_text(worst), play
            continue
        assert attempts == 2, play
        assert f"$0 is spent, and ${usd_text(worst * 2)} is reserved" in stopped(ended), play


def test_an_attempt_that_was_refused_gives_all_back(bench: Bench, server: LoopbackServer) -> None:
    bench.task(samples=1, parameters={"max_tokens": 100})
    configure(bench, server, retry={"max_retries": 3, "initial_delay": 0})
    server.play([Play(status=500), Play(status=503), Play("2", usage={"input": 10, "output": 1})])
    worst = (70 * RATES["input"] + 100 * RATES["output"]) / 1_000_000
    ended = bench.cli(*RUN, "--budget", f"{worst:f}", "--json")
    assert (ended.code, server.count) == (0, 3)
    assert ended.json["budget"]["spent_usd"] == bill(bench)["at_most_usd"] == "0.000012"


def test_simulated_models_pass_any_budget(bench: Bench) -> None:
    bench.task(samples=2)
    bench.replay("rep", {"m": {"s1": "2", "s2": "3"}})
    bench.write("config.json", {"run": {"budget": 0, "canary": False}, "budgets": [{"usd": 0, "per": "day"}]})
    ended = bench.cli("run", "sums", "-m", "rep:m")
    assert ended.code == 0, ended
