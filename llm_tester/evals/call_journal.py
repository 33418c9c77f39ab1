"""One call of a run in the ledger, step by step."""

from __future__ import annotations

from concurrent.futures import Future
from decimal import Decimal
from typing import Any

from llm_tester.errors import ProviderError
from llm_tester.evals.ledger import Ledger
from llm_tester.evals.run_records import EntrantRecord, Place, RunRecord
from llm_tester.records import Attempt, Request, Response


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
    ) -> None:
        self._ledger, self._run, self._place, self._entrant = ledger, run, place, entrant
        self._request, self._at_most = request, at_most
        self.call = 0

    def claim(self) -> Future[Any]:
        """Durable before anything is sent."""
        request = self._request
        claimed = self._ledger.claim(self._run, self._place, request.call_id, self._at_most, request.purpose)
        claimed.add_done_callback(self._keep_key)
        return claimed

    def _keep_key(self, claimed: Future[int]) -> None:
        if claimed.exception() is None:
            self.call = claimed.result()

    def answered(self, response: Response) -> Future[Any]:
        """Durable before anything is scored."""
        return self._ledger.answered(self.call, response, self._entrant)

    def failed(self, error: ProviderError) -> Future[Any]:
        """After the last attempt."""
        return self._ledger.failed(self.call, error, self._entrant)

    def deferred(self, attempts: tuple[Attempt, ...]) -> Future[Any]:
        """Between two attempts, when the run stops."""
        return self._ledger.deferred(self.call, attempts, self._entrant)
