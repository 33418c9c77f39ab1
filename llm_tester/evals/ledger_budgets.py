"""Reservations in the ledger: what all processes that use it may have bought, against the limits of config.json.

A row of `reservations` is an attempt of a call that has not ended: held while it is under way, else what it may have
cost. When the call ends its rows go in the same transaction (triggers in schema.py), and the roll-ups say what it cost.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from datetime import UTC, date, datetime, timedelta
from typing import Any

from llm_tester.config import BudgetLimit
from llm_tester.cost_manager import from_picodollars, picodollars
from llm_tester.evals.ledger import Ledger
from llm_tester.evals.run_records import RunRecord, run_record
from llm_tester.llms.budgets import Shortage
from llm_tester.records import Request

SPANS = {"day": "%Y-%m-%d", "month": "%Y-%m"}
_RESERVE = "INSERT OR REPLACE INTO reservations VALUES (?, ?, ?, ?, ?, ?, 1)"
_USED = """SELECT coalesce(sum(picodollars), 0) AS spent, coalesce(sum(at_most), 0) AS kept FROM rollups
WHERE day >= ? AND day < ? AND (? IS NULL OR project = ?) AND (? IS NULL OR provider = ?)"""
_SCOPE = "FROM reservations WHERE (? IS NULL OR project = ?) AND (? IS NULL OR provider = ?)"


class LedgerBudgets:
    """The reservations of one run, and the limits that it shares with others; satisfies llms.budgets.SharedBudgets."""

    def __init__(
        self, ledger: Ledger, run: RunRecord, limits: Sequence[BudgetLimit], now: Callable[[], float] = time.time
    ) -> None:
        self._store, self._run, self._now = ledger.store, run, now
        self._limits = limits_of(limits, run.project)
        self.limited = bool(self._limits)
        # An answer gives its reservation back, so what it cost must be known to the next job.
        ledger.sums.money_at_once = self.limited

    def reserve(self, request: Request, number: int, amount: int) -> Future[Shortage | None]:
        """Reserve for one attempt in the writer's next transaction, or say what it does not fit into."""
        values = (request.call_id, number, self._run.key, self._run.project, request.provider, amount)

        def write(connection: sqlite3.Connection) -> Shortage | None:
            for limit in limits_of(self._limits, self._run.project, request.provider):
                shortage = self._shortage(connection, limit, request.call_id, amount)
                if shortage is not None:
                    return shortage
            connection.execute(_RESERVE, values)
            return None

        return self._store.submit(write)

    def settle(self, request: Request, number: int, amount: int) -> None:
        """The attempt is over, its call may not be: it keeps `amount`, or nothing."""
        at = (request.call_id, number)

        def write(connection: sqlite3.Connection) -> None:
            if amount:
                change = "UPDATE reservations SET amount = ?, held = 0 WHERE call_id = ? AND number = ?"
                connection.execute(change, (amount, *at))
            else:
                connection.execute("DELETE FROM reservations WHERE call_id = ? AND number = ?", at)

        self._store.submit(write)

    def _shortage(
        self, connection: sqlite3.Connection, limit: BudgetLimit, call_id: str, amount: int
    ) -> Shortage | None:
        scope = (limit.project, limit.project, limit.provider, limit.provider)
        first, end = self._window(connection, limit, call_id)
        used = connection.execute(_USED, (first.isoformat(), end.isoformat(), *scope)).fetchone()
        held = _sum_of(connection, scope)
        if used["spent"] + used["kept"] + held + amount <= picodollars(limit.usd):
            return None
        if _sweep(connection):
            return self._shortage(connection, limit, call_id, amount)
        return Shortage(
            f"the budget per {limit_text(limit)} ({first:{SPANS[limit.per]}}, UTC)",
            limit.usd,
            from_picodollars(used["spent"]),
            from_picodollars(used["kept"] + held),
            from_picodollars(amount),
            in_flight=_is_in_flight(connection, scope),
        )

    def _window(self, connection: sqlite3.Connection, limit: BudgetLimit, call_id: str) -> tuple[date, date]:
        """The day or month on which the call stands on the bill: that of its claim, where it is tried again."""
        claimed = connection.execute("SELECT claimed_at FROM calls WHERE call_id = ?", (call_id,)).fetchone()
        day = datetime.fromtimestamp(claimed["claimed_at"] if claimed else self._now(), UTC).date()
        if limit.per == "day":
            return day, day + timedelta(days=1)
        first = day.replace(day=1)
        return first, (first + timedelta(days=31)).replace(day=1)


def limits_of(limits: Sequence[BudgetLimit], project: str, provider: str | None = None) -> list[BudgetLimit]:
    """The limits that hold for a project's calls, to one provider where it is named."""
    own = [limit for limit in limits if limit.project in (None, project)]
    return [limit for limit in own if provider is None or limit.provider in (None, provider)]


def limit_text(limit: BudgetLimit) -> str:
    """A limit in words: its span, and whom it is for."""
    whom = [f"{kind} {name}" for kind in ("project", "provider") if (name := getattr(limit, kind)) is not None]
    return " ".join([limit.per, *(["of", " and ".join(whom)] if whom else [])])


def _sum_of(connection: sqlite3.Connection, scope: Sequence[Any]) -> int:
    return int(connection.execute(f"SELECT coalesce(sum(amount), 0) {_SCOPE}", scope).fetchone()[0])


def _is_in_flight(connection: sqlite3.Connection, scope: Sequence[Any]) -> bool:
    """Whether the end of a call can make room: one of a process that lives."""
    held = f"SELECT * FROM runs WHERE run IN (SELECT run {_SCOPE} AND held)"  # noqa: S608 - made of constants
    return any(run_record(row).is_alive for row in connection.execute(held, scope).fetchall())


def _sweep(connection: sqlite3.Connection) -> int:
    """Release what processes that ended had reserved for calls that they never sent; how many reservations went."""
    rows = connection.execute("SELECT * FROM runs WHERE run IN (SELECT run FROM reservations)").fetchall()
    dead = [run.key for run in map(run_record, rows) if not run.is_alive]
    never_sent = "DELETE FROM reservations WHERE run = ? AND call_id NOT IN (SELECT call_id FROM calls)"
    return sum(connection.execute(never_sent, (key,)).rowcount for key in dead)
