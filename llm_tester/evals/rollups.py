"""The bill, summed up: kept in the writer's transactions, read in a moment, rebuilt and verified from the raw rows."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from llm_tester.cost_manager import from_picodollars, usd_text
from llm_tester.store import Store

DIMENSIONS: Mapping[str, str] = {
    "provider": "provider",
    "model": "provider || ':' || model",
    "task": "task",
    "project": "project",
    "day": "day",
    "token-class": "token_class",
    "outcome": "outcome",
}
_KEY = "day, project, provider, model, task, purpose, outcome, token_class"
_SUMS = ("calls", "unknown_calls", "unbounded_calls", "at_most", "tokens", "picodollars")
_ADDED = f"ON CONFLICT ({_KEY}) DO UPDATE SET {', '.join(f'{name} = {name} + excluded.{name}' for name in _SUMS)}"
_AT_ONCE = 64
_OUTCOME = "CASE WHEN :was IS NULL OR outcome = 'retried' THEN outcome ELSE :was END"
# The calls are listed in the statement, since SQLite takes no join into the view's parts and would read all of it.
_ROLL = f"""
INSERT INTO rollups ({_KEY}, {", ".join(_SUMS)})
SELECT {_KEY.replace("outcome", f"{_OUTCOME} AS outcome")}, {", ".join(f"sum(:sign * {name})" for name in _SUMS)}
FROM bill WHERE call IN ({", ".join(f":c{number}" for number in range(_AT_ONCE))})
GROUP BY {_KEY.replace("outcome", _OUTCOME)}
{_ADDED}
"""  # noqa: S608 - made of the constants above
_KEEP = f"""
INSERT INTO spent_before ({_KEY}, {", ".join(_SUMS)})
SELECT {_KEY}, {", ".join(f"sum({name})" for name in _SUMS)} FROM bill
WHERE call IN (SELECT call FROM calls WHERE run = ?) GROUP BY {_KEY}
{_ADDED}
"""  # noqa: S608 - as above
_FROM_RAW = f"SELECT {_KEY}, {', '.join(f'sum({name}) AS {name}' for name in _SUMS)} FROM whole_bill GROUP BY {_KEY}"  # noqa: S608 - as above
_KEPT = f"SELECT {_KEY}, {', '.join(_SUMS)} FROM rollups WHERE calls OR tokens OR picodollars OR unknown_calls"  # noqa: S608 - as above


@dataclass(frozen=True, slots=True)
class CostRow:
    """A line of the bill: `group` names it by the chosen dimensions.

    `known` is the sum of what could be priced; of `unknown_calls` calls the cost is unknown and at most `at_most`
    more, but for `unbounded_calls` of them, which nothing bounds.
    """

    group: tuple[str, ...]
    calls: int
    tokens: int
    known: Decimal
    unknown_calls: int
    at_most: Decimal
    unbounded_calls: int

    def to_json(self, dimensions: Sequence[str]) -> dict[str, Any]:
        """The row as `costs --format json` prints it; `at_most_usd` is the known sum and the bounds of the unknown."""
        bounded = None if self.unbounded_calls else usd_text(self.known + self.at_most)
        return dict(zip(dimensions, self.group, strict=True)) | {
            "calls": self.calls,
            "tokens": self.tokens,
            "spent_usd": usd_text(self.known),
            "unknown_calls": self.unknown_calls,
            "at_most_usd": bounded,
        }


class Sums:
    """What the jobs of one transaction change in the sums, written once at its end.

    With `money_at_once` each call's money is in them with its own job, for jobs of the same transaction that read it.
    """

    def __init__(self) -> None:
        self.money_at_once = False
        self._ended: set[int] = set()
        self._scored: set[int] = set()

    def ended(self, connection: sqlite3.Connection, call: int) -> None:
        """The call was not in the sums before."""
        if self.money_at_once:
            roll(connection, [call])
        else:
            self._ended.add(call)

    def scored(self, call: int) -> None:
        """The call was in them as unscored."""
        self._scored.add(call)

    def write(self, connection: sqlite3.Connection) -> None:
        """Bring the sums up to what stands now; a call that a failed job named stands as before, and changes none."""
        ended, scored = self._ended, self._scored - self._ended
        self._ended, self._scored = set(), set()
        roll(connection, [*ended, *scored])
        roll(connection, [*scored], sign=-1, was="unscored")


def roll(connection: sqlite3.Connection, calls: Sequence[int], *, sign: int = 1, was: str | None = None) -> None:
    """Add calls as they stand to the sums, or take them out before they change, or as of the outcome that they had;
    simulated ones stay out."""
    for first in range(0, len(calls), _AT_ONCE):
        some = calls[first : first + _AT_ONCE]
        named = {f"c{number}": some[number] if number < len(some) else None for number in range(_AT_ONCE)}
        connection.execute(_ROLL, {"sign": sign, "was": was, **named})


def keep_on_bill(connection: sqlite3.Connection, run: int) -> None:
    """Before a run is deleted: write down what its calls have cost, so that the raw rows still give the sums."""
    connection.execute(_KEEP, (run,))


def rebuild(store: Store) -> None:
    """Make the sums again from the raw rows, and from what is written down of deleted ones."""

    def write(connection: sqlite3.Connection) -> None:
        connection.execute("DELETE FROM rollups")
        connection.execute(f"INSERT INTO rollups ({_KEY}, {', '.join(_SUMS)}) {_FROM_RAW}")

    store.write(write)


def differences(store: Store) -> int:
    """How many lines of the sums differ from what the raw rows give; 0 when they are right."""
    query = f"SELECT count(*) AS lines FROM (SELECT * FROM ({_KEPT}) EXCEPT SELECT * FROM ({_FROM_RAW}))"  # noqa: S608 - constants
    missing = f"SELECT count(*) AS lines FROM (SELECT * FROM ({_FROM_RAW}) EXCEPT SELECT * FROM ({_KEPT}))"  # noqa: S608 - constants
    return sum(int(next(store.read(sql))["lines"]) for sql in (query, missing))


def costs(store: Store, dimensions: Sequence[str], since: date | None = None) -> list[CostRow]:
    """The bill over the whole ledger by the given dimensions (names of DIMENSIONS), the dearest first."""
    columns = [DIMENSIONS[name] for name in dimensions]
    named = ", ".join(columns)
    grouping = f"GROUP BY {named}" if columns else ""
    # Tokens and money stand in the lines of token classes, calls in a line of their own without one.
    only_tokens = "AND token_class <> ''" if "token-class" in dimensions else ""
    sql = (
        f"SELECT {named + ',' if named else ''} {', '.join(f'sum({name}) AS {name}' for name in _SUMS)} FROM rollups"  # noqa: S608 - constants
        f" WHERE day >= ? {only_tokens} {grouping}"
        " HAVING sum(calls) OR sum(tokens) OR sum(picodollars) OR sum(unknown_calls) ORDER BY sum(picodollars) DESC"
    )
    rows = store.read(sql, (since.isoformat() if since else "",))
    return [_row(row, len(columns)) for row in rows]


def _row(row: sqlite3.Row, width: int) -> CostRow:
    return CostRow(
        group=tuple(str(value) for value in tuple(row)[:width]),
        calls=row["calls"],
        tokens=row["tokens"],
        known=from_picodollars(row["picodollars"]),
        unknown_calls=row["unknown_calls"],
        at_most=from_picodollars(row["at_most"]),
        unbounded_calls=row["unbounded_calls"],
    )
