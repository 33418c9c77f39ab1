"""How a run ended and went on, beside its status: what it stopped at, whom it dropped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from llm_tester.cost_manager import usd_text
from llm_tester.evals.lanes import LaneProgress
from llm_tester.evals.ledger import Ledger
from llm_tester.evals.run_records import RunRecord
from llm_tester.evals.runner import Outage
from llm_tester.evals.settings_notes import note
from llm_tester.llms.budgets import Budget


@dataclass(frozen=True, slots=True)
class Dropped:
    """An entrant that its first call showed to be of no use, and why."""

    entrant: str
    cause: str

    def to_json(self) -> dict[str, str]:
        """The entrant as `run --json` prints it."""
        return {"entrant": self.entrant, "cause": self.cause}


def note_end(
    ledger: Ledger, run: RunRecord, lanes: Sequence[LaneProgress], outage: Outage | None, budget: Budget | None
) -> None:
    """Write down what a budget refused, who was dropped and whose outage stopped the run."""
    dropped = [
        {"entrant": lane.entrant.entrant.name, "cause": f"{type(lane.dropped).__name__}: {lane.dropped.message}"}
        for lane in lanes
        if lane.dropped is not None
    ]
    silent = None if outage is None else asdict(outage)
    changes = {**_refusal(budget), "dropped": dropped or None, "outage": silent}
    if any(change is not None for change in changes.values()):
        note(ledger, run, changes)


def _refusal(budget: Budget | None) -> Mapping[str, Any]:
    short = None if budget is None else budget.refusal
    if short is None:
        return {}
    figures = {"usd": short.usd, "spent": short.spent, "reserved": short.reserved, "needed": short.needed}
    said = {name: usd_text(figure) for name, figure in figures.items()}
    return {"budget_stop": {"budget": short.budget, **said}}


def note_resumption(ledger: Ledger, run: RunRecord, *, retry_errors: bool, keep_unknown: bool) -> RunRecord:
    """The run without the notes of why it stopped, and with one where its open calls are not handled as usual."""
    changes: dict[str, Any] = {"dropped": None, "outage": None}
    if retry_errors or keep_unknown:
        now = datetime.now(UTC).isoformat(timespec="seconds")
        entry = {"at": now, "retry_errors": retry_errors, "keep_unknown": keep_unknown}
        changes["resumed"] = [*run.settings.get("resumed", ()), entry]
    note(ledger, run, changes)
    return ledger.run(run.id)


def dropped_entrants(run: RunRecord) -> list[Dropped]:
    """Whom the run dropped."""
    return [Dropped(entry["entrant"], entry["cause"]) for entry in run.settings.get("dropped", ())]


def outage_of(run: RunRecord) -> Outage | None:
    """The outage at which the run stopped, if one did it."""
    said = run.settings.get("outage")
    return None if said is None else Outage(**said)
