"""A run on a screen that is no terminal, and what stops it."""

from __future__ import annotations

import io
import signal
import threading
from typing import TYPE_CHECKING

import pytest
from rich.console import Console

from llm_tester.cli import progress
from llm_tester.cli.console import err, out
from llm_tester.config import Workspace
from llm_tester.evals.execution import Execution
from llm_tester.evals.preparing import RunOptions, prepare
from llm_tester.llms.llm_registry import ProviderRegistry
from llm_tester.reporting.tables import live

if TYPE_CHECKING:
    from tests.evals.conftest import Bench


class Thrice(threading.Event):
    """An event that is set when it was waited for three times, and lets no time pass."""

    waited = 0

    def wait(self, timeout: float | None = None) -> bool:
        self.waited += 1
        return self.waited == 3


@pytest.fixture
def execution(bench: Bench) -> Execution:
    """A run that is planned."""
    bench.task()
    bench.replay("rep", {"m": {"s1": "2", "s2": "3"}, "n": {"s1": "2", "s2": "3", "s3": "4"}})
    here = Workspace.open(bench.root)
    return prepare(here, ProviderRegistry(here), RunOptions(["sums"], ["rep:m", "rep:n"])).start()


def test_now_and_then_a_line_tells_how_far_each_entrant_is(execution: Execution) -> None:
    screen = Console(file=io.StringIO(), width=100)
    with execution.ledger:
        with progress.watching(screen, execution):
            assert execution.go() == "incomplete"
        progress._lines(screen, execution, Thrice())
    assert isinstance(screen.file, io.StringIO)
    lines = screen.file.getvalue().splitlines()
    assert lines == ["rep:m: 3/3, 1 errors", "rep:n: 3/3, 0 errors"] * 2


def test_why_an_entrant_waits_is_told(execution: Execution) -> None:
    screen = Console(file=io.StringIO(), width=100)
    execution.runner.lanes[0].trouble = "OverloadedError: HTTP 503: \x1b[31mbusy"
    with execution.ledger:
        progress._lines(screen, execution, Thrice())
        screen.print(live(execution.runner.lanes, 1.0))
    assert isinstance(screen.file, io.StringIO)
    shown = screen.file.getvalue()
    assert "rep:m: 0/3, 0 errors; waits: OverloadedError: HTTP 503: busy\n" in shown.replace("[31m", "")
    assert "waits: OverloadedError" in shown.splitlines()[-3] or shown.count("waits: OverloadedError") >= 2


def test_a_run_that_is_stopped_before_it_begins_sends_nothing(execution: Execution) -> None:
    with execution.ledger:
        execution.interrupt(signal.SIGTERM)
        assert execution.runner.stopping
        assert execution.go() == "stopped"
        assert execution.run.state == "stopped"
        assert [lane.sent for lane in execution.runner.lanes] == [0, 0]


def test_what_is_not_on_a_terminal_is_100_columns_wide() -> None:
    assert out().width == 100
    assert err().soft_wrap
