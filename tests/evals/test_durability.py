"""Claims, answers and scores: what is written before what, and how a run goes on after it was stopped."""

from __future__ import annotations

import json

from tests.evals.conftest import Bench
from tests.evals.drop_ins import LOGGING, PLAIN, calls

CLAIM = """SELECT c.state, c.ended_at, c.at_most FROM calls c JOIN plan p USING (run, position)
WHERE p.sample_id = ? AND c.purpose = 'sample'"""
CLAIMS = (
    LOGGING
    + f'CLAIM = """{CLAIM}"""\n'
    + """

class Looking(BaseLLM):
    applies = frozenset({"max_tokens"})

    def _call_llm_api(self, prompt, system_prompt, model_name, model_config):
        file = HERE.parent.parent / ".llm_tester" / "ledger.sqlite3"
        ledger = sqlite3.connect(f"file:{file}?mode=ro", uri=True)
        try:
            log(found=ledger.execute(CLAIM, (model_config.tags["sample_id"],)).fetchall())
        finally:
            ledger.close()
        return right(prompt)
"""
)


def test_a_claim_is_durable_before_its_call_is_made(bench: Bench) -> None:
    bench.task(samples=10, parameters={"max_tokens": 5})
    bench.provider("drop", CLAIMS)
    assert bench.cli("run", "sums", "-m", "drop:m").code == 0
    # At most: (6 or 7 bytes + 64 of framing) x 1 + 5 x 2 millionths of a dollar.
    claims = sorted(line["found"] for line in calls(bench))
    assert claims == [[["claimed", None, 80_000_000]]] * 9 + [[["claimed", None, 81_000_000]]]
    assert bench.sql("SELECT DISTINCT state FROM calls") == [("answered",)]


def prepared(bench: Bench, samples: int = 20) -> None:
    """A workspace whose ledger exists already, so that a trigger can be put into it."""
    bench.task("other", 1)
    bench.replay("rep", {"m": {"s1": "2"}})
    bench.cli("run", "other", "-m", "rep:m")
    bench.task(samples=samples)
    bench.provider("drop", PLAIN, max_connections=3)


def test_an_answer_is_written_before_its_score(bench: Bench) -> None:
    prepared(bench)
    bench.sql(
        "CREATE TRIGGER early BEFORE INSERT ON scores WHEN NOT EXISTS (SELECT 1 FROM answers JOIN calls USING (call)"
        " WHERE call = new.call AND state = 'answered') BEGIN SELECT RAISE(ABORT, 'scored too early'); END"
    )
    assert bench.cli("run", "sums", "-m", "drop:m").code == 0
    assert bench.sql("SELECT count(*) FROM scores") == [(21,)]


def test_a_ledger_that_refuses_an_answer_stops_the_run_and_it_can_go_on(bench: Bench) -> None:
    prepared(bench)
    bench.sql(
        "CREATE TRIGGER full BEFORE INSERT ON answers WHEN (SELECT count(*) FROM answers) >= 8"
        " BEGIN SELECT RAISE(ABORT, 'no room for this'); END"
    )
    ended = bench.process("run", "sums", "-m", "drop:m", "--name", "stuck")
    assert "no room for this" in ended.error(code=3)
    assert ended.err.count("\n") == 3
    run = bench.cli("runs", "list", "--json").json[0]
    assert (run["name"], run["status"]) == ("stuck", "stopped")
    assert f"The run can go on: llm-tester resume {run['run']}" in ended.err
    stored = {
        sample
        for (sample,) in bench.sql(
            "SELECT sample_id FROM plan JOIN calls USING (run, position) WHERE state = 'answered' AND run = 2"
        )
    }
    assert len(stored) == 7
    before = len(calls(bench))
    assert "no room for this" in bench.cli("resume", "stuck").error(code=3)
    bench.sql("DROP TRIGGER full")
    ended = bench.cli("resume", "stuck")
    assert ended.code == 0, ended
    assert "of unknown fate, sent again:" in ended.out
    (model,) = bench.report("stuck")["models"]
    assert (model["samples"], model["score"]) == (20, 1.0)
    assert stored.isdisjoint(call["sample"] for call in calls(bench)[before:])


