"""New workspaces and tasks that work as they stand."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from llm_tester.config import CONFIG_NAME, Workspace
from llm_tester.errors import ConfigurationError

_IGNORED = ".llm_tester/\nreports/\n.env\n"
_TASK = {
    "description": "What this task asks, in a line",
    "prompt": "Which company wrote this, and what does it ask for in all? Answer with JSON only, with the keys "
    '"company" and "total" (a number, or null where no amount stands).\n\n{{ input }}',
    "samples": "samples.jsonl",
    "output": {"schema": "schema.json"},
    "scorer": {"type": "fields", "fields": {"total": {"type": "number", "tolerance": 0.005}}},
    "parameters": {"temperature": 0, "max_tokens": 200},
}
_SCHEMA = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "properties": {"company": {"type": "string"}, "total": {"type": ["number", "null"]}},
    "required": ["company", "total"],
    "additionalProperties": False,
}
_SAMPLES = (
    ("Alder Tools Ltd. - Invoice 118 - Amount due: 42.50 EUR", {"company": "Alder Tools Ltd.", "total": 42.5}),
    ("Reminder from Birch & Sons: the 1,280.00 of March is open.", {"company": "Birch & Sons", "total": 1280}),
    ("Cedar Print: your proofs are ready, no charge.", {"company": "Cedar Print", "total": None}),
)


def make_workspace(root: Path) -> list[Path]:
    """Make `root` a workspace and return what was made; what stands already stays as it is."""
    if root.exists() and not root.is_dir():
        raise ConfigurationError(f"{root} is a file", hint="Name a folder.")
    if (root / CONFIG_NAME).exists():
        Workspace.open(root)
    made = [folder for folder in (root / "tasks", root / "providers") if not folder.exists()]
    files = {CONFIG_NAME: '{\n  "providers": {},\n  "run": {}\n}\n', ".gitignore": _IGNORED}
    missing = [root / name for name in files if not (root / name).exists()]
    with writing(root):
        for folder in made:
            folder.mkdir(parents=True)
        for file in missing:
            file.write_text(files[file.name], "utf-8")
    return [*made, *missing]


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Turn what the disk refuses into a ConfigurationError that names the folder."""
    try:
        yield
    except OSError as error:
        raise ConfigurationError(f"{folder}: cannot be made: {error.strerror} ({error.filename})") from None


def task_folder(name: str, workspace: Workspace) -> Path:
    """Where a new task of that name goes; raises ConfigurationError when it cannot, or when there is one already."""
    folder = workspace.require_root() / "tasks" / name
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", name):
        raise ConfigurationError(
            f'"{name}" cannot be a task\'s name', hint="Use letters, digits, dot, dash, underscore."
        )
    if folder.exists():
        raise ConfigurationError(f"{folder} exists already", hint="Choose another name.")
    return folder


def make_task(name: str, workspace: Workspace) -> Path:
    """Make a small task in the workspace that passes its check as it stands, and return its folder."""
    folder = task_folder(name, workspace)
    samples = [{"id": f"sample-{n}", "input": text, "target": gold} for n, (text, gold) in enumerate(_SAMPLES, 1)]
    with writing(folder):
        folder.mkdir(parents=True)
        (folder / "task.json").write_text(json.dumps({"name": name, **_TASK}, indent=2) + "\n", "utf-8")
        (folder / "schema.json").write_text(json.dumps(_SCHEMA, indent=2) + "\n", "utf-8")
        (folder / "samples.jsonl").write_text("".join(json.dumps(sample) + "\n" for sample in samples), "utf-8")
    return folder
