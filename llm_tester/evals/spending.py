"""What the calls of a run cost, call by call, for whoever sums them up."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from llm_tester.cost_manager import from_picodollars
from llm_tester.evals.ledger import Ledger
from llm_tester.evals.run_records import RunRecord
from llm_tester.evals.samples import Outcome
from llm_tester.records import Cost, CostLine, UsageData

REPORTED = "reported"


@dataclass(frozen=True, slots=True)
class Spent:
    """One call that was sent: its answer's usage and cost (None: no answer), and what of it is of unknown cost.

    `unknown_attempts` counts attempts that may have been billed and whose cost nobody knows; each is at most
    `at_most` USD (None: unbounded). `retried` is what attempts without an answer are known to have cost.
    """

    task: str
    entrant: str
    outcome: Outcome
    moment: datetime
    usage: UsageData | None
    cost: Cost | None
    attempts: int
    unknown_attempts: int
    at_most: Decimal | None
    retried: Decimal = Decimal(0)
    served_by: str = ""
    """Who answered of a chain, as provider:model."""

    @property
    def known(self) -> Decimal | None:
        """What could be priced; None where there is an answer of which nothing could."""
        if self.cost is None:
            return None if self.unknown_attempts else Decimal(0)
        priced = self.cost.complete or any(line.usd is not None for line in self.cost.lines)
        return self.cost.known if priced else None

    @property
    def unknown(self) -> bool:
        """Whether the call cost more than what is known."""
        return self.unknown_attempts > 0


_SPENT = """
SELECT t.name AS task, e.name AS entrant, c.state, c.claimed_at, iif(e.simulated, NULL, c.at_most) AS at_most,
       a.usage, a.inconsistent, a.cost_complete,
       (SELECT outcome FROM scores WHERE scores.call = c.call ORDER BY version DESC LIMIT 1) AS outcome,
       (SELECT max(number) FROM attempts WHERE attempts.call = c.call) AS attempts,
       (SELECT count(*) FROM attempts WHERE attempts.call = c.call AND cost_complete = 0) AS unpriced,
       (SELECT sum(picodollars) FROM attempt_costs WHERE attempt_costs.call = c.call) AS retried,
       (SELECT provider || ':' || model FROM attempts WHERE attempts.call = c.call ORDER BY number DESC LIMIT 1)
           AS served_by,
       (SELECT json_group_array(json_array(token_class, tokens, picodollars)) FROM costs WHERE costs.call = c.call)
           AS lines
FROM calls c
JOIN entrants e ON e.entrant = c.entrant
JOIN plan p ON p.run = c.run AND p.position = c.position AND p.variant = e.variant
JOIN tasks t ON t.task = p.task
LEFT JOIN answers a ON a.call = c.call
WHERE c.run = ? AND c.purpose = 'sample' AND (c.state <> 'claimed' OR NOT ?)
ORDER BY c.call
"""


_CANARIES = """
SELECT coalesce(sum(b.picodollars), 0) AS spent, coalesce(sum(b.unknown_calls), 0) AS unknown
FROM calls c JOIN bill b ON b.call = c.call
WHERE c.run = ? AND c.purpose = 'canary'
"""


def canaries(ledger: Ledger, run: RunRecord) -> tuple[Decimal, int]:
    """What the calls that tried the entrants before their samples are known to have cost, and of how many of them some
    or all cost is unknown."""
    row = next(ledger.store.read(_CANARIES, (run.key,)))
    return from_picodollars(row["spent"]), int(row["unknown"])


def spending(ledger: Ledger, run: RunRecord) -> Iterator[Spent]:
    """Every call for a sample of a run that was sent, in its order; those under way are left out."""
    return (_spent(row) for row in ledger.store.read(_SPENT, (run.key, run.is_alive)))


def _spent(row: sqlite3.Row) -> Spent:
    answered = row["usage"] is not None
    lines = lines_of(row["lines"])
    incomplete = answered and not row["cost_complete"]
    lost = row["state"] in ("unknown", "claimed")
    return Spent(
        task=row["task"],
        entrant=row["entrant"],
        outcome=_outcome(row["state"], row["outcome"]),
        moment=datetime.fromtimestamp(row["claimed_at"], UTC),
        usage=usage_of(json.loads(row["usage"]), lines, row["inconsistent"]) if answered else None,
        cost=cost_of_lines(lines, complete=bool(row["cost_complete"])) if answered else None,
        attempts=row["attempts"] or 0,
        unknown_attempts=row["unpriced"] + incomplete + lost,
        at_most=None if row["at_most"] is None else from_picodollars(row["at_most"]),
        retried=from_picodollars(row["retried"] or 0),
        served_by=row["served_by"] or "",
    )


def _outcome(state: str, scored: str | None) -> Outcome:
    if state == "failed":
        return Outcome.ERROR
    return Outcome(scored) if state == "answered" and scored else Outcome.UNKNOWN


def lines_of(text: str) -> tuple[CostLine, ...]:
    """The lines of a cost from rows of class, tokens and picodollars as JSON."""
    found = []
    for name, tokens, amount in json.loads(text):
        usd = None if amount is None else from_picodollars(amount)
        rate = usd * 1_000_000 / tokens if usd is not None and tokens else None
        found.append(CostLine(name, tokens, rate, usd))
    return tuple(found)


def cost_of_lines(lines: tuple[CostLine, ...], *, complete: bool) -> Cost:
    """A cost as the ledger keeps it."""
    return Cost(lines, sum((line.usd for line in lines if line.usd is not None), Decimal(0)), complete)


def usage_of(counts: Mapping[str, int], lines: tuple[CostLine, ...], inconsistent: str | None) -> UsageData:
    """The usage of an answer from its row and its costs."""
    return counted_usage(counts, _reported(lines), inconsistent)


def _reported(lines: tuple[CostLine, ...]) -> Decimal | None:
    return next((line.usd for line in lines if line.token_class == REPORTED), None)


def counted_usage(counts: Mapping[str, int], reported: Decimal | None, inconsistent: str | None) -> UsageData:
    """Usage as the ledger keeps it: counts by class, the cost that the provider reported, the classes in doubt."""
    parts: dict[str, Any] = {name: count for name, count in counts.items() if name not in ("input", "output")}
    return UsageData(
        prompt_tokens=counts.get("input"),
        completion_tokens=counts.get("output"),
        reported_cost=reported,
        inconsistent=tuple(json.loads(inconsistent)) if inconsistent else (),
        **parts,
    )
