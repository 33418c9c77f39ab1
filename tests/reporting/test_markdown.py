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
    text = done.cli("report", "last", "--format", "md").out
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

### Leaderboard

| Rank | Entrant | Score | 95 % interval | Cost per sample | Cost per correct answer | Total cost | Without cache discount | Scored | Latency p50 / p95 |
| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |
| 1 | rep:good | 1.000 | 0.439–1.000 | $0.000014 | $0.000014 | $0.000042 | $0.000042 | 3/3 | – |
| 2 | po\|or\* | 0.500 | 0.095–0.905 | unknown | unknown | unknown (2 calls, no bound) | unknown | 2/3 | – |

### Cost by token class

USD to the last digit; an answer of unknown usage has no line here.

| Entrant | Class | Tokens | USD per 1M | USD |
| --- | --- | --- | --- | --- |
| rep:good | input | 30 | 1 | 0.00003 |
| rep:good | output | 6 | 2 | 0.000012 |
| rep:good | all | 36 |  | 0.000042 |
| po\|or\* | all | 0 |  | unknown |

### Cost by outcome

A retry repeats an attempt that failed; what such an attempt cost is no part of the sum.

| Entrant | Outcome | Calls | USD | Per call |
| --- | --- | --- | --- | --- |
| rep:good | correct | 3 | 0.000042 | $0.000014 |
| rep:good | all | 3 | 0.000042 |  |
| po\|or\* | correct | 1 | unknown | unknown (1 call, no bound) |
| po\|or\* | wrong | 1 | unknown | unknown (1 call, no bound) |
| po\|or\* | error | 1 | 0 | $0 |
| po\|or\* | all | 3 | unknown |  |

### Projected cost

From the mean cost of a sample; in brackets its 95 % interval (Student's t), for samples like these.

| Entrant | 1,000 samples | 10,000 | 100,000 | 1,000,000 |
| --- | --- | --- | --- | --- |
| rep:good | $0.014 ($0.014–$0.014) | $0.14 ($0.14–$0.14) | $1.40 ($1.40–$1.40) | $14.00 ($14.00–$14.00) |
| po\|or\* | unknown | unknown | unknown | unknown |

## Prices used

| Entrant | Holds | USD per 1M tokens | Source | Priced on | Host |
| --- | --- | --- | --- | --- | --- |
| rep:good | all | input 1, output 2, reasoning 2 | catalogue | – | in this process |
| po\|or\* | all | input 1, output 2, reasoning 2 | catalogue | – | in this process |

## Errors

| Entrant | Error | Calls |
| --- | --- | --- |
| po\|or\* | BadRequestError: no recorded answer for the sample "s3" | 1 |
"""  # noqa: E501
    )


def test_the_report_of_a_run_is_written_into_the_reports_folder(done: Bench) -> None:
    run = done.cli("runs", "list", "--json").json[0]["run"]
    assert (done.root / "reports" / f"{run}.md").read_text("utf-8") == done.cli("report", "last", "--format", "md").out


def test_every_row_of_a_table_has_as_many_cells_as_its_head(done: Bench) -> None:
    lines = [line for line in done.cli("report", "last", "--format", "md").out.splitlines() if line.startswith("|")]
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in lines} == {11, 9, 7, 6, 4}
