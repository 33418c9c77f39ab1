"""A provider that is down or wants to be left alone, in the middle of a run: its entrant waits, nobody else does."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from llm_tester.testing import LoopbackServer, Play, Received
from tests.evals.conftest import Bench

RUN = ("run", "sums", "-m", "openai:m", "--json")


@pytest.fixture
def server(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Iterator[LoopbackServer]:
    """A model on the loopback server, and a task of 40 samples."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-canary-0815")
    monkeypatch.setenv("GROQ_API_KEY", "sk-canary-0816")
    bench.task(samples=40)
    with LoopbackServer(right) as running:
        there = {"base_url": f"{running.url}/v1", "llm_models": [{"name": "m"}, {"name": "n"}], "max_connections": 4}
        bench.write(
            "config.json",
            {
                "run": {"canary": False},
                "providers": {"openai": there, "groq": there},
                "retry": {"max_retries": 3, "initial_delay": 0},
                "circuit_breaker": {"failure_threshold": 3, "recovery_timeout": 0.2},
            },
        )
        yield running


def right(received: Received) -> Play:
    return Play(str(int(received.body["messages"][-1]["content"].split()[0]) + 1))


class Down:
    """Answers `good` requests, then fails until it was asked `bad` times more, then answers again."""

    def __init__(self, good: int, bad: float, **failure: Any) -> None:
        self.good, self.bad, self.failure = good, bad, failure
        self.asked = 0

    def __call__(self, received: Received) -> Play:
        self.asked += 1
        if self.good < self.asked <= self.good + self.bad:
            return Play(**self.failure)
        return right(received)


def test_an_outage_is_waited_out_with_few_requests(bench: Bench, server: LoopbackServer) -> None:
    server.play(Down(10, 14, status=503))
    ended = bench.cli(*RUN)
    assert (ended.code, ended.json["status"]) == (0, "complete")
    assert ended.json["models"][0]["outcomes"] == {"correct": 40}
    # Every failed request was one of the 14; nothing was asked more often than that.
    assert server.by_status == Counter({200: 40, 503: 14})


def test_a_rate_limit_fails_no_sample(bench: Bench, server: LoopbackServer) -> None:
    server.play(Down(30, 3, status=429, headers={"retry-after-ms": "50"}))
    ended = bench.cli(*RUN)
    assert (ended.code, ended.json["models"][0]["outcomes"]) == (0, {"correct": 40})
    assert server.by_status == Counter({200: 40, 429: 3})


def test_after_a_long_outage_the_run_stops_and_can_go_on(bench: Bench, server: LoopbackServer) -> None:
    server.play(Down(10, 10**9, status=503))
    ended = bench.cli(*RUN, "--max-outage", "0.6")
    assert (ended.code, ended.json["status"]) == (3, "stopped")
    assert "Stopped: openai:m brought no answer for 1 s. OverloadedError: HTTP 503: " in ended.err
    outcomes = ended.json["models"][0]["outcomes"]
    # What was on its way when it went down may have failed for good; all else is left to do.
    assert outcomes["correct"] == 10
    assert outcomes["not_run"] >= 20
    asked = server.count
    assert asked < 40
    server.play(right)
    ended = bench.cli("resume", "last", "--retry-errors", "--json")
    assert (ended.code, ended.json["models"][0]["outcomes"]) == (0, {"correct": 40})
    assert server.count - asked == 30
    assert "brought no answer for" not in bench.cli("report", "last", "--format", "md").out


def test_others_are_not_held_up(bench: Bench, server: LoopbackServer) -> None:
    down = Down(0, 10**9, status=503)
    server.play(lambda received: down(received) if received.body["model"] == "n" else right(received))
    ended = bench.cli("run", "sums", "-m", "openai:m", "-m", "groq:n", "--max-outage", "1.5", "--json")
    assert (ended.code, ended.json["status"]) == (3, "stopped")
    by_model = {row["model"]: row for row in ended.json["models"]}
    assert by_model["openai:m"]["outcomes"] == {"correct": 40}
    assert by_model["groq:n"]["samples"] == 0


def test_ctrl_c_ends_the_wait(bench: Bench, server: LoopbackServer) -> None:
    """A provider that wants to be left alone for an hour does not keep a run from being stopped."""
    server.play(Play(status=429, headers={"retry-after": "3600"}))
    begun = time.monotonic()
    ended = bench.cli(*RUN, "--max-outage", "0.3")
    assert time.monotonic() - begun < 20
    assert (ended.code, ended.json["status"]) == (3, "stopped")
    assert ended.json["models"][0]["outcomes"] == {"not_run": 40}
    assert bench.sql("SELECT DISTINCT state FROM calls") == [("deferred",)]


def test_samples_that_a_provider_always_fails_at_are_given_up(bench: Bench, server: LoopbackServer) -> None:
    """With nothing else left to ask, they look like an outage; they are errors, and no reason to wait for long."""
    poison = {"3", "17", "28"}
    server.play(lambda asked: Play(status=500) if _number(asked) in poison else right(asked))
    ended = bench.cli(*RUN)
    assert (ended.code, ended.json["status"]) == (3, "incomplete")
    assert ended.json["models"][0]["outcomes"] == {"correct": 37, "error": 3}
    assert 3 * 4 <= server.by_status[500] <= 3 * 8


def _number(received: Received) -> str:
    return str(received.body["messages"][-1]["content"].split()[0])


def test_a_provider_that_moved_is_named_when_a_run_goes_on(bench: Bench, server: LoopbackServer) -> None:
    server.play(Down(10, 10**9, status=503))
    assert bench.cli(*RUN, "--max-outage", "0.3").code == 3
    host = server.url.removeprefix("http://")
    with LoopbackServer(right) as other:
        there = {"base_url": f"{other.url}/v1", "llm_models": [{"name": "m"}]}
        bench.write("config.json", {"providers": {"openai": there}})
        ended = bench.cli("resume", "last", "--retry-errors")
        assert f"openai:m talks to {other.url.removeprefix('http://')} (calls so far went to {host})" in ended.out
        # A canary is not needed where answers are stored.
        assert other.count == 30
