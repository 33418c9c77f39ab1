"""How many calls may be in flight at once: slots that threads and event loops share."""

from __future__ import annotations

import asyncio
import threading
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Generator
from concurrent.futures import Future
from typing import Any

from llm_tester.errors import ProviderError
from llm_tester.llms.exchange import Settle
from llm_tester.llms.flow import Acquire, Effect
from llm_tester.llms.pace import Outcome, Pace
from llm_tester.records import Request, Response


class _Queue(ABC):
    """Numbered slots, handed on in the order of asking; satisfies flow.Slot."""

    def __init__(self) -> None:
        self._waiting: deque[Future[int]] = deque()
        self._lock = threading.Lock()

    @abstractmethod
    def _take(self) -> int | None:
        """A free slot's number, or None; called under the lock."""

    @abstractmethod
    def _forgo(self, number: int) -> None:
        """Give back a slot that nobody used."""

    def acquire(self) -> int:
        """Wait in this thread for a slot; a wait that is interrupted holds none."""
        if (number := self.at_once()) is not None:
            return number
        ticket = self._ask()
        try:
            return ticket.result()
        except BaseException:
            self._leave(ticket)
            raise

    async def aacquire(self) -> int:
        """Wait on the event loop for a slot; a wait that is cancelled holds none."""
        if (number := self.at_once()) is not None:
            return number
        ticket = self._ask()
        if ticket.done():
            return ticket.result()
        try:
            return await asyncio.wrap_future(ticket)
        except BaseException:
            self._leave(ticket)
            raise

    def at_once(self) -> int | None:
        """A slot's number where one is free and nobody waits: most calls need not ask for one."""
        with self._lock:
            return None if self._waiting else self._take()

    def _ask(self) -> Future[int]:
        ticket: Future[int] = Future()
        with self._lock:
            number = None if self._waiting else self._take()
            if number is None:
                self._waiting.append(ticket)
                return ticket
        ticket.set_result(number)
        return ticket

    def _leave(self, ticket: Future[int]) -> None:
        if not ticket.cancel():
            self._forgo(ticket.result())

    def _hand_on(self) -> None:
        """Give what is free to whoever has waited longest."""
        granted = []
        with self._lock:
            while self._waiting:
                if self._waiting[0].cancelled():
                    self._waiting.popleft()
                    continue
                number = self._take()
                if number is None:
                    break
                granted.append((self._waiting.popleft(), number))
        for ticket, number in granted:
            if ticket.set_running_or_notify_cancel():
                ticket.set_result(number)
            else:
                self._forgo(number)


class ConnectionSlots(_Queue):
    """`size` slots; satisfies exchange.Admission."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size
        self._free = size

    def _take(self) -> int | None:
        if not self._free:
            return None
        self._free -= 1
        return self._free

    def _forgo(self, number: int) -> None:
        self.release()

    def release(self) -> None:
        """Give one slot back."""
        with self._lock:
            self._free += 1
        self._hand_on()

    def admit(self, request: Request, number: int) -> Generator[Effect, Any, Settle]:
        """Hold a slot for one attempt."""
        if self.at_once() is None:
            yield Acquire(self)
        return self._settle

    def _settle(self, outcome: Response | ProviderError | None) -> None:
        self.release()


class PacedSlots(_Queue):
    """As many slots as the pace has now."""

    def __init__(self, pace: Pace) -> None:
        super().__init__()
        self.pace = pace

    def _take(self) -> int | None:
        return self.pace.start()

    def _forgo(self, number: int) -> None:
        self.settle(number, "other")

    def settle(self, number: int, outcome: Outcome) -> None:
        """The call of that slot ended so."""
        self.pace.settle(number, outcome)
        self._hand_on()
