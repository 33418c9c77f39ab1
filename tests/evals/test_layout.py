"""Folders in the LLM Tester layout, read as they stand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from llm_tester.evals.layout import layout_config, layout_name
from llm_tester.evals.tasks import Task
from llm_tester.llms.provider_factory import builtin_folder
from tests.evals.layout_export import export

if TYPE_CHECKING:
    from tests.evals.conftest import Bench

MODEL = "from pydantic import BaseModel\n\nclass Bill(BaseModel):\n    vendor: str\n    total: float | None\n"


@pytest.fixture
def bills(bench: Bench) -> Path:
    """Two samples in the layout, in a folder beside the workspace's tasks."""
    bench.write("bills/model.py", MODEL)
    for name, total in (("alder", 42.5), ("birch", None)):
        bench.write(f"bills/tests/sources/{name}.txt", f"{name.title()} wants {total}.\n")
        bench.write(f"bills/tests/prompts/{name}.txt", "Vendor and total as JSON.\n")
        bench.write(f"bills/tests/expected/{name}.json", {"vendor": name.title(), "total": total})
    return bench.root / "bills"


def test_a_folder_is_checked_and_run_without_a_task_json(bench: Bench, bills: Path) -> None:
    checked = bench.cli("tasks", "check", "bills")
    assert checked.code == 0, checked
    assert "bills: 2 samples." in checked.out
    assert "Vendor and total as JSON.\n\nAlder wants 42.5.\n" in checked.out
    bench.replay("rep", {"m": {"alder": '{"vendor": "Alder", "total": 42.5}', "birch": '{"vendor": "Oak"}'}})
    ended = bench.cli("run", str(bills), "-m", "rep:m", "--json")
    assert ended.code == 0, ended.err
    assert {key[0]: row["score"] for key, row in bench.results().items()} == {"alder": 1.0, "birch": 0.0}


def test_a_folder_in_the_workspace_s_tasks_is_listed(bench: Bench, bills: Path) -> None:
    bills.rename(bench.root / "tasks" / "bills")
    rows = {row["name"]: row for row in bench.cli("tasks", "list", "--json").json}
    assert (rows["bills"]["scorer"], rows["bills"]["source"]) == ("fields", "workspace")
    assert bench.cli("tasks", "check", "bills").code == 0


@pytest.mark.parametrize(
    ("gone", "said"),
    [
        ("tests/expected/birch.json", "birch.txt has no target ({root}/tests/expected/birch.json or .txt)"),
        ("tests/prompts/birch.txt", "birch.txt has no prompt ({root}/tests/prompts/birch.txt)"),
        ("tests/sources/birch.txt", "birch.json has no input (a file birch.* in {root}/tests/sources)"),
        ("model.py", "model.py: there is no such Python file"),
    ],
)
def test_a_missing_counterpart_is_named(bench: Bench, bills: Path, gone: str, said: str) -> None:
    (bills / gone).unlink()
    assert said.format(root=bills) in bench.cli("tasks", "check", "bills").error()


def test_all_missing_counterparts_are_listed(bench: Bench, bills: Path) -> None:
    for n in range(15):
        bench.write(f"bills/tests/sources/more{n:02}.txt", "x")
    said = bench.cli("tasks", "check", "bills").error()
    assert "more00.txt has no target" in said
    assert "and prompt (" in said
    assert "more09.txt" in said
    assert "more10.txt" not in said
    assert "and 5 more" in said
    for file in (bills / "tests" / "expected").iterdir():
        file.unlink()
    (bills / "tests" / "expected").rmdir()
    assert "tests/expected: the folder cannot be read: No such file" in bench.cli("tasks", "check", "bills").error()


def test_a_task_json_beside_it_comes_first(bench: Bench, bills: Path) -> None:
    samples = {"file": ".", "inputs": "tests/sources", "targets": "tests/expected"}
    config = {"name": "mine", "prompt": "Read: {{ input }}", "samples": samples, "scorer": {"type": "fields"}}
    bench.write("bills/task.json", config)
    task = Task.load(bills)
    assert task.name == "mine"
    assert next(task.messages(sample)[-1].content for sample in task.samples()) == "Read: Alder wants 42.5.\n"


def test_a_bad_rule_in_the_class_is_named(bench: Bench, bills: Path) -> None:
    rule = "Field(json_schema_extra={'scorer': {'type': 'number', 'tolerence': 1}})"
    bench.write(
        "bills/model.py", f"from pydantic import BaseModel, Field\nclass B(BaseModel):\n    total: float = {rule}\n"
    )
    said = bench.cli("tasks", "check", "bills").error()
    assert 'model.py: scorer.fields.total.tolerence: unknown key "tolerence"' in said


def test_a_name_is_made_of_the_letters_that_a_name_may_have(tmp_path: Path) -> None:
    assert layout_name(tmp_path / "job ads, 2") == "job-ads-2"
    assert layout_name(tmp_path / "---") == "task"


@pytest.mark.parametrize(
    ("schema", "scorer"),
    [
        ({"type": "number"}, {"type": "numeric"}),
        ({"type": "string"}, {"type": "exact"}),
        ({"type": "string", "scorer": {"type": "numeric"}}, {"type": "numeric"}),
        (
            {"type": "object", "properties": {"d": {"format": "date"}}},
            {"type": "fields", "fields": {"d": {"type": "date"}}},
        ),
    ],
)
def test_the_scorer_follows_the_class(schema: dict[str, Any], scorer: dict[str, Any]) -> None:
    assert layout_config("x", schema)["scorer"] == scorer


def test_rules_are_found_in_parts_and_lists_however_deep() -> None:
    node = {"properties": {"when": {"anyOf": [{"format": "date"}, {"type": "null"}]}, "next": {"$ref": "#/$defs/Node"}}}
    schema = {"properties": {"items": {"items": {"$ref": "#/$defs/Node"}}}, "$defs": {"Node": node}}
    found = layout_config("x", schema)["scorer"]["fields"]
    assert found["items[].when"] == found["items[].next.when"] == {"type": "date"}


@pytest.mark.parametrize("name", ["expense_claims", "purchase_orders", "word_problems"])
def test_a_bundled_task_in_the_layout_gives_the_scores_of_its_twin(bench: Bench, tmp_path: Path, name: str) -> None:
    mock = builtin_folder("providers") / "mock" / f"{name}.jsonl"
    answers: dict[str, dict[str, Any]] = {}
    for line in map(json.loads, mock.read_text("utf-8").splitlines()):
        for model, play in line["plays"].items():
            text = play.get("answer", line["answer"]) or ""
            answers.setdefault(model, {})[line["id"]] = {"answer": text}
    bench.replay("rep", answers)
    folder = export(Task.load(builtin_folder("tasks") / name), tmp_path / "out")
    assert not (folder / "task.json").exists()
    models = [part for model in answers for part in ("-m", f"rep:{model}")]
    scores = []
    for task in (name, str(folder)):
        assert bench.cli("tasks", "check", task).code == 0
        ended = bench.cli("run", task, *models, "--json")
        assert ended.code == 0, ended.err
        # How a breach of the schema is worded is the checker's; that there is one is not.
        scores.append(
            {
                key: (row["score"], row["outcome"], row.get("fields"), "violations" in row)
                for key, row in bench.results().items()
            }
        )
    twin, ours = scores
    assert ours == twin
    assert len({score[0] for score in twin.values()}) > 1
