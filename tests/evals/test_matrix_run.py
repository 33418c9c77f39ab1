"""A whole matrix at once: three providers over the network, parameter sets, prompt variants, epochs, and a bad key."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from llm_tester.evals.stats import clustered
from llm_tester.testing import LoopbackServer, Play, Received
from tests.evals.conftest import Bench

EPOCHS, SAMPLES = 3, 3
PROVIDERS = ("openai", "anthropic", "groq")
ARGUMENTS = (
    *("run", "sums", "-m", "openai:m", "-m", "anthropic:m", "-m", "groq:m", "--prompt", "plain", "--prompt", "brief"),
    *("--params", '{"temperature": 0}', "--params", '{"temperature": 1}', "--epochs", str(EPOCHS)),
)


class Answers:
    """Right, but for temperature 1: there the second time that a prompt comes is wrong, and s3 always."""

    def __init__(self) -> None:
        self.seen: Counter[tuple[Any, ...]] = Counter()

    def __call__(self, received: Received) -> Play:
        if "sk-bad" in received.headers.get("authorization", ""):
            return Play(status=401, error={"message": "Incorrect API key provided", "code": "invalid_api_key"})
        prompt, hot = received.body["messages"][-1]["content"], received.body["temperature"] == 1
        number = int(prompt.removeprefix("Briefly: ").split()[0])
        place = ("x-api-key" in received.headers, prompt, hot)
        self.seen[place] += 1
        is_right = not hot or (number != 3 and self.seen[place] != 2)
        return Play(str(number + (1 if is_right else 7)), usage={"input": 20, "output": 2})


@pytest.fixture
def server(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Iterator[LoopbackServer]:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-good")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-good")
    monkeypatch.setenv("GROQ_API_KEY", "sk-bad")
    bench.task(
        samples=SAMPLES, parameters={"max_tokens": 9}, prompts={"plain": "{{ input }}", "brief": "Briefly: {{ input }}"}
    )
    model = [{"name": "m", "cost_input": 1, "cost_output": 2}]
    with LoopbackServer(Answers()) as running:
        there = {name: {"base_url": f"{running.url}/v1", "llm_models": model} for name in PROVIDERS}
        there["anthropic"]["base_url"] = running.url
        # One connection: which epoch is the wrong one then follows from the order.
        bench.write("config.json", {"run": {"max_connections": 1}, "providers": there})
        yield running


def test_rows_intervals_and_coverage_of_a_matrix_with_a_bad_key(bench: Bench, server: LoopbackServer) -> None:
    ended = bench.cli(*ARGUMENTS, "--json")
    assert (ended.code, ended.json["status"]) == (3, "incomplete"), ended
    rows = {row["entrant"]: row for row in ended.json["models"]}
    assert len(rows) == 3 * 2 * 2
    groq = [name for name in rows if name.startswith("groq:m")]
    assert sorted(entry["entrant"] for entry in ended.json["dropped"]) == sorted(groq)
    assert all(entry["cause"].startswith("AuthenticationError: ") for entry in ended.json["dropped"])
    assert server.count == 8 * (1 + SAMPLES * EPOCHS) + 4
    for name in groq:
        row = rows[name]
        assert (row["samples"], row["planned"], row["score"], row["ci95"]) == (0, 3, None, None)
        assert row["outcomes"] == {"not_run": SAMPLES * EPOCHS}
    for name in set(rows) - set(groq):
        row = rows[name]
        assert (row["samples"], row["planned"], row["answers"]) == (3, 3, 9)
        assert row["usage"] == {"input": 180, "output": 18}
        assert row["cost_usd"] == "0.000216"
    cold = [name for name in set(rows) - set(groq) if rows[name]["score"] == 1]
    assert len(cold) == 4


def test_a_small_case_by_hand(bench: Bench, server: LoopbackServer) -> None:
    """Of one provider's hot entrant the canary is the first time of a prompt; then s1 and s2 are wrong once each."""
    models = bench.cli(*ARGUMENTS, "--json", "--no-canary").json["models"]
    by_name = {row["entrant"]: row for row in models if row["model"] == "openai:m"}
    hot = [row for name, row in by_name.items() if row["score"] != 1]
    assert len(by_name) == 4
    assert len(hot) == 2
    # s1 and s2: right, wrong, right; s3: wrong three times.
    expected = clustered([[1, 0, 1], [1, 0, 1], [0, 0, 0]])
    assert expected is not None
    for row in hot:
        assert row["outcomes"] == {"correct": 4, "wrong": 5}
        assert row["score"] == pytest.approx(4 / 9)
        assert row["ci95"] == pytest.approx(expected[1:])
    results = bench.report()["results"]
    assert len(results) == 12 * SAMPLES * EPOCHS
    places = Counter((row["entrant"], row["sample_id"], row["epoch"]) for row in results)
    assert set(places.values()) == {1}
    wrong = [row["epoch"] for row in results if row["entrant"] == hot[0]["entrant"] and row["score"] == 0]
    assert sorted(wrong) == [1, 2, 2, 2, 3]


def test_the_page_names_who_was_dropped_and_why(bench: Bench, server: LoopbackServer) -> None:
    assert bench.cli(*ARGUMENTS).code == 3
    (path,) = (bench.root / "reports").glob("*.html")
    page = path.read_text("utf-8")
    assert "Dropped, as the first call failed: groq:m prompt=plain temperature=0, groq:m prompt" in page
    assert "sk-bad" not in page


def test_default_is_the_task_s_own_prompt_unless_a_variant_has_that_name(bench: Bench) -> None:
    bench.task(prompt="own {{ input }}", prompts={"short": "short {{ input }}"}, samples=1)
    bench.replay("rep", {"m": {"s1": "2"}})
    ended = bench.cli("run", "sums", "-m", "rep:m", "--prompt", "default", "--prompt", "short")
    assert ended.code == 0, ended
    assert {row["entrant"] for row in bench.report()["results"]} == {"rep:m prompt=default", "rep:m prompt=short"}
    shown = bench.cli("show", "last", "s1").out
    assert 'Prompt "default"\nown 1 + 1?' in shown
    bench.task(prompt="own {{ input }}", prompts={"default": "variant {{ input }}"}, samples=1)
    assert bench.cli("run", "sums", "-m", "rep:m", "--prompt", "default").code == 0
    assert "variant 1 + 1?" in bench.cli("show", "last", "s1").out
