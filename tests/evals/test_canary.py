"""One call tries each entrant before its first sample: what is of no use is dropped, and the others run."""

from __future__ import annotations

import socket
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from llm_tester.testing import LoopbackServer, Play, Received
from tests.evals.conftest import Bench

GOOD, BAD = "sk-good-key", "sk-bad-key"
RUN = ("run", "sums", "-m", "openai:m", "-m", "groq:m", "--json")


def answer(received: Received) -> Play:
    """The right answer, for whoever has a good key, credit and a model that exists."""
    told = received.headers["authorization"].removeprefix("Bearer ")
    if told == BAD:
        return Play(status=401, error={"message": "Incorrect API key", "code": "invalid_api_key"})
    if told == "sk-no-credit":
        return Play(status=429, error={"message": "no credit left", "code": "insufficient_quota"})
    if received.body["model"] == "gone":
        return Play(status=404, error={"message": "no such model", "code": "model_not_found"})
    number = int(received.body["messages"][-1]["content"].split()[0])
    return Play(str(number + 1), usage={"input": 10, "output": 1})


@pytest.fixture
def server(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Iterator[LoopbackServer]:
    monkeypatch.setenv("OPENAI_API_KEY", GOOD)
    monkeypatch.setenv("GROQ_API_KEY", BAD)
    bench.task(samples=5, parameters={"max_tokens": 5})
    with LoopbackServer(answer) as running:
        configure(bench, running)
        yield running


def configure(bench: Bench, server: LoopbackServer, **run: Any) -> None:
    models = [{"name": name, "cost_input": 1, "cost_output": 2} for name in ("m", "gone")]
    there = {"base_url": f"{server.url}/v1", "llm_models": models}
    settings = {"run": run, "retry": {"max_retries": 1, "initial_delay": 0}}
    bench.write("config.json", {"providers": {"openai": there, "groq": there}, **settings})


def keys(server: LoopbackServer) -> Counter[str]:
    """How many requests came with which key."""
    return Counter(received.headers["authorization"].removeprefix("Bearer ") for received in server.received)


def test_an_entrant_with_a_bad_key_costs_one_call_and_the_others_finish(bench: Bench, server: LoopbackServer) -> None:
    ended = bench.cli(*RUN)
    assert ended.code == 3, ended
    assert ended.json["status"] == "incomplete"
    (dropped,) = ended.json["dropped"]
    assert dropped["entrant"] == "groq:m"
    assert dropped["cause"].startswith("AuthenticationError: ")
    assert keys(server) == {GOOD: 1 + 5, BAD: 1}
    good, bad = ended.json["models"]
    assert (good["score"], good["samples"]) == (1, 5)
    assert (bad["score"], bad["samples"], bad["outcomes"]) == (None, 0, {"not_run": 5})
    assert "Dropped, as the first call failed: groq:m. AuthenticationError: " in ended.err
    for shown in (bench.cli("report", "last", "--format", "md").out, bench.cli("show", "last").out):
        assert "first call failed: groq:m." in shown
        assert BAD not in shown


@pytest.mark.parametrize(
    ("key", "model", "cause"),
    [("sk-no-credit", "m", "QuotaExceededError"), (GOOD, "gone", "BadRequestError")],
)
def test_no_credit_and_an_unknown_model_drop_an_entrant_too(
    bench: Bench, server: LoopbackServer, monkeypatch: pytest.MonkeyPatch, key: str, model: str, cause: str
) -> None:
    monkeypatch.setenv("GROQ_API_KEY", key)
    ended = bench.cli("run", "sums", "-m", "openai:m", "-m", f"groq:{model}", "--json")
    assert (ended.code, ended.json["status"]) == (3, "incomplete")
    assert [entry["cause"].split(":")[0] for entry in ended.json["dropped"]] == [cause]
    assert server.count == 1 + 5 + 1


def test_canaries_stand_in_ledger_and_bill_and_not_in_the_scores(bench: Bench, server: LoopbackServer) -> None:
    ended = bench.cli("run", "sums", "-m", "openai:m", "--json")
    assert ended.code == 0
    assert bench.sql("SELECT purpose, epoch, state, count(*) FROM calls GROUP BY 1") == [
        ("canary", 0, "answered", 1),
        ("sample", 1, "answered", 5),
    ]
    (row,) = ended.json["models"]
    # 10 in at $1 and 1 out at $2 per 1M tokens.
    assert (row["usage"]["input"], row["spent_usd"], ended.json["canaries_usd"]) == (50, "0.00006", "0.000012")
    (line,) = bench.cli("costs", "--by", "provider", "--format", "json").json
    assert (line["calls"], Decimal(line["spent_usd"])) == (6, Decimal("0.000072"))
    assert "cost $0.000012" in bench.cli("report", "last", "--format", "md").out


def test_a_canary_of_unknown_cost_is_told(bench: Bench, server: LoopbackServer) -> None:
    server.play([*[Play(fault="cut_stream")] * 2, answer])
    ended = bench.cli("run", "sums", "-m", "openai:m", "--json")
    assert (ended.code, ended.json["canaries_unknown_calls"], ended.json["models"][0]["samples"]) == (0, 1, 5)
    shown = " ".join(bench.cli("show", "last").out.split())
    assert "The calls that tried the models before the run cost $0, and 1 of them an unknown amount." in shown


def test_a_failure_that_may_pass_drops_nobody(bench: Bench, server: LoopbackServer) -> None:
    server.play([*[Play(status=500)] * 2, answer])
    ended = bench.cli("run", "sums", "-m", "openai:m", "--json")
    assert (ended.code, ended.json["status"], ended.json["models"][0]["samples"]) == (0, "complete", 5)


def test_a_server_that_is_not_there_is_named_at_once(bench: Bench, server: LoopbackServer) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    there = {"base_url": f"http://127.0.0.1:{port}/v1", "llm_models": [{"name": "m"}]}
    bench.write("config.json", {"providers": {"openai": there}, "retry": {"max_retries": 1, "initial_delay": 0}})
    ended = bench.cli("run", "sums", "-m", "openai:m", "--json")
    assert (ended.code, ended.json["status"]) == (3, "incomplete")
    assert f"ProviderConnectionError: ClientConnectorError at 127.0.0.1:{port}: Connect call failed" in ended.err
    assert bench.sql("SELECT purpose, state, count(*) FROM calls GROUP BY 1") == [("canary", "failed", 1)]


def test_a_dropped_entrant_is_tried_again_when_the_run_is_resumed(
    bench: Bench, server: LoopbackServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert bench.cli(*RUN).code == 3
    assert bench.cli("resume", "last", "--json").json["dropped"][0]["entrant"] == "groq:m"
    assert keys(server) == {GOOD: 6, BAD: 2}
    monkeypatch.setenv("GROQ_API_KEY", "sk-mended")
    ended = bench.cli("resume", "last", "--json")
    assert (ended.code, ended.json["status"], "dropped" in ended.json) == (0, "complete", False)
    assert keys(server) == {GOOD: 6, BAD: 2, "sk-mended": 6}
    assert "first call failed" not in bench.cli("report", "last", "--format", "md").out


def test_without_a_canary_every_sample_fails(bench: Bench, server: LoopbackServer) -> None:
    ended = bench.cli(*RUN, "--no-canary")
    assert (ended.code, ended.json["models"][1]["outcomes"]) == (3, {"error": 5})
    assert keys(server) == {GOOD: 5, BAD: 5}
    configure(bench, server, canary=False)
    assert bench.cli("run", "sums", "-m", "openai:m").code == 0
    assert keys(server)[GOOD] == 10


def test_simulated_providers_have_none(bench: Bench) -> None:
    bench.write("config.json", {})
    bench.task(samples=2)
    assert bench.cli("run", "sums", "-m", "stub:stub").code == 0
    assert bench.sql("SELECT purpose, count(*) FROM calls GROUP BY 1") == [("sample", 2)]


def test_a_canary_stays_within_the_budget(bench: Bench, server: LoopbackServer) -> None:
    ended = bench.cli("run", "sums", "-m", "openai:m", "--budget", "0.00000001")
    assert ended.code == 3
    assert "Stopped: " in ended.err
    assert server.count == 0


def test_an_entrant_that_was_not_asked_has_a_dash_for_its_cost(bench: Bench, server: LoopbackServer) -> None:
    assert bench.cli(*RUN).code == 3
    shown = bench.cli("show", "last").out
    assert "()" not in shown
    page = bench.cli("report", "last", "--format", "html", "--output", "-").out
    board = next(row for row in page.split("<tr") if "groq:m" in row and "0/5" in row)
    assert "$0" not in board.partition("</tr>")[0]
    (line,) = [row for row in bench.cli("report", "last", "--format", "md").out.splitlines() if "5 not run" in row]
    assert "unknown" not in line


def test_a_canary_whose_answer_cannot_be_stored_stops_the_run(bench: Bench, server: LoopbackServer) -> None:
    assert bench.cli("run", "sums", "-m", "openai:m", "--limit", "1").code == 0
    bench.sql(
        "CREATE TRIGGER full BEFORE INSERT ON answers"
        " WHEN (SELECT purpose FROM calls WHERE call = new.call) = 'canary'"
        " BEGIN SELECT RAISE(ABORT, 'no room for this'); END"
    )
    assert "no room for this" in bench.cli("run", "sums", "-m", "openai:m", "--name", "stuck").error(code=3)
    assert bench.sql("SELECT status FROM runs WHERE name = 'stuck'") == [("stopped",)]
    bench.sql("DROP TRIGGER full")
    assert bench.cli("resume", "stuck").code == 0
    assert bench.cli("costs", "--verify").code == 0
