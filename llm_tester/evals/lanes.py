"""One entrant's part of a run: how far it is, and whether it was dropped."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal

from llm_tester.errors import ProviderError
from llm_tester.evals.run_records import EntrantRecord
from llm_tester.evals.samples import Outcome
from llm_tester.evals.stats import Moments


@dataclass
class LaneProgress:
    """What one entrant has done so far; `dropped` is why it takes no part any more."""

    entrant: EntrantRecord
    total: int
    done: int = 0
    errors: int = 0
    in_flight: int = 0
    cost: Decimal = Decimal(0)
    cost_unknown: int = 0
    moments: Moments = field(default_factory=Moments)
    sent: int = 0
    reached: int = -1
    """The last position of the plan that was handed out."""
    good_at: float | None = None
    """When the last answer came, on the run's clock."""
    dropped: ProviderError | None = None
    trouble: str = ""
    """Why its calls wait, if they do."""

    def count(self, outcome: Outcome, value: float, cost: Decimal | None) -> None:
        """One more sample is done; `cost` is None where it is unknown."""
        self.done += 1
        if outcome.counts:
            self.moments.add(value)
        else:
            self.errors += 1
        if cost is None:
            self.cost_unknown += 1
        else:
            self.cost += cost
