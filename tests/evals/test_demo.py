"""The demonstration: its figures, pinned, and some of them worked by hand."""

from __future__ import annotations

import json
import shutil
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from llm_tester.evals.demo import TASKS
from llm_tester.llms.provider_factory import builtin_folder

if TYPE_CHECKING:
    from tests.evals.conftest import Bench

EXPECTED = {
    # task, model: score, outcomes, tokens in, tokens out, cost in USD
    ("purchase_orders", "careful"): (0.9892857142857142, {"correct": 26, "partial": 2}, 7960, 3173, "0.05163"),
    ("purchase_orders", "thrifty"): (0.9517838246409676, {"correct": 22, "partial": 6}, 7817, 2623, "0.00268875"),
    ("purchase_orders", "chatty"): (
        0.8551587301587301,
        {"correct": 22, "partial": 2, "truncated": 2, "invalid": 2},
        7496,
        4888,
        "0.0255488",
    ),
    ("purchase_orders", "sloppy"): (
        0.7179138321995466,
        {"correct": 4, "partial": 18, "wrong": 2, "invalid": 2, "empty": 2},
        7492,
        2083,
        "0.0007912",
    ),
    ("purchase_orders", "flaky"): (
        0.7992592592592592,
        {"correct": 19, "partial": 1, "refused": 2, "truncated": 2, "empty": 1, "error": 3},
        6691,
        3384,
        "0.0080908",
    ),
    ("expense_claims", "careful"): (0.9869047619047618, {"correct": 26, "partial": 2}, 5825, 1298, "0.0275425"),
    ("expense_claims", "thrifty"): (0.9440476190476189, {"correct": 22, "partial": 6}, 5815, 971, "0.00142605"),
    ("expense_claims", "chatty"): (
        0.8511904761904762,
        {"correct": 23, "partial": 1, "truncated": 2, "invalid": 2},
        5643,
        2354,
        "0.0139304",
    ),
    ("expense_claims", "sloppy"): (
        0.6447278911564626,
        {"correct": 6, "partial": 15, "wrong": 2, "invalid": 3, "empty": 2},
        5639,
        843,
        "0.00045055",
    ),
    ("expense_claims", "flaky"): (
        0.7933333333333333,
        {"correct": 19, "partial": 1, "refused": 2, "truncated": 2, "empty": 1, "error": 3},
        5045,
        1493,
        "0.0044068",
    ),
    ("word_problems", "careful"): (0.9333333333333333, {"correct": 28, "wrong": 2}, 2471, 1114, "0.0173175"),
    ("word_problems", "thrifty"): (0.7666666666666667, {"correct": 23, "wrong": 7}, 2442, 483, "0.0006513"),
    ("word_problems", "chatty"): (0.9333333333333333, {"correct": 28, "truncated": 2}, 2436, 1689, "0.0087048"),
    ("word_problems", "sloppy"): (
        0.5333333333333333,
        {"correct": 16, "wrong": 11, "invalid": 2, "empty": 1},
        2407,
        107,
        "0.00014175",
    ),
    ("word_problems", "flaky"): (
        0.7407407407407407,
        {"correct": 20, "wrong": 1, "refused": 2, "truncated": 3, "empty": 1, "error": 3},
        2149,
        1521,
        "0.0032932",
    ),
}
TOTAL = "0.1666144"


@pytest.fixture
def shown(bench: Bench) -> dict[str, Any]:
    """What `report` says of a demonstration."""
    ended = bench.cli("demo")
    assert (ended.code, ended.err) == (0, "")
    return bench.report()


def test_the_figures_of_every_model_on_every_task(shown: dict[str, Any]) -> None:
    found: dict[Any, Any] = {
        (model["task"], model["model"].removeprefix("mock:")): (
            pytest.approx(model["score"], abs=1e-12),
            model["outcomes"],
            model["usage"]["input"],
            model["usage"]["output"],
            model["cost_usd"],
        )
        for model in shown["models"]
    }
    assert found == EXPECTED
    assert {(model["spent_usd"], model["cost_unknown_calls"], model["simulated"]) for model in shown["models"]} == {
        ("0", 0, True)
    }


def test_the_rows_add_up_to_the_totals(shown: dict[str, Any]) -> None:
    sums: dict[tuple[str, str], Fraction] = {}
    for row in shown["results"]:
        key = (row["task"], row["entrant"])
        sums[key] = sums.get(key, Fraction(0)) + Fraction(row["cost_usd"] or 0)
    assert {key: Fraction(value) for key, value in sums.items()} == {
        (model["task"], model["entrant"]): Fraction(model["cost_usd"]) for model in shown["models"]
    }
    assert sum(sums.values()) == Fraction(TOTAL)