def test_a_ledger_that_refuses_scores_loses_no_answer(bench: Bench) -> None:
    prepared(bench, 300)
    bench.sql("CREATE TRIGGER full BEFORE INSERT ON scores BEGIN SELECT RAISE(ABORT, 'no room for this'); END")
    ended = bench.process("run", "sums", "-m", "drop:m")
    assert "no room for this" in ended.error(code=3)
    # It stops at once: what the ledger does not take may next be an answer.
    assert 1 <= len(calls(bench)) < 300
    assert bench.report()["models"][0]["outcomes"] == {"not_run": 300}
    bench.sql("DROP TRIGGER full")
    assert bench.cli("resume").code == 0
    assert bench.report()["models"][0]["score"] == 1.0
    assert len(calls(bench)) == 300


def test_a_ledger_that_refuses_claims_lets_no_call_out(bench: Bench) -> None:
    prepared(bench)
    bench.sql("CREATE TRIGGER full BEFORE INSERT ON calls BEGIN SELECT RAISE(ABORT, 'no room for this'); END")
    ended = bench.process("run", "sums", "-m", "drop:m")
    assert "no room for this" in ended.error(code=3)
    assert ended.err.count("\n") == 3
    assert calls(bench) == []


def test_a_finished_run_that_is_resumed_asks_nothing_again(bench: Bench) -> None:
    prepared(bench, 5)
    assert bench.cli("run", "sums", "-m", "drop:m").code == 0
    before = bench.report()
    assert bench.cli("resume").code == 0
    assert len(calls(bench)) == 5
    assert bench.report() == before


def test_a_resumed_run_keeps_the_prices_that_it_froze(bench: Bench) -> None:
    prepared(bench, 4)
    bench.sql("CREATE TRIGGER full BEFORE INSERT ON answers BEGIN SELECT RAISE(ABORT, 'no room'); END")
    assert bench.cli("run", "sums", "-m", "drop:m").code == 3
    bench.sql("DROP TRIGGER full")
    config = json.loads((bench.root / "providers/drop/config.json").read_text())
    config["llm_models"][0] |= {"cost_input": 100, "cost_output": 200}
    bench.write("providers/drop/config.json", config)
    assert bench.cli("resume").code == 0
    # 4 x (10 x 1 + 1 x 2) millionths, as when the run began.
    assert [row["cost_usd"] for row in bench.report()["results"]] == ["0.000012"] * 4


def test_a_task_or_its_samples_that_changed_are_not_resumed(bench: Bench) -> None:
    prepared(bench, 4)
    bench.sql("CREATE TRIGGER full BEFORE INSERT ON answers BEGIN SELECT RAISE(ABORT, 'no room'); END")
    assert bench.cli("run", "sums", "-m", "drop:m").code == 3
    bench.sql("DROP TRIGGER full")
    hint = "Start a new run, or bring the files back to what they were."
    bench.task(samples=5)
    said = bench.cli("resume").error()
    assert said.startswith('the samples of the task "sums" changed since the run ')
    assert hint in said
    bench.task(samples=4, prompt="Q: {{ input }}")
    assert bench.cli("resume").error().startswith('the prompt, schema or scorer of the task "sums" changed')
    bench.write("tasks/sums/samples.jsonl", "broken")
    assert "cannot go on: " in bench.cli("resume").error()
    (bench.root / "tasks/sums").rename(bench.root / "tasks/gone")
    assert bench.cli("resume").error().startswith('the task "sums" is no longer at ')
    assert len(calls(bench)) > 0
    before = len(calls(bench))
    bench.task(samples=4)
    assert bench.cli("resume").code == 0
    assert bench.report()["models"][0]["score"] == 1.0
    assert len(calls(bench)) == before + 4
