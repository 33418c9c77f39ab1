"""A run as Markdown."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.evals.conftest import Bench


@pytest.fixture
def done(bench: Bench) -> Bench:
    """A run of two models, of which one has no answer to a sample and an odd name."""
    usage = {"prompt_tokens": 10, "completion_tokens": 2}
    bench.task(description="Sums | <b>all</b> right")
    bench.replay(
        "rep",
        {
            "good": {f"s{n}": {"answer": str(n + 1), "usage": usage} for n in (1, 2, 3)},
            "poor": {"s1": "2", "s2": "5"},
        },
    )
    entrants = ["rep:good", {"name": "po|or\x1b[31m*", "model": "rep:poor"}]
    bench.write("config.json", {"run": {"tasks": ["sums"], "entrants": entrants, "project": "my_project"}})
    assert bench.cli("run", "--name", "first_run").code == 3
    return bench


def test_the_whole_report(done: Bench) -> None:
    text = done.cli("report", "last").out
    run = done.cli("runs", "list", "--json").json[0]["run"]
    text = re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d UTC", "DAY UTC", text.replace(run, "RUN"))
    assert (
        text
        == r"""# Run first\_run (RUN)

incomplete, begun DAY UTC, project my\_project

> All models are simulated or replayed: costs are at their catalogue's rates, and nothing was spent.

> 1 call brought no answer and is left out of the scores; entrants are ranked on the samples they share.

> The cost of 2 calls is unknown; sums hold what is known.

## sums

Sums \| &lt;b&gt;all&lt;/b&gt; right

| Entrant | Score | 95 % interval | Outcomes | Tokens in / out | Cost | Latency p50 / p95 | Coverage |
| --- | --- | --- | --- | --- | --- | --- | --- |
| rep:good (simulated) | 1.000 | 0.439–1.000 | 3 correct | 30 / 6 | $0.000042 | – | 3/3 |
| po\|or\* (simulated) | 0.500 | 0.095–0.905 | 1 correct, 1 wrong, 1 error | – | unknown | – | 2/3 |

rep:good scores best (1.000, $0.000042); not surely better than po\|or\* on 2 shared samples.

## Prices used

| Entrant | USD per 1M tokens | Source | Priced on | Host |
| --- | --- | --- | --- | --- |
| rep:good | input 1, output 2, reasoning 2 | catalogue | – | in this process |
| po\|or\* | input 1, output 2, reasoning 2 | catalogue | – | in this process |

## Errors

| Entrant | Error | Calls |
| --- | --- | --- |
| po\|or\* | BadRequestError: no recorded answer for the sample "s3" | 1 |
"""
    )


def test_the_report_of_a_run_is_written_into_the_reports_folder(done: Bench) -> None:
    run = done.cli("runs", "list", "--json").json[0]["run"]
    assert (done.root / "reports" / f"{run}.md").read_text("utf-8") == done.cli("report", "last").out


def test_every_row_of_a_table_has_as_many_cells_as_its_head(done: Bench) -> None:
    lines = [line for line in done.cli("report", "last").out.splitlines() if line.startswith("|")]
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in lines} == {9, 6, 4}