def test_scores_and_costs_worked_by_hand(shown: dict[str, Any]) -> None:
    rows = {(row["sample_id"], row["model"].removeprefix("mock:")): row for row in shown["results"]}

    def is_scored(sample: str, model: str, value: Fraction, outcome: str) -> None:
        row = rows[sample, model]
        assert (pytest.approx(float(value), abs=1e-12), outcome) == (row["score"], row["outcome"])

    # Leaves: order_number "TB 4" for "TB 4 / 026" 0, company 1, city 1, currency 1 (contact is null in both).
    # The list of items is one leaf: 2 of 3 items given, each whole, so F1 = 2 x 2 / (3 + 2) = 4/5.
    # (0 + 1 + 1 + 1 + 4/5) / 5
    is_scored("po-023", "thrifty", Fraction(19, 25), "partial")
    # order_number 1, company 1, contact 1, city missing 0, currency 1; items: two of the three have a wrong quantity
    # and so 2 of 3 leaves, F1 = 2 x (2/3 + 1 + 2/3) / (3 + 3) = 7/9. (4 + 7/9) / 6
    is_scored("po-013", "thrifty", Fraction(43, 54), "partial")
    # No order_number in gold and answer; company, contact, city, currency 1 each; of the two items one is whole, the
    # other has neither name nor quantity right, F1 = 2 x 1 / (2 + 2) = 1/2. (4 + 1/2) / 5
    is_scored("po-017", "careful", Fraction(9, 10), "partial")
    # merchant 1, date 4 March for 3 April 0, currency 1, total 33 for 31.50 0, category 1 (tax is null in both)
    is_scored("ec-002", "thrifty", Fraction(3, 5), "partial")
    # merchant, date, currency, total, category 1 each, tax missing 0, litres invented 0: 5 of 7
    is_scored("ec-007", "sloppy", Fraction(5, 7), "partial")
    # All six right by value ("09/01/2026" with the day first, "37,30", "3,39"), but numbers as texts break the schema.
    is_scored("ec-003", "sloppy", Fraction(1), "partial")
    assert len(rows["ec-003", "sloppy"]["violations"]) == 2
    # "1,050 leaflets" is 1050; "Answer: 391" is not 387.6; "elf bis zwölf Pakete" has no number in it.
    is_scored("wp-001", "sloppy", Fraction(1), "correct")
    is_scored("wp-003", "thrifty", Fraction(0), "wrong")
    is_scored("wp-025", "sloppy", Fraction(0), "invalid")

    def costs(sample: str, model: str, usage: dict[str, int], usd: str) -> None:
        assert (rows[sample, model]["usage"], rows[sample, model]["cost_usd"]) == (usage, usd)

    # Prompt 199 + question 106 = 305 bytes, / 4 = 76.25: 77 tokens in; "1,050 leaflets" 14 bytes: 4 tokens out.
    # 77 x 0.05 + 4 x 0.20 = 3.85 + 0.80 = 4.65 millionths of a dollar
    costs("wp-001", "sloppy", {"input": 77, "output": 4}, "0.00000465")
    # Prompt 625 + note 139 = 764 bytes, / 4 = 191 tokens in; an answer of 116 bytes: 29 tokens out.
    # 191 x 0.15 + 29 x 0.60 = 28.65 + 17.40 = 46.05
    costs("ec-002", "thrifty", {"input": 191, "output": 29}, "0.00004605")
    # 64 of the 118 tokens in are read from the cache: 54 x 0.15 + 64 x 0.075 + 49 x 0.60 = 8.1 + 4.8 + 29.4 = 42.3
    costs("wp-020", "thrifty", {"input": 118, "cached_input": 64, "output": 49}, "0.0000423")
    # 158 of the 212 tokens out are reasoning, billed as output: 104 x 2.50 + 212 x 10 = 260 + 2120 = 2380
    costs("wp-003", "careful", {"input": 104, "output": 212, "reasoning": 158}, "0.00238")


def test_outside_a_workspace_the_demonstration_makes_one_and_uses_it_again(bench: Bench, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    first = bench.elsewhere(empty, "demo")
    assert first.code == 0
    assert [path.name for path in empty.iterdir()] == ["llm-tester-demo"]
    assert "Next    cd llm-tester-demo && llm-tester show last --wrong" in first.out
    assert bench.elsewhere(empty, "demo").code == 0
    made = empty / "llm-tester-demo"
    assert len(bench.elsewhere(made, "runs", "list", "--json").json) == 2
    assert len(list((made / "reports").glob("*.html"))) == 2


@pytest.fixture
def own_mock(bench: Bench) -> Path:
    """A mock provider of the workspace's own, in place of the bundled one."""
    folder = bench.root / "providers" / "mock"
    shutil.copytree(builtin_folder("providers") / "mock", folder, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def test_a_changed_outcome_is_told_and_ends_with_1(bench: Bench, own_mock: Path) -> None:
    script = own_mock / "word_problems.jsonl"
    lines = [json.loads(line) for line in script.read_text("utf-8").splitlines()]
    (changed,) = (line for line in lines if line["id"] == "wp-001")
    changed["plays"]["careful"]["answer"] = "Answer: 1051"
    (removed,) = (line for line in lines if line["id"] == "wp-002")
    del removed["plays"]["careful"]
    script.write_text("".join(f"{json.dumps(line)}\n" for line in lines), "utf-8")
    ended = bench.cli("demo")
    assert ended.code == 1
    assert sorted(ended.err.splitlines()) == [
        "Not as scripted: word_problems / wp-001 / mock:careful: wrong, planned correct",
        "Not as scripted: word_problems / wp-002 / mock:careful: correct, planned nothing",
    ]


def test_a_mock_without_scripts_is_an_error(bench: Bench) -> None:
    bench.provider(
        "mock",
        """
        from llm_tester import BaseLLM
        class Own(BaseLLM):
            def _call_llm_api(self, prompt, system_prompt, model_name, model_config):
                return "x", {}
        """,
    )
    before = sorted(path for path in bench.snapshot() if "__pycache__" not in path)
    said = bench.cli("demo").error()
    assert said.startswith("the demonstration needs the bundled mock provider, this workspace has one of its own (Own)")
    assert sorted(path for path in bench.snapshot() if "__pycache__" not in path) == before


def test_the_tasks_of_the_demonstration_are_the_bundled_ones() -> None:
    assert {folder.name for folder in builtin_folder("tasks").iterdir() if folder.is_dir()} == set(TASKS)
