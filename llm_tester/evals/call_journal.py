"""One call of a run in the ledger, step by step."""

from __future__ import annotations

import time
from concurrent.futures import Future
from datetime import date, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Any

from llm_tester.errors import ProviderError
from llm_tester.evals.ledger import Ledger
from llm_tester.evals.rollups import Account
from llm_tester.evals.run_records import EntrantRecord, Place, RunRecord
from llm_tester.records import Attempt, Request, Response

DAY_SECONDS = 86_400
_UNANSWERED: Future[Any] = Future()
_UNANSWERED.set_exception(RuntimeError("there is no answer that could be stored"))


@lru_cache(maxsize=8)
def _day(number: int) -> str:
    """The day, in UTC, so many days after the epoch."""
    return (date(1970, 1, 1) + timedelta(days=number)).isoformat()


class CallJournal:
    """Satisfies exchange.Journal; `call` is the call's key once it is claimed, 0 before."""

    def __init__(
        self,
        ledger: Ledger,
        run: RunRecord,
        place: Place,
        entrant: EntrantRecord,
        request: Request,
        at_most: Decimal | None,
        task: str,
    ) -> None:
        self._ledger, self._run, self._place, self._entrant = ledger, run, place, entrant
        self._request, self._at_most, self._task = request, at_most, task
        self._claimed_at = 0.0
        self.call = 0
        self.stored = _UNANSWERED
        """Done once the answer is on disk; whoever asked must wait for it, as it says too when that failed."""

    def claim(self) -> Future[Any]:
        """Durable before anything is sent."""
        request = self._request
        # Whole milliseconds, so that its day is the same here and in SQLite, which rounds to them.
        self._claimed_at = round(time.time(), 3)
        claimed = self._ledger.claim(
            self._run, self._place, request.call_id, self._at_most, request.purpose, self._claimed_at
        )
        claimed.add_done_callback(self._keep_key)
        return claimed

    def _keep_key(self, claimed: Future[int]) -> None:
        if claimed.exception() is None:
            self.call = claimed.result()

    def answered(self, response: Response) -> None:
        """Handed to the writer, which works in order: it is on disk before a later claim is."""
        self.stored = self._ledger.answered(self.call, response, self._entrant, self._account())

    def _account(self) -> Account:
        asked, entrant = self._request, self._entrant.entrant
        return Account(
            _day(int(self._claimed_at // DAY_SECONDS)),
            self._run.project,
            entrant.provider,
            entrant.model,
            self._task,
            asked.purpose,
        )

    def failed(self, error: ProviderError) -> Future[Any]:
        """After the last attempt."""
        return self._ledger.failed(self.call, error, self._entrant)

    def deferred(self, attempts: tuple[Attempt, ...]) -> Future[Any]:
        """Between two attempts, when the run stops."""
        return self._ledger.deferred(self.call, attempts, self._entrant)
