"""The demonstration: the bundled tasks on simulated models, and whether each call ended as its script plans."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol, cast

from llm_tester.config import Workspace
from llm_tester.evals.execution import RunOptions
from llm_tester.evals.results import Result
from llm_tester.evals.scaffold import make_workspace
from llm_tester.llms.llm_registry import ProviderRegistry
from llm_tester.llms.provider_factory import builtin_folder

FOLDER = "llm-tester-demo"
TASKS = ("purchase_orders", "expense_claims", "word_problems")
MODELS = ("careful", "thrifty", "chatty", "sloppy", "flaky")


class Scripted(Protocol):
    """What the demonstration needs of the mock provider."""

    def script(self, task: str) -> Mapping[str, Any]:
        """The script of a task by sample id."""


def demo_workspace(here: Workspace, current: Path) -> Workspace:
    """The workspace at hand, else one in the folder ./llm-tester-demo, made when needed."""
    if here.root is not None:
        return here
    make_workspace(current / FOLDER)
    return Workspace.open(current / FOLDER, here.environment)


def demo_options() -> RunOptions:
    """Every bundled task on every simulated model."""
    tasks = [str(builtin_folder("tasks") / name) for name in TASKS]
    return RunOptions(tasks=tasks, models=[f"mock:{name}" for name in MODELS])


def surprises(rows: Iterable[Result], registry: ProviderRegistry) -> list[str]:
    """The results that are not what the scripts plan, a line each."""
    mock = cast("Scripted", registry.get("mock"))
    scripts = {task: mock.script(task) for task in TASKS}
    found = []
    for row in rows:
        play = scripts[row.task][row.sample_id].plays[row.model.partition(":")[2]]
        if row.outcome != play.outcome:
            found.append(f"{row.task} / {row.sample_id} / {row.model}: {row.outcome}, planned {play.outcome}")
    return found
