"""What the failures of a drop-in provider lead to."""

from __future__ import annotations

import pytest

from tests.evals.conftest import Bench
from tests.evals.drop_ins import LOGGING, NO_RETRY, calls

FAILING = (
    LOGGING
    + """
from llm_tester import OverloadedError, AuthenticationError

class Odd(BaseLLM):
    def _call_llm_api(self, prompt, system_prompt, model_name, model_config):
        sample, attempt = model_config.tags["sample_id"], model_config.tags["attempt"]
        log(sample=sample, attempt=attempt)
        if sample == "s1":
            return 1 / 0
        if sample == "s2":
            return "no usage"
        if sample == "s3":
            return "4", {"promt_tokens": 1}
        if sample == "s4" and attempt < 3:
            raise OverloadedError("busy", status=503)
        if sample == "s5":
            raise AuthenticationError("key \\ud83d refused", status=401)
        return right(prompt)
"""
)


@pytest.mark.parametrize("signature", ["def", "async def"])
def test_a_provider_s_failures_are_outcomes_and_the_run_goes_on(bench: Bench, signature: str) -> None:
    bench.task(samples=6)
    bench.write("config.json", {"run": {"canary": False}, "retry": {"max_retries": 2, "initial_delay": 0}})
    bench.provider("drop", FAILING.replace("def _call", f"{signature} _call"))
    ended = bench.cli("run", "sums", "-m", "drop:m", "--json")
    assert ended.code == 3
    assert (ended.json["status"], ended.json["models"][0]["outcomes"]) == ("incomplete", {"correct": 2, "error": 4})
    rows = {sample: row for (sample, _), row in bench.results().items()}
    assert {sample: row.get("error") for sample, row in rows.items()} == {
        "s1": "ProviderError: Odd (provider.py:26): ZeroDivisionError: division by zero",
        "s2": "BadResponseError: Odd._call_llm_api returned str, not (text, usage)",
        "s3": 'BadResponseError: the usage has an unknown key "promt_tokens"',
        "s4": None,
        "s5": "AuthenticationError: key ? refused",
        "s6": None,
    }
    assert {sample: row["attempts"] for sample, row in rows.items()} == {
        "s1": 1, "s2": 1, "s3": 1, "s4": 3, "s5": 1, "s6": 1,
    }  # fmt: skip
    shown = bench.cli("show", "last").out
    assert "1 x drop:m: ProviderError: Odd (provider.py:26): ZeroDivisionError: division by zero" in shown
    assert "4 calls brought no answer and are left out of the scores" in shown
    tried = bench.sql(
        "SELECT number, a.status, a.error FROM attempts a JOIN calls USING (call) JOIN plan USING (run, position)"
        " WHERE sample_id = 's4' ORDER BY number"
    )
    assert tried == [
        (1, 503, "OverloadedError"),
        (2, 503, "OverloadedError"),
        (3, None, None),
    ]


def test_errors_are_not_asked_again_when_the_run_is_resumed(bench: Bench) -> None:
    bench.task(samples=6)
    bench.write("config.json", {"run": {"canary": False}, "retry": {"max_retries": 2, "initial_delay": 0}})
    bench.provider("drop", FAILING)
    assert bench.cli("run", "sums", "-m", "drop:m").code == 3
    before = len(calls(bench))
    assert bench.cli("resume").code == 3
    assert len(calls(bench)) == before


SLOW = (
    LOGGING
    + """
class Slow(BaseLLM):
    def _call_llm_api(self, prompt, system_prompt, model_name, model_config):
        if model_config.tags["sample_id"] == "s1":
            threading.Event().wait(1)
        return right(prompt)
"""
)


def test_a_call_that_takes_too_long_is_an_error_of_unknown_cost(bench: Bench) -> None:
    bench.task(samples=3)
    bench.write("config.json", NO_RETRY)
    bench.provider("drop", SLOW, timeout=0.05)
    ended = bench.cli("run", "sums", "-m", "drop:m", "--json")
    assert ended.code == 3
    (model,) = ended.json["models"]
    assert (model["outcomes"], model["cost_unknown_calls"]) == ({"correct": 2, "error": 1}, 1)
    assert model["cost_usd"] == model["spent_usd"] == "0.000024"
    row = bench.results()["s1", "drop:m"]
    assert row["error"] == "ProviderTimeoutError: no answer within 0.05 s"
    assert row["latency_ms"] >= 50
    assert "The cost of 1 call is unknown; sums hold what is known." in bench.cli("show", "last").out
