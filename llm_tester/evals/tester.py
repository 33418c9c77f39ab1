"""LLMTester and Run: evaluations from Python."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from decimal import Decimal
from pathlib import Path

from llm_tester.config import EntrantConfig, Workspace
from llm_tester.evals.ledger import Ledger
from llm_tester.evals.preparing import RunOptions, prepare
from llm_tester.evals.results import Result, results
from llm_tester.evals.run_records import RunRecord
from llm_tester.evals.summary import Standing, standings
from llm_tester.llms.llm_registry import ProviderRegistry


class Run:
    """A run in a workspace's ledger."""

    def __init__(self, workspace: Workspace, record: RunRecord) -> None:
        self._workspace = workspace
        self._record = record

    @property
    def id(self) -> str:
        """The run's id."""
        return self._record.id

    @property
    def status(self) -> str:
        """complete, incomplete (errors, or calls of unknown fate) or stopped."""
        return self._record.state

    def results(self) -> Iterator[Result]:
        """One row per sample and entrant."""
        with Ledger.existing(self._workspace.ledger_path) as ledger:
            yield from results(ledger, self._record)

    def standings(self) -> list[Standing]:
        """The numbers per task and entrant."""
        return standings(self.results())


class LLMTester:
    """Runs tasks on models; only the named providers take part (None: any)."""

    def __init__(self, providers: Sequence[str] | None = None, workspace: Workspace | Path | str | None = None) -> None:
        if isinstance(workspace, Workspace):
            self.workspace = workspace
        elif workspace is not None:
            self.workspace = Workspace.open(Path(workspace))
        else:
            self.workspace = Workspace.find(Path.cwd(), os.environ)
        self._registry = ProviderRegistry(self.workspace, only=providers)

    def run(
        self,
        tasks: Sequence[str],
        models: Sequence[str | EntrantConfig],
        *,
        limit: int | None = None,
        max_connections: int | None = None,
        name: str | None = None,
        project: str | None = None,
        budget: Decimal | None = None,
        epochs: int | None = None,
        canary: bool | None = None,
    ) -> Run:
        """Run every task on every model and return the finished run; raises before any call when something is wrong.

        With a `budget` in USD it may end as stopped. `canary` says whether one call tries each model first.
        """
        options = RunOptions(
            tasks, models, limit, max_connections, name, project, budget=budget, epochs=epochs, canary=canary
        )
        execution = prepare(self.workspace, self._registry, options).start()
        with execution.ledger:
            execution.go()
        return Run(self.workspace, execution.run)
