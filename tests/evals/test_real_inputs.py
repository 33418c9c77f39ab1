"""Real questions, real answers of real models, real receipts."""

from __future__ import annotations

import json
import os
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.evals.conftest import Bench

# Read when this file is: the environment is cleaned for each test.
DATA = Path(os.environ.get("LLM_TESTER_TEST_DATA", ""))

pytestmark = pytest.mark.skipif(
    not os.environ.get("LLM_TESTER_TEST_DATA"), reason="LLM_TESTER_TEST_DATA does not name the folder of real inputs"
)


def read_lines(file: Path) -> list[dict[str, Any]]:
    with file.open(encoding="utf-8") as opened:
        return [json.loads(line) for line in opened]


def recorded(bench: Bench, **files: Path) -> None:
    """A provider that replays these files."""
    bench.write("providers/recorded/config.json", {"name": "recorded", "api": "replay", "llm_models": []})
    models = [{"name": name, "answers": str(file)} for name, file in files.items()]
    bench.write("config.json", {"providers": {"recorded": {"llm_models": models}}})


def test_every_verdict_on_gsm8k_is_the_publishers(bench: Bench) -> None:
    models = {"small": "answers_6b_finetuning.jsonl", "large": "answers_175b_verification.jsonl"}
    files = {name: DATA / "gsm8k" / file for name, file in models.items()}
    recorded(bench, **files)
    bench.write(
        "tasks/gsm8k/task.json",
        {
            "name": "gsm8k",
            "prompt": "{{ input }}",
            "samples": str(DATA / "gsm8k" / "samples.jsonl"),
            "scorer": {"type": "numeric"},
        },
    )
    ended = bench.cli("run", "gsm8k", "-m", "recorded:small", "-m", "recorded:large", "--json")
    assert ended.code == 0, ended.err
    scores = {model["model"]: (model["score"], model["samples"]) for model in ended.json["models"]}
    assert scores == {"recorded:small": (286 / 1319, 1319), "recorded:large": (742 / 1319, 1319)}
    published = {
        (row["id"], f"recorded:{name}"): row["is_correct"] for name, file in files.items() for row in read_lines(file)
    }
    ours = {key: row["outcome"] == "correct" for key, row in bench.results().items()}
    assert len(ours) == 2638
    assert [key for key in published if published[key] != ours[key]] == []


@pytest.fixture
def receipts(bench: Bench) -> list[dict[str, Any]]:
    """The receipts as a task, and models that replay the golds, whole and without the total."""
    rows = read_lines(DATA / "receipts" / "samples.jsonl")
    bench.write(
        "tasks/receipts/task.json",
        {
            "name": "receipts",
            "prompt": "Read company, date, address and total off this receipt.\n\n{{ input }}",
            "samples": str(DATA / "receipts" / "samples.jsonl"),
            "scorer": {"type": "fields", "fields": {"date": {"type": "date", "day_first": True}}},
        },
    )
    golds = {row["id"]: row["expected"] for row in rows}
    without = {name: {key: text for key, text in gold.items() if key != "total"} for name, gold in golds.items()}
    answers = {
        model: {name: json.dumps(gold) for name, gold in given.items()}
        for model, given in (("golds", golds), ("without", without))
    }
    bench.replay("recorded", answers)
    return rows


def test_the_receipts_are_a_sound_task(bench: Bench, receipts: list[dict[str, Any]]) -> None:
    ended = bench.cli("tasks", "check", "receipts")
    assert ended.code == 0, ended
    assert "receipts: 313 samples." in ended.out
    assert "Every gold satisfies its schema and scores 1.000 against itself." in ended.out
    chance = float(ended.out.partition("Golds shuffled among samples score ")[2].partition(".\n")[0])
    assert chance <= 0.05
    assert "Warning" not in ended.out


def test_replayed_golds_are_right_and_a_lost_total_costs_its_leaf(bench: Bench, receipts: list[dict[str, Any]]) -> None:
    ended = bench.cli("run", "receipts", "-m", "recorded:golds", "-m", "recorded:without", "--json")
    assert ended.code == 0, ended.err
    whole, without = ended.json["models"]
    assert (whole["score"], whole["outcomes"]) == (1.0, {"correct": 313})
    # 312 receipts have four fields, one has three.
    assert sorted(len(row["expected"]) for row in receipts)[:2] == [3, 4]
    assert without["score"] == pytest.approx(float((312 * Fraction(3, 4) + Fraction(2, 3)) / 313), abs=1e-12)
    assert without["outcomes"] == {"partial": 313}
