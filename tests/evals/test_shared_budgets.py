"""Limits per day and month, project and provider, that all runs and processes of a workspace share."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from llm_tester.config import BudgetLimit
from llm_tester.cost_manager import from_picodollars, usd_text
from llm_tester.evals.ledger import Ledger
from llm_tester.evals.ledger_budgets import LedgerBudgets
from llm_tester.records import Request
from llm_tester.testing import LoopbackServer, Play, Received
from tests.evals.conftest import Bench
from tests.evals.test_budgets import MOST, RUN, bill, billed, configure, right, server, stopped

__all__ = ["server"]
DAY = {"usd": "0.004", "per": "day"}


def test_two_processes_share_a_budget_and_stay_within_it_together(bench: Bench, server: LoopbackServer) -> None:
    def slow_at_first(received: Received) -> Play:
        """The first process waits for its first answers while the other one starts."""
        return replace(right(received), latency=0.9 if received.number <= 4 else 0.005)

    configure(bench, server, budgets=[DAY], openai={"max_connections": 4})
    server.play(slow_at_first)
    with ThreadPoolExecutor(2) as both:
        ended = list(both.map(lambda name: bench.process(*RUN, "--limit", "30", "--name", name), ("a", "b")))
    spent = billed(server)
    assert Decimal("0.004") - MOST < spent <= Decimal("0.004")
    assert Decimal(bill(bench)["spent_usd"]) == spent
    assert bill(bench)["calls"] == server.count
    for one in ended:
        assert "the budget per day (" in stopped(one)
    assert bench.sql("SELECT count(*) FROM reservations") == [(0,)]
    assert len(bench.sql("SELECT run, count(*) FROM calls GROUP BY run")) == 2

    configure(bench, server)
    assert [bench.cli("resume", name).code for name in ("a", "b")] == [0, 0]
    assert (server.count, max(server.by_call.values())) == (60, 1)


def test_a_days_budget_that_other_runs_have_used_up_lets_nothing_out(bench: Bench, server: LoopbackServer) -> None:
    """Also what was spent before there was any budget counts."""
    assert bench.cli(*RUN).code == 0
    configure(bench, server, budgets=[{"usd": "0.0001", "per": "day"}])
    ended = bench.cli(*RUN, "--name", "late")
    today = f"{datetime.now(UTC):%Y-%m-%d}"
    told = stopped(ended)
    assert f"the budget per day ({today}, UTC) of $0.0001 does not cover the next call" in told
    assert f"${billed(server)} is spent" in told
    assert 'or with a higher limit in config.json ("budgets"): llm-tester resume' in told
    assert server.count == 60
    assert "Stopped at the budget per day" in bench.cli("show", "late").out


@pytest.mark.parametrize(
    ("limit", "holds"),
    [
        ({"project": "alpha"}, True),
        ({"project": "beta"}, False),
        ({"provider": "openai"}, True),
        ({"provider": "groq"}, False),
        ({"project": "alpha", "provider": "openai", "per": "month"}, True),
        ({"project": "alpha", "provider": "groq"}, False),
    ],
)
def test_a_limit_holds_for_its_project_and_provider_only(
    bench: Bench, server: LoopbackServer, limit: dict[str, str], holds: bool
) -> None:
    configure(bench, server, budgets=[{"usd": "0.001", "per": "day", **limit}])
    ended = bench.cli(*RUN, "--project", "alpha", "--limit", "5")
    assert ended.code == (3 if holds else 0), ended
    if holds:
        span = f"{limit.get('per', 'day')} of {' and '.join(f'{k} {v}' for k, v in limit.items() if k != 'per')}"
        assert f"the budget per {span} (" in ended.err


def test_both_a_run_and_its_project_can_have_a_budget(bench: Bench, server: LoopbackServer) -> None:
    configure(bench, server, budgets=[{"usd": "0.002", "per": "month"}])
    assert "the run's budget of $0.001" in stopped(bench.cli(*RUN, "--budget", "0.001", "--name", "first"))
    assert "the budget per month (" in stopped(bench.cli("resume", "first", "--budget", "1"))
    assert Decimal("0.002") - MOST < billed(server) <= Decimal("0.002")


def test_what_a_killed_process_held_stays_reserved_until_its_run_goes_on(bench: Bench, server: LoopbackServer) -> None:
    configure(bench, server, budgets=[{"usd": "0.02", "per": "day"}])
    server.play(Play(fault="hang"))
    command = [sys.executable, "-m", "llm_tester.cli.main", *RUN, "--name", "killed"]
    with subprocess.Popen(command, cwd=bench.root, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        assert server.wait_for(5)
        process.kill()
    rows = "SELECT count(*), sum(amount) FROM reservations WHERE call_id {} (SELECT call_id FROM calls)"
    (claimed, held), *_ = bench.sql(rows.format("IN"))
    assert 5 <= claimed <= 20

    # The bill does not know them yet, and says so.
    told = bench.cli("costs").err
    assert f"Not in these sums: {claimed} calls of unknown fate of the killed run" in told

    # What was claimed counts for others as well; what was only reserved is released.
    server.play(Play("1", usage={"input": 10, "output": 100}))
    told = stopped(bench.cli(*RUN, "--name", "other"))
    reserved = usd_text(from_picodollars(held))
    assert f"${billed(server)} is spent, and ${reserved} is reserved" in told
    assert Decimal("0.02") - from_picodollars(held) - MOST < billed(server)
    assert bench.sql(rows.format("NOT IN")) == [(0, None)]

    # Going on, they are of unknown fate, and count at their most still.
    configure(bench, server)
    assert bench.cli("resume", "killed").out.count("at most $") == claimed
    assert bench.sql("SELECT count(*) FROM reservations") == [(0,)]
    found = bill(bench)
    assert Decimal(found["at_most_usd"]) - Decimal(found["spent_usd"]) == from_picodollars(held)


def test_a_call_that_is_tried_again_after_midnight_counts_on_the_day_of_its_bill(
    bench: Bench, server: LoopbackServer
) -> None:
    """The day is that of the claim; what is in flight counts for any day."""
    assert bench.cli(*RUN, "--limit", "1").code == 0
    with Ledger.existing(bench.root / ".llm_tester" / "ledger.sqlite3") as ledger:
        run = ledger.run("last")
        ledger.take_over(run)
        tomorrow = (datetime.now(UTC) + timedelta(days=1)).timestamp()
        limit = BudgetLimit(usd=Decimal("0.001"), per="day")
        budgets = LedgerBudgets(ledger, run, [limit], now=lambda: tomorrow)
        ((call_id,),) = bench.sql("SELECT call_id FROM calls")
        spent = int(bench.sql("SELECT sum(picodollars) FROM costs")[0][0])
        full = 1_000_000_000
        fresh = Request("openai", "m", (), call_id="fresh")
        assert budgets.reserve(fresh, 1, full).result() is None
        assert budgets.reserve(Request("openai", "m", (), call_id="more"), 1, 1).result() is not None
        budgets.settle(fresh, 1, 0)
        again = Request("openai", "m", (), call_id=call_id)
        assert budgets.reserve(again, 2, full - spent).result() is None
        budgets.settle(again, 2, 0)
        refused = budgets.reserve(again, 2, full - spent + 1).result()
        assert refused is not None
        assert f"({datetime.now(UTC):%Y-%m-%d}, UTC)" in refused.budget
        assert not refused.in_flight
