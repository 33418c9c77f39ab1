"""A bundled task written out in the LLM Tester layout: model.py, and a source, a prompt and a gold for each sample."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from llm_tester.evals.tasks import Task

HEAD = "from typing import Literal\n\nfrom pydantic import BaseModel, ConfigDict, Field, RootModel\n\n\n"
PYTHON = {"string": "str", "number": "int | float", "integer": "int", "null": "None"}
LIMITS = {"pattern": "pattern", "minLength": "min_length", "minimum": "ge", "exclusiveMinimum": "gt"}


def export(task: Task, parent: Path) -> Path:
    """Write the task out below `parent` and return its folder, which has no task.json."""
    folder = parent / task.name
    for name in ("sources", "prompts", "expected"):
        (folder / "tests" / name).mkdir(parents=True)
    asked, _, rest = task.prompts[""].partition("\n\n{{ input }}")
    assert rest == ""
    for sample in task.samples():
        (folder / f"tests/sources/{sample.id}.txt").write_text(sample.input, "utf-8", newline="")
        (folder / f"tests/prompts/{sample.id}.txt").write_text(asked + "\n", "utf-8")
        gold = json.dumps(sample.target, ensure_ascii=False, indent=2, default=float)
        (folder / f"tests/expected/{sample.id}.json").write_text(gold, "utf-8")
    (folder / "model.py").write_text(_model(task), "utf-8")
    return folder


def _model(task: Task) -> str:
    scorer = task.config.scorer.model_dump(mode="json", exclude_unset=True)
    if task.output is None:
        config = f"ConfigDict(json_schema_extra={{'scorer': {scorer!r}}})"
        return f"{HEAD}class Answer(RootModel[str]):\n    model_config = {config}\n"
    own = task.folder / "model.py"
    if own.exists():
        code, rules = own.read_text("utf-8"), scorer["fields"]
        for path, rule in rules.items():
            name = path.rpartition(".")[2]
            before, found, after = code.partition(f"    {name}: ")
            assert found, path
            code = before + found + after.replace("Field(", f"Field(json_schema_extra={{'scorer': {rule!r}}}, ", 1)
        return code
    return HEAD + _class(dict(task.output.json_schema), scorer["fields"])


def _class(schema: dict[str, Any], rules: dict[str, Any]) -> str:
    lines = [f"class {schema['title']}(BaseModel):", "    model_config = ConfigDict(extra='forbid', strict=True)", ""]
    for name, part in schema["properties"].items():
        assert set(part) <= {"type", "description", "enum", *LIMITS}, part
        kinds = part["type"] if isinstance(part["type"], list) else [part["type"]]
        written = " | ".join(PYTHON[kind] for kind in kinds)
        options = [f"{LIMITS[key]}={value!r}" for key, value in part.items() if key in LIMITS]
        options += [f"json_schema_extra={{'scorer': {rules[name]!r}}}"] if name in rules else []
        kind = f"Literal{part['enum']!r}" if "enum" in part else written
        lines.append(f"    {name}: {kind} = Field({', '.join(options)})")
    return "\n".join(lines) + "\n"
