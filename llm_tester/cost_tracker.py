"""CostTracker: what calls have cost by project, while the program runs; the ledger keeps what runs have cost."""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from decimal import Decimal

from llm_tester.records import Response


@dataclass(frozen=True, slots=True)
class ProjectCost:
    """What a project's calls have read, written and cost in USD. `unpriced` calls are not in `total_cost`."""

    calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    total_cost: Decimal = Decimal(0)
    unpriced: int = 0


class CostTracker:
    """Adds up calls by project. Safe to share between threads."""

    def __init__(self) -> None:
        self._projects: dict[str, ProjectCost] = {}
        self._lock = threading.Lock()

    def record(
        self, project_id: str, input_tokens: int, output_tokens: int, total_cost: Decimal | float | None
    ) -> None:
        """Adds a call; a cost of None is unknown, which is not 0."""
        known = None if total_cost is None else Decimal(str(total_cost))
        with self._lock:
            sums = self._projects.get(project_id, ProjectCost())
            self._projects[project_id] = replace(
                sums,
                calls=sums.calls + 1,
                input_tokens=sums.input_tokens + input_tokens,
                output_tokens=sums.output_tokens + output_tokens,
                total_cost=sums.total_cost + (known or 0),
                unpriced=sums.unpriced + (known is None),
            )

    def record_response(self, project_id: str, response: Response) -> None:
        """Adds an answer with what its provider reported and what that costs; made-up answers cost nothing."""
        usage = response.usage
        cost = Decimal(0) if response.simulated else response.cost.usd
        self.record(project_id, usage.input or 0, usage.output or 0, cost)

    def totals(self) -> dict[str, ProjectCost]:
        """The sums so far, by project."""
        with self._lock:
            return dict(self._projects)
