"""A fallback chain as an entrant of a run: who is asked, what each of them costs, and what the report says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from decimal import Decimal
from typing import Any

import pytest

from llm_tester.testing import LoopbackServer, Play, Received
from tests.evals.conftest import Bench

RUN = ("run", "sums", "-m", "chain:safe", "--json")
PRICES = {"openai": (1, 2), "groq": (10, 20)}


class Scene:
    """Two models on servers of their own, and a chain of both."""

    def __init__(self, bench: Bench, openai: LoopbackServer, groq: LoopbackServer) -> None:
        self.bench, self.openai, self.groq = bench, openai, groq

    def configure(self, chain: tuple[str, ...] = ("openai:m", "groq:n"), **settings: Any) -> None:
        providers = {}
        for name, server in (("openai", self.openai), ("groq", self.groq)):
            cost_in, cost_out = PRICES[name]
            models = [{"name": model, "cost_input": cost_in, "cost_output": cost_out} for model in ("m", "n")]
            providers[name] = {"base_url": f"{server.url}/v1", "llm_models": models, "max_connections": 4}
        base = {
            "run": {"canary": False},
            "providers": providers,
            "retry": {"max_retries": 1, "initial_delay": 0},
            "circuit_breaker": {"failure_threshold": 3, "recovery_timeout": 60},
            "fallback": {"chains": {"safe": chain}},
        }
        self.bench.write("config.json", {**base, **settings})

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        return self.bench.sql(query)


@pytest.fixture
def scene(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-canary-0815")
    monkeypatch.setenv("GROQ_API_KEY", "sk-canary-0816")
    bench.task(samples=20, parameters={"max_tokens": 50})
    with ExitStack() as stack:
        openai, groq = (stack.enter_context(LoopbackServer(right)) for _ in range(2))
        made = Scene(bench, openai, groq)
        made.configure()
        yield made


def right(received: Received) -> Play:
    number = int(received.body["messages"][-1]["content"].split()[0])
    return Play(str(number + 1), usage={"input": 10, "output": 5})


def half(received: Received) -> Play:
    """Odd numbers are a failure of the server's."""
    number = int(received.body["messages"][-1]["content"].split()[0])
    return Play(status=401) if number % 2 else right(received)


COST = {"openai": Decimal("0.00002"), "groq": Decimal("0.0002")}


def test_a_chain_is_an_entrant_that_the_first_model_serves(scene: Scene) -> None:
    ended = scene.bench.cli(*RUN)
    assert ended.code == 0, ended
    (row,) = ended.json["models"]
    assert (row["entrant"], row["outcomes"], row["served_by"]) == ("chain:safe", {"correct": 20}, {"openai:m": 20})
    assert Decimal(row["cost_usd"]) == Decimal(row["spent_usd"]) == 20 * COST["openai"]
    assert (len(scene.openai.received), len(scene.groq.received)) == (20, 0)


def test_the_hosts_of_a_chain_are_named_before_it_is_asked(scene: Scene) -> None:
    hosts = [server.url.removeprefix("http://") for server in (scene.openai, scene.groq)]
    told = scene.bench.cli("run", "sums", "-m", "chain:safe", "--limit", "1").out
    assert f"chain:safe talks to {', '.join(hosts)}\n" in told
    assert f"chain:safe talks to {', '.join(hosts)}\n" in scene.bench.cli("resume", "last").out


def test_each_answer_is_priced_by_who_gave_it(scene: Scene) -> None:
    scene.openai.play(half)
    ended = scene.bench.cli(*RUN)
    (row,) = ended.json["models"]
    assert (ended.code, row["served_by"]) == (0, {"openai:m": 10, "groq:n": 10})
    assert Decimal(row["cost_usd"]) == 10 * COST["openai"] + 10 * COST["groq"]
    assert (len(scene.openai.received), len(scene.groq.received)) == (20, 10)
    # One claim per sample, and every attempt with who made it.
    assert scene.rows("SELECT count(*), count(DISTINCT call_id) FROM calls") == [(20, 20)]
    assert Counter(scene.rows("SELECT number, provider, model, error FROM attempts")) == {
        (1, "openai", "m", None): 10,
        (1, "openai", "m", "AuthenticationError"): 10,
        (2, "groq", "n", None): 10,
    }


