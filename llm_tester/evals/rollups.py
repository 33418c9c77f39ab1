"""The bill, summed up: kept in the writer's transactions, read in a moment, rebuilt and verified from the raw rows."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any, NamedTuple

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
_CHANGE = f"INSERT INTO rollups VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 0, 0, 0, ?, ?) {_ADDED}"  # noqa: S608 - as above
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


class Account(NamedTuple):
    """Where a call stands on the bill; `day` is that of its claim, in UTC, as YYYY-MM-DD."""

    day: str
    project: str
    provider: str
    model: str
    task: str
    purpose: str


Line = tuple[int, str, int, int | None]
"""Of a cost: price, token class, tokens, picodollars."""
Bought = tuple[Account | None, Sequence[Line]]
_UNSCORED = "unscored"


class Sums:
    """What the jobs of one transaction change in the sums, written once at its end.

    With `money_at_once` each call's money is in them with its own job, for jobs of the same transaction that read it.
    """

    def __init__(self) -> None:
        self.money_at_once = False
        self._bought: dict[int, Bought] = {}
        self._ended: set[int] = set()
        self._scored: dict[int, str] = {}
        self._to_be_scored: dict[int, Bought] = {}

    def begin(self) -> None:
        """A transaction begins, perhaps in place of one that came to nothing."""
        self._bought, self._ended, self._scored = {}, set(), {}

    def bought(self, call: int, account: Account | None, lines: Sequence[Line]) -> None:
        """As `ended`, of a call that cost no more than this; one without an account stays off the bill."""
        self._bought[call] = account, lines

    def ended(self, connection: sqlite3.Connection, call: int) -> None:
        """The call was not in the sums before."""
        if self.money_at_once:
            roll(connection, [call])
        else:
            self._ended.add(call)

    def scored(self, call: int, outcome: str) -> None:
        """The call was in them as unscored."""
        self._scored[call] = outcome

    def write(self, connection: sqlite3.Connection) -> None:
        """Bring the sums up to what stands now; a call that a failed job named stands as before, and changes none."""
        changes = _Changes()
        for call, (account, lines) in self._bought.items():
            outcome = self._scored.pop(call, _UNSCORED)
            changes.add(account, outcome, lines, 1)
            if outcome == _UNSCORED:
                self._to_be_scored[call] = account, lines
        for call in self._to_be_scored.keys() & self._scored.keys():
            account, lines = self._to_be_scored.pop(call)
            changes.add(account, _UNSCORED, lines, -1)
            changes.add(account, self._scored.pop(call), lines, 1)
        changes.write(connection)
        scored = [call for call in self._scored if call not in self._ended]
        roll(connection, [*self._ended, *scored])
        roll(connection, scored, sign=-1, was=_UNSCORED)


class _Changes:
    """Calls, tokens and picodollars to be added, by account, outcome and token class."""

    def __init__(self) -> None:
        self._sums: dict[tuple[Account, str, str], list[int]] = {}

    def add(self, account: Account | None, outcome: str, lines: Sequence[Line], sign: int) -> None:
        if account is None:
            return
        self._of(account, outcome, "")[0] += sign
        for _, token_class, tokens, picodollars in lines:
            sums = self._of(account, outcome, token_class)
            sums[1] += sign * tokens
            sums[2] += sign * (picodollars or 0)

    def _of(self, account: Account, outcome: str, token_class: str) -> list[int]:
        return self._sums.setdefault((account, outcome, token_class), [0, 0, 0])

    def write(self, connection: sqlite3.Connection) -> None:
        rows = [
            (own.day, own.project, own.provider, own.model, own.task, own.purpose, outcome, token_class, *sums)
            for (own, outcome, token_class), sums in self._sums.items()
            if any(sums)
        ]
        connection.executemany(_CHANGE, rows)


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
    # What a request costs in itself stands in a line of one "token" for each.
    counted = {name: name for name in _SUMS} | {"tokens": "tokens * (token_class <> 'request')"}
    sums = ", ".join(f"sum({value}) AS {name}" for name, value in counted.items())
    sql = (
        f"SELECT {named + ',' if named else ''} {sums} FROM rollups"  # noqa: S608 - constants
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
