"""llm-tester demo"""

from __future__ import annotations

import sys
from pathlib import Path

import typer

from llm_tester.cli.console import WorkspaceOption, out, single, workspace
from llm_tester.cli.progress import closing, header, watching, write_report
from llm_tester.evals.demo import demo_options, demo_workspace, planned_outcomes, surprises
from llm_tester.evals.preparing import prepare
from llm_tester.evals.results import results
from llm_tester.llms.llm_registry import ProviderRegistry
from llm_tester.reporting.report import build_report

app = single()


@app.command()
def demo(named: WorkspaceOption = None) -> None:
    """Run the three bundled tasks on five simulated models: no key, no network, no cost."""
    here = demo_workspace(workspace(named), Path.cwd())
    registry = ProviderRegistry(here)
    planned = planned_outcomes(registry)
    execution = prepare(here, registry, demo_options()).start()
    screen = out()
    with execution.ledger as ledger:
        header(screen, execution, {})
        with watching(screen, execution):
            execution.go()
        report = build_report(ledger, execution.run)
        unplanned = surprises(results(ledger, execution.run), planned)
    closing(screen, report, write_report(report, here.reports_path), here.require_root())
    if execution.interrupted_by is not None:
        raise typer.Exit(128 + execution.interrupted_by)
    for line in unplanned:
        sys.stderr.write(f"Not as scripted: {line}\n")
    raise typer.Exit(1 if unplanned else 0)
