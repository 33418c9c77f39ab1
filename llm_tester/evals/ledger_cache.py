"""The response cache of runs: an index of good answers in the ledger, so that no answer is kept twice."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from llm_tester.cost_manager import from_picodollars, usd_text
from llm_tester.evals.ledger import Ledger
from llm_tester.evals.spending import cost_of_lines, lines_of, usage_of
from llm_tester.records import Response

_LOOK = """
SELECT c.call_id, a.*, coalesce(a.served_provider, e.provider) AS by_provider,
       coalesce(a.served_model, l.model, e.model) AS by_model, e.provider, e.model,
       (SELECT json_group_array(json_array(token_class, tokens, picodollars)) FROM costs WHERE costs.call = c.call)
           AS lines
FROM cache k
JOIN calls c ON c.call = k.call
JOIN entrants e ON e.entrant = c.entrant
JOIN answers a ON a.call = k.call
LEFT JOIN attempts l ON l.call = c.call AND l.number = (SELECT max(number) FROM attempts WHERE attempts.call = c.call)
WHERE k.key = ? AND k.stored_at > ?
"""
_KEEP = "INSERT OR REPLACE INTO cache SELECT ?, call, ? FROM calls WHERE call_id = ?"
_SHOW = """
SELECT coalesce(l.provider, e.provider) || ':' || coalesce(l.model, e.model) AS model, count(*) AS answers,
       sum(k.stored_at > ?) AS fresh, min(k.stored_at) AS oldest, max(k.stored_at) AS newest,
       sum((SELECT sum(picodollars) FROM costs WHERE costs.call = k.call)) AS cost
FROM cache k
JOIN calls c ON c.call = k.call
JOIN entrants e ON e.entrant = c.entrant
LEFT JOIN attempts l ON l.call = c.call AND l.number = (SELECT max(number) FROM attempts WHERE attempts.call = c.call)
GROUP BY 1 ORDER BY 2 DESC, 1
"""


class LedgerCache:
    """Satisfies response_cache.CacheStore; an answer holds for `ttl` seconds."""

    def __init__(self, ledger: Ledger, ttl: float, *, now: Callable[[], float] = time.time) -> None:
        self._store, self._ttl, self._now = ledger.store, ttl, now

    def look(self, key: str) -> Future[Response | None]:
        """The answer under this key that is not too old."""
        found: Future[Response | None] = Future()
        row = next(self._store.read(_LOOK, (key, self._now() - self._ttl)), None)
        found.set_result(None if row is None else _response(row))
        return found

    def keep(self, key: str, response: Response) -> Future[Any]:
        """Name the call that brought the answer."""
        values = (key, self._now(), response.call_id)
        return self._store.submit(lambda connection: connection.execute(_KEEP, values).rowcount)


def _response(row: sqlite3.Row) -> Response:
    lines = lines_of(row["lines"])
    return Response(
        text=row["text"],
        provider=row["provider"],
        model=row["model"],
        served_provider=row["by_provider"],
        served_model=row["by_model"],
        usage=usage_of(json.loads(row["usage"]), lines, row["inconsistent"]),
        cost=cost_of_lines(lines, complete=bool(row["cost_complete"])),
        finish_reason=row["finish_reason"],
        latency_ms=row["latency_ms"],
        not_applied=tuple(json.loads(row["not_applied"])) if row["not_applied"] else (),
        call_id=row["call_id"],
    )


@dataclass(frozen=True, slots=True)
class Cached:
    """What the cache has of one model: answers, those of them that still hold, and what they cost when bought."""

    model: str
    answers: int
    fresh: int
    oldest: float
    newest: float
    cost: Decimal

    def to_json(self) -> dict[str, Any]:
        """The row as `cache show --json` prints it."""
        return {
            "model": self.model,
            "answers": self.answers,
            "fresh": self.fresh,
            "oldest": self.oldest,
            "newest": self.newest,
            "cost_usd": usd_text(self.cost),
        }


def cached_answers(ledger: Ledger, ttl: float, *, now: Callable[[], float] = time.time) -> list[Cached]:
    """What the cache has, by model."""
    return [
        Cached(
            row["model"], row["answers"], row["fresh"], row["oldest"], row["newest"], from_picodollars(row["cost"] or 0)
        )
        for row in ledger.store.read(_SHOW, (now() - ttl,))
    ]


def prune(ledger: Ledger, older_than: float, *, now: Callable[[], float] = time.time) -> int:
    """Forget what was kept more than so many seconds ago; how many answers that were. Runs keep theirs."""
    until = now() - older_than
    return ledger.store.write(
        lambda connection: connection.execute("DELETE FROM cache WHERE stored_at <= ?", (until,)).rowcount
    )