def test_the_report_names_who_answered(scene: Scene) -> None:
    scene.openai.play(half)
    scene.bench.cli(*RUN)
    shown = scene.bench.cli("report", "last", "--format", "md").out
    assert "chain:safe: answered by groq:n (10 answers), openai:m (10 answers)." in shown
    assert "chain:safe, by openai:m" in shown
    assert "input 10, output 20" in shown
    answers = scene.bench.cli("report", "last", "--format", "json").json
    told = Counter(row["served_by"] for row in answers["results"])
    assert told == {"openai:m": 10, "groq:n": 10}
    page = scene.bench.cli("report", "last", "--format", "html", "--output", "-").out
    assert "openai:m then groq:n" in page
    assert "answered by groq:n (10 answers)" in page


def test_the_bill_is_that_of_who_served(scene: Scene) -> None:
    scene.openai.play(half)
    scene.bench.cli(*RUN)
    rows = scene.bench.cli("costs", "--by", "model", "--format", "json").json
    spent = {row["model"]: (row["calls"], Decimal(row["spent_usd"])) for row in rows}
    assert spent == {"openai:m": (10, 10 * COST["openai"]), "groq:n": (10, 10 * COST["groq"])}


def test_an_outage_of_the_first_costs_few_requests_and_no_sample(scene: Scene) -> None:
    scene.openai.play(Play(status=503))
    ended = scene.bench.cli(*RUN)
    (row,) = ended.json["models"]
    assert (ended.code, row["outcomes"], row["served_by"]) == (0, {"correct": 20}, {"groq:n": 20})
    # Its breaker opens; from then on it is passed over.
    assert 3 <= len(scene.openai.received) <= 12
    assert len(scene.groq.received) == 20


def test_when_all_are_down_the_chain_waits_for_the_first_that_comes_back(scene: Scene) -> None:
    scene.configure(circuit_breaker={"failure_threshold": 2, "recovery_timeout": 0.2})
    scene.openai.play(Play(status=503))
    asked: list[int] = []

    def back_after_ten(received: Received) -> Play:
        asked.append(1)
        return Play(status=503) if len(asked) <= 10 else right(received)

    scene.groq.play(back_after_ten)
    ended = scene.bench.cli(*RUN)
    assert (ended.code, ended.json["models"][0]["outcomes"]) == (0, {"correct": 20})
    assert scene.groq.by_status == Counter({200: 20, 503: 10})


def test_a_long_outage_of_all_stops_the_run_which_can_go_on(scene: Scene) -> None:
    scene.openai.play(Play(status=503))
    scene.groq.play(Play(status=503))
    ended = scene.bench.cli(*RUN, "--max-outage", "0.4")
    assert (ended.code, ended.json["status"]) == (3, "stopped")
    assert "Stopped: chain:safe brought no answer for" in ended.err
    scene.openai.play(right)
    resumed = scene.bench.cli("resume", "last", "--retry-errors", "--json")
    assert (resumed.code, resumed.json["models"][0]["outcomes"]) == (0, {"correct": 20})
    assert scene.rows("SELECT count(*) FROM calls WHERE state = 'claimed' OR state = 'unknown'") == [(0,)]


def test_what_is_wrong_with_a_request_is_not_asked_of_the_others(scene: Scene) -> None:
    scene.openai.play(Play(status=400))
    ended = scene.bench.cli(*RUN)
    assert (ended.code, ended.json["models"][0]["outcomes"]) == (3, {"error": 20})
    assert (len(scene.openai.received), len(scene.groq.received)) == (20, 0)


def test_a_chain_of_which_no_model_can_be_used_is_dropped(scene: Scene) -> None:
    scene.configure(run={})
    scene.openai.play(Play(status=401))
    scene.groq.play(Play(status=402))
    ended = scene.bench.cli(*RUN)
    (dropped,) = ended.json["dropped"]
    assert dropped["cause"].startswith("AllProvidersFailedError: All providers failed for completion.")
    assert (ended.code, len(scene.openai.received), len(scene.groq.received)) == (3, 1, 1)


