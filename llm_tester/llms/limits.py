"""How many calls may be in flight at once: slots that threads and event loops share."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Generator
from concurrent.futures import Future
from typing import Any

from llm_tester.errors import ProviderError
from llm_tester.llms.exchange import Settle
from llm_tester.llms.flow import Acquire, Effect
from llm_tester.records import Request, Response


class ConnectionSlots:
    """`size` slots, handed on in the order of asking; satisfies flow.Slot and exchange.Admission."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._free = size
        self._waiting: deque[Future[None]] = deque()
        self._lock = threading.Lock()

    def _ask(self) -> Future[None]:
        ticket: Future[None] = Future()
        with self._lock:
            if self._free:
                self._free -= 1
                ticket.set_result(None)
            else:
                self._waiting.append(ticket)
        return ticket

    def acquire(self) -> None:
        """Wait in this thread for a slot; a wait that is interrupted holds none."""
        ticket = self._ask()
        try:
            ticket.result()
        except BaseException:
            self._forgo(ticket)
            raise

    async def aacquire(self) -> None:
        """Wait on the event loop for a slot; a wait that is cancelled holds none."""
        ticket = self._ask()
        if ticket.done():
            return
        try:
            await asyncio.wrap_future(ticket)
        except BaseException:
            self._forgo(ticket)
            raise

    def admit(self, request: Request, number: int) -> Generator[Effect, Any, Settle]:
        """Hold a slot for one attempt."""
        yield Acquire(self)
        return self._leave

    def _leave(self, outcome: Response | ProviderError | None) -> None:
        self.release()

    def _forgo(self, ticket: Future[None]) -> None:
        if not ticket.cancel():
            self.release()

    def release(self) -> None:
        """Give one slot back, to whoever has waited longest."""
        with self._lock:
            while self._waiting:
                ticket = self._waiting.popleft()
                if ticket.set_running_or_notify_cancel():
                    break
            else:
                self._free += 1
                return
        ticket.set_result(None)
