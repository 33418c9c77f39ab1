"""The worked examples of docs/tasks.md, run as they are written."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from llm_tester.evals.scorers import SCORERS
from tests.evals.conftest import Bench

DOCS = Path(__file__).parents[3] / "docs/tasks.md"
_BLOCK = re.compile(r"^```(json|python)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def examples() -> Iterator[tuple[dict[str, Any], str]]:
    """Each example of the chapter on scorers, with the Python code that stands before it."""
    chapter = DOCS.read_text("utf-8").partition("\n## Scorers\n")[2].partition("\n## ")[0]
    code = ""
    for language, text in _BLOCK.findall(chapter):
        if language == "python":
            code = text
        else:
            yield json.loads(text), code


EXAMPLES = list(examples())
NAMES = [example["scorer"]["type"] for example, _ in EXAMPLES]


def test_every_scorer_has_an_example() -> None:
    assert {name.partition(":")[0] for name in NAMES} == {*SCORERS, "python"}


@pytest.mark.parametrize(("example", "code"), EXAMPLES, ids=NAMES)
def test_an_example_scores_what_it_says(bench: Bench, example: dict[str, Any], code: str) -> None:
    answers = {f"s{n}": answer for n, (answer, _, _) in enumerate(example["answers"])}
    samples = [{"id": name, "input": "?", "target": example["target"]} for name in answers]
    output = {"output": {"schema": "schema.json"}} if "schema" in example else {}
    folder = bench.task("shown", samples, scorer=example["scorer"], **output)
    (folder / "marks.py").write_text(code)
    (folder / "schema.json").write_text(json.dumps(example.get("schema", {})))
    texts = {name: text if isinstance(text, str) else json.dumps(text) for name, text in answers.items()}
    bench.replay("fake", {"m": texts})
    assert bench.cli("run", "shown", "-m", "fake:m").code == 0
    rows = [bench.results()[(name, "fake:m")] for name in answers]
    found = [
        [answer, round(row["score"], 3), row["outcome"]] for answer, row in zip(answers.values(), rows, strict=True)
    ]
    assert found == example["answers"]


@pytest.mark.parametrize(("example", "code"), EXAMPLES, ids=NAMES)
def test_a_task_with_it_can_be_checked(bench: Bench, example: dict[str, Any], code: str) -> None:
    output = {"output": {"schema": "schema.json"}} if "schema" in example else {}
    folder = bench.task("shown", [{"input": "?", "target": example["target"]}], scorer=example["scorer"], **output)
    (folder / "marks.py").write_text(code)
    (folder / "schema.json").write_text(json.dumps(example.get("schema", {})))
    checked = bench.cli("tasks", "check", "shown")
    assert checked.code == 0
    assert ("scores 1.000 against itself" in checked.out) == (example["scorer"] != {"type": "regex"})