def test_a_timeout_and_its_unknown_cost_stand_with_who_made_it(scene: Scene) -> None:
    scene.openai.play(Play("{}", raw=b"<html>"))
    ended = scene.bench.cli(*RUN, "--budget", "1")
    (row,) = ended.json["models"]
    assert row["served_by"] == {"groq:n": 20}
    assert row["cost_unknown_calls"] == 20
    bill = {row["provider"]: row for row in scene.bench.cli("costs", "--by", "provider", "--format", "json").json}
    assert (bill["groq"]["unknown_calls"], bill["openai"]["unknown_calls"]) == (0, 20)
    assert Decimal(bill["groq"]["spent_usd"]) == 20 * COST["groq"]
    assert scene.rows("SELECT count(*) FROM reservations") == [(0,)]


def test_a_budget_covers_the_dearest_of_a_chain(scene: Scene) -> None:
    scene.openai.play(Play(status=401))
    ended = scene.bench.cli(*RUN, "--budget", "0.004")
    assert (ended.code, ended.json["status"]) == (3, "stopped")
    spent = Decimal(ended.json["budget"]["spent_usd"])
    assert spent <= Decimal("0.004")
    assert spent == len(scene.groq.received) * COST["groq"]
    # A call whose next attempt the budget refused is left for later, and its fate is known.
    assert scene.rows("SELECT count(*) FROM calls WHERE state = 'claimed'") == [(0,)]
    resumed = scene.bench.cli("resume", "last", "--budget", "1", "--json")
    assert (resumed.code, resumed.json["models"][0]["outcomes"]) == (0, {"correct": 20})
    assert len(scene.groq.received) == 20


def test_a_chain_that_changed_is_not_resumed(scene: Scene) -> None:
    scene.openai.play(Play(status=401))
    scene.bench.cli(*RUN, "--budget", "0.004")
    scene.configure(("groq:n", "openai:m"))
    told = scene.bench.cli("resume", "last", "--budget", "1").error()
    assert 'the chain "safe" changed since the run began: it was openai:m, groq:n' in told


def test_a_chain_beside_its_models_is_another_entrant(scene: Scene) -> None:
    ended = scene.bench.cli("run", "sums", "-m", "chain:safe", "-m", "openai:m", "--json")
    assert [row["entrant"] for row in ended.json["models"]] == ["chain:safe", "openai:m"]
    hashes = scene.rows("SELECT hash FROM entrants ORDER BY position")
    scene.configure(("openai:m", "groq:m"))
    scene.bench.cli(*RUN)
    assert len({*hashes, *scene.rows("SELECT hash FROM entrants")}) == 3


@pytest.mark.parametrize(
    ("model", "told"),
    [("chain:sefa", 'there is no chain "sefa"'), ("chain:", '"chain:" names no model')],
)
def test_a_chain_that_there_is_not(scene: Scene, model: str, told: str) -> None:
    assert told in scene.bench.cli("run", "sums", "-m", model).error()


def test_a_chain_where_config_json_has_none(scene: Scene) -> None:
    scene.configure(fallback={})
    told = scene.bench.cli("run", "sums", "-m", "chain:safe").error()
    assert "there are no chains in config.json" in told
    assert "fallback" in told


def test_a_chain_is_not_priced_anew_and_that_is_told(scene: Scene) -> None:
    assert scene.bench.cli(*RUN).code == 0
    told = " ".join(scene.bench.cli("reprice", "last").out.split())
    assert "Not priced anew: chain:safe. The answers of a chain have the prices of their models." in told
    assert "Without a price" not in told


def test_a_key_that_is_missing_is_found_before_the_run(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GROQ_API_KEY")
    assert "GROQ_API_KEY is not set" in scene.bench.cli(*RUN).error()
    assert len(scene.openai.received) == 0


def test_a_chain_of_simulated_models_costs_nothing(scene: Scene) -> None:
    scene.configure(("mock:careful", "mock:thrifty"))
    ended = scene.bench.cli(*RUN)
    (row,) = ended.json["models"]
    assert row["simulated"]
    assert Decimal(row["spent_usd"]) == 0
    assert row["served_by"] == {"mock:careful": 20}


def test_a_question_to_a_chain_names_who_answered(scene: Scene) -> None:
    scene.openai.play(Play(status=401))
    scene.groq.play(Play("Hello.", usage={"input": 10, "output": 5}))
    told = scene.bench.cli("ask", "-m", "chain:safe", "hi", "--json").json
    assert (told["model"], told["served_provider"], told["text"]) == ("chain:safe", "groq", "Hello.")
    assert "groq:" in scene.bench.cli("ask", "-m", "chain:safe", "hi").err
