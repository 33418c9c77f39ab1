"""run --cache over the loopback server, and the commands that show and prune what it keeps."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from llm_tester.testing import LoopbackServer, Play, Received
from tests.evals.conftest import Bench

RUN = ("run", "sums", "-m", "openai:m", "--json", "--cache")
EACH = Decimal("0.00002")


def right(received: Received) -> Play:
    number = int(received.body["messages"][-1]["content"].split()[0])
    return Play(str(number + 1), usage={"input": 10, "output": 5})


def configure(bench: Bench, server: LoopbackServer, **settings: Any) -> None:
    models = [{"name": name, "cost_input": 1, "cost_output": 2} for name in ("m", "n")]
    base = {
        "run": {"canary": False},
        "providers": {"openai": {"base_url": f"{server.url}/v1", "llm_models": models}},
        "fallback": {"chains": {"safe": ["openai:n", "openai:m"]}},
    }
    bench.write("config.json", {**base, **settings})


@pytest.fixture
def server(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Iterator[LoopbackServer]:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-canary-0815")
    bench.task(samples=5, parameters={"max_tokens": 50})
    with LoopbackServer(right) as running:
        configure(bench, running)
        yield running


def test_a_second_run_buys_nothing_and_says_so(bench: Bench, server: LoopbackServer) -> None:
    (first,) = bench.cli(*RUN).json["models"]
    ended = bench.cli(*RUN, "--budget", "0.001")
    (again,) = ended.json["models"]
    assert len(server.received) == 5
    assert (ended.code, again["outcomes"], again["cached"]) == (0, {"correct": 5}, 5)
    assert "cached" not in first
    # What the answers cost and how long they took stays; nothing was spent.
    assert Decimal(again["cost_usd"]) == Decimal(first["cost_usd"]) == 5 * EACH
    assert (Decimal(first["spent_usd"]), Decimal(again["spent_usd"])) == (5 * EACH, Decimal(0))
    assert again["latency_ms"] == first["latency_ms"]
    assert Decimal(ended.json["budget"]["spent_usd"]) == 0
    (bill,) = bench.cli("costs", "--by", "model", "--format", "json").json
    assert (bill["calls"], Decimal(bill["spent_usd"])) == (5, 5 * EACH)
    assert bench.cli("costs", "--verify").code == 0
    assert bench.sql("SELECT count(*), sum(cached_from IS NULL) FROM answers") == [(10, 5)]


def test_the_report_marks_what_came_from_the_cache(bench: Bench, server: LoopbackServer) -> None:
    bench.cli(*RUN)
    assert "from the cache" not in bench.cli("report", "last", "--format", "md").out
    bench.cli(*RUN)
    told = "5 answers came from the cache"
    assert told in bench.cli("report", "last", "--format", "md").out
    assert told in bench.cli("show", "last").out
    assert told in bench.cli("report", "last", "--format", "html", "--output", "-").out
    assert {row["cached"] for row in bench.report()["results"]} == {True}


def test_a_run_without_it_neither_takes_nor_keeps(bench: Bench, server: LoopbackServer) -> None:
    for _ in range(2):
        bench.cli(*RUN[:-1])
    assert len(server.received) == 10
    assert bench.sql("SELECT count(*) FROM cache") == [(0,)]
    bench.cli(*RUN)
    bench.cli(*RUN[:-1])
    assert len(server.received) == 20


def test_config_json_can_turn_it_on(bench: Bench, server: LoopbackServer) -> None:
    configure(bench, server, cache={"enabled": True})
    for _ in range(2):
        bench.cli(*RUN[:-1])
    assert len(server.received) == 5
    bench.cli(*RUN[:-1], "--no-cache")
    assert len(server.received) == 10


def test_only_what_is_new_is_bought(bench: Bench, server: LoopbackServer) -> None:
    bench.cli(*RUN, "--limit", "2")
    ended = bench.cli(*RUN, "-m", "openai:n")
    assert [row.get("cached", 0) for row in ended.json["models"]] == [2, 0]
    assert len(server.received) == 2 + 3 + 5


def test_equal_samples_of_a_run_are_bought_once_and_epochs_apart(bench: Bench, server: LoopbackServer) -> None:
    bench.task(samples=[{"id": f"s{n}", "input": "1 + 1?", "target": 2} for n in range(6)])
    ended = bench.cli(*RUN, "--epochs", "2")
    assert (ended.json["models"][0]["cached"], len(server.received)) == (10, 2)


def test_a_canary_is_kept_too(bench: Bench, server: LoopbackServer) -> None:
    for _ in range(2):
        bench.cli(*RUN, "--canary")
    assert len(server.received) == 6


def test_bad_answers_are_bought_again(bench: Bench, server: LoopbackServer) -> None:
    server.play(Play("cut", finish="length"))
    for _ in range(2):
        bench.cli(*RUN)
    assert len(server.received) == 10


def test_an_old_answer_is_bought_again(bench: Bench, server: LoopbackServer) -> None:
    bench.cli(*RUN)
    bench.sql("UPDATE cache SET stored_at = stored_at - 90000")
    bench.cli(*RUN)
    assert len(server.received) == 10
    bench.cli(*RUN)
    assert len(server.received) == 10


def test_a_chain_is_kept_with_who_served(bench: Bench, server: LoopbackServer) -> None:
    server.play(lambda received: Play(status=401) if received.body["model"] == "n" else right(received))
    command = ("run", "sums", "-m", "chain:safe", "--json", "--cache")
    bench.cli(*command)
    (again,) = bench.cli(*command).json["models"]
    assert (again["cached"], again["served_by"], len(server.received)) == (5, {"openai:m": 5}, 10)
    assert Decimal(again["cost_usd"]) == 5 * EACH


def test_a_run_that_others_took_answers_from_is_not_deleted(bench: Bench, server: LoopbackServer) -> None:
    first = bench.cli(*RUN).json["run"]
    second = bench.cli(*RUN).json["run"]
    assert "took answers from it" in bench.cli("runs", "delete", first, "--yes").error()
    assert bench.cli("runs", "delete", second, "--yes").code == 0
    assert bench.cli("runs", "delete", first, "--yes").code == 0
    assert bench.sql("SELECT count(*) FROM cache") == [(0,)]


# --- the commands


def test_show_says_what_is_kept(bench: Bench, server: LoopbackServer) -> None:
    bench.cli(*RUN[:-1])
    assert "The cache is empty" in bench.cli("cache", "show").out
    bench.cli(*RUN)
    bench.sql("UPDATE cache SET stored_at = stored_at - 90000 WHERE key IN (SELECT key FROM cache LIMIT 2)")
    (row,) = bench.cli("cache", "show", "--json").json
    assert (row["model"], row["answers"], row["fresh"]) == ("openai:m", 5, 3)
    assert Decimal(row["cost_usd"]) == 5 * EACH
    shown = bench.cli("cache", "show").out
    assert "openai:m" in shown
    assert "86,400 s" in shown


def test_prune_forgets_what_is_too_old_or_all(bench: Bench, server: LoopbackServer) -> None:
    bench.cli(*RUN)
    bench.sql("UPDATE cache SET stored_at = stored_at - 90000 WHERE key IN (SELECT key FROM cache LIMIT 2)")
    assert bench.cli("cache", "prune").out == "Forgot 2 answers.\n"
    assert bench.cli("cache", "prune", "--older-than", "3600", "--json").json == {"forgotten": 0}
    assert bench.cli("cache", "prune", "--all").out == "Forgot 3 answers.\n"
    # The run keeps its answers.
    assert len(bench.report()["results"]) == 5
    assert bench.cli("cache", "prune", "--all", "--older-than", "1").code == 2


def test_outside_of_runs_there_is_no_cache(bench: Bench) -> None:
    assert "there are no runs in this workspace yet" in bench.cli("cache", "show").error()


def test_a_time_to_live_that_is_none_is_an_error(bench: Bench, server: LoopbackServer) -> None:
    configure(bench, server, cache={"ttl": 0})
    assert "cache.ttl" in bench.cli(*RUN).error()
