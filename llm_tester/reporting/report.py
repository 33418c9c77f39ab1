"""The numbers of a run, gathered once for whoever draws them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from llm_tester.cost_manager import Rates, usd_text
from llm_tester.evals.field_tables import Difficulties, FieldTable, HardSample
from llm_tester.evals.ledger import Ledger
from llm_tester.evals.results import Result, results
from llm_tester.evals.run_budgets import BudgetState, budget_state
from llm_tester.evals.run_notes import dropped_entrants
from llm_tester.evals.run_records import EntrantRecord, RunRecord, TaskRecord, UnknownCall
from llm_tester.evals.samples import Outcome
from llm_tester.evals.spending import canaries, spending
from llm_tester.evals.summary import Standing, Verdict, by_task, ranked, standings, verdict
from llm_tester.reporting.money import Money, money_of

MAX_ERRORS = 8


@dataclass(frozen=True, slots=True)
class TaskReport:
    """One task of a run: its standings, best first, who is best, what came of its fields, its hardest samples."""

    record: TaskRecord
    standings: Sequence[Standing]
    verdict: Verdict | None
    fields: FieldTable = field(default_factory=FieldTable)
    hardest: Sequence[HardSample] = ()


@dataclass(frozen=True, slots=True)
class Report:
    """A run: its line in the ledger, tasks, entrants, calls of unknown fate, and the most frequent errors."""

    run: RunRecord
    tasks: Sequence[TaskReport]
    entrants: Sequence[EntrantRecord]
    unknown: Sequence[UnknownCall]
    errors: Mapping[tuple[str, str], int]
    money: Mapping[tuple[str, str], Money] = field(default_factory=dict)
    budget: BudgetState | None = None
    canaries_usd: Decimal = Decimal(0)
    canaries_unknown: int = 0
    """Of how many of them some or all cost is unknown."""

    def money_of(self, standing: Standing) -> Money:
        """What the entrant cost on the task."""
        return self.money.get((standing.task, standing.entrant)) or Money(Rates())

    @property
    def standings(self) -> list[Standing]:
        """All standings, task by task."""
        return [standing for task in self.tasks for standing in task.standings]

    @property
    def simulated(self) -> bool:
        """Whether no model answered for real."""
        return all(entrant.simulated for entrant in self.entrants)

    @property
    def spent_usd(self) -> Decimal:
        """New dollars, as far as known."""
        return sum((standing.spent_usd for standing in self.standings), self.canaries_usd)

    def count(self, outcome: Outcome) -> int:
        """How many rows ended so."""
        return sum(standing.outcomes[outcome] for standing in self.standings)

    def to_json(self) -> dict[str, Any]:
        """What `run --json` prints."""
        in_order = {entrant.entrant.name: place for place, entrant in enumerate(self.entrants)}
        rows = [
            standing.to_json()
            for task in self.tasks
            for standing in sorted(task.standings, key=lambda found: in_order[found.entrant])
        ]
        budget = {} if self.budget is None else {"budget": self.budget.to_json()}
        dropped = [entry.to_json() for entry in dropped_entrants(self.run)]
        return {
            "run": self.run.id,
            "status": self.run.state,
            **({"epochs": self.run.epochs} if self.run.epochs > 1 else {}),
            **budget,
            **({"dropped": dropped} if dropped else {}),
            **({"canaries_usd": usd_text(self.canaries_usd)} if self.canaries_usd else {}),
            **({"canaries_unknown_calls": self.canaries_unknown} if self.canaries_unknown else {}),
            "models": rows,
        }

    def details(self) -> dict[str, Any]:
        """By task what came of its fields, by path and entrant, and its hardest samples."""
        return {
            task.record.name: {
                "fields": task.fields.to_json(),
                "hardest": [sample.to_json() for sample in task.hardest],
            }
            for task in self.tasks
        }


def build_report(ledger: Ledger, run: RunRecord) -> Report:
    """Read everything that a report shows, in one pass over the run."""
    errors: Counter[tuple[str, str]] = Counter()
    records = ledger.tasks(run)
    details = {record.name: Difficulties(record.spec) for record in records}

    def counted() -> Iterator[Result]:
        for row in results(ledger, run):
            if row.outcome is Outcome.ERROR:
                errors[(row.entrant, row.error)] += 1
            details[row.task].add(row)
            yield row

    grouped = by_task(standings(counted()))
    tasks = [
        TaskReport(
            record,
            ranked(grouped.get(record.name, [])),
            verdict(grouped.get(record.name, [])),
            details[record.name].fields(),
            details[record.name].hardest(),
        )
        for record in records
    ]
    entrants = ledger.entrants(run)
    money = money_of(spending(ledger, run), entrants)
    top = dict(errors.most_common(MAX_ERRORS))
    unknown, budget = ledger.unknown_calls(run), budget_state(ledger, run)
    return Report(run, tasks, entrants, unknown, top, money, budget, *canaries(ledger, run))
