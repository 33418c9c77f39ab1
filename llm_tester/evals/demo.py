"""The demonstration: the bundled tasks on simulated models, and whether each call ended as its script plans."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from llm_tester.config import Workspace
from llm_tester.errors import ConfigurationError
from llm_tester.evals.preparing import RunOptions
from llm_tester.evals.results import Result
from llm_tester.evals.scaffold import make_workspace
from llm_tester.llms.llm_registry import ProviderRegistry
from llm_tester.llms.provider_factory import builtin_folder

FOLDER = "llm-tester-demo"
TASKS = ("purchase_orders", "expense_claims", "word_problems")
MODELS = ("careful", "thrifty", "chatty", "sloppy", "flaky")


@runtime_checkable
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


def planned_outcomes(registry: ProviderRegistry) -> dict[tuple[str, str, str], str]:
    """What the scripts plan, by task, sample id and model; raises ConfigurationError for a mock without scripts."""
    mock = registry.get("mock")
    if not isinstance(mock, Scripted):
        raise ConfigurationError(
            "the demonstration needs the bundled mock provider, "
            f"this workspace has one of its own ({type(mock).__name__})",
            hint="Run it outside this workspace.",
        )
    scripts = {task: mock.script(task) for task in TASKS}
    return {
        (task, sample_id, f"mock:{model}"): str(play.outcome)
        for task, script in scripts.items()
        for sample_id, line in script.items()
        for model, play in line.plays.items()
    }


def surprises(rows: Iterable[Result], planned: Mapping[tuple[str, str, str], str]) -> list[str]:
    """The results that are not what the scripts plan, a line each."""
    found = []
    for row in rows:
        expected = planned.get((row.task, row.sample_id, row.model), "nothing")
        if row.outcome != expected:
            found.append(f"{row.task} / {row.sample_id} / {row.model}: {row.outcome}, planned {expected}")
    return found
