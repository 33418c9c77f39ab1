"""How a run is told to send nothing more, also where its calls wait for a provider."""

from __future__ import annotations

import asyncio

from llm_tester.llms.exchange import Deferred


class Halt:
    """Satisfies guard.Patience: calls wait for as long as it takes, until the run is to stop."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    @property
    def is_set(self) -> bool:
        """Whether nothing more is to be sent."""
        return self._event.is_set()

    def set(self) -> None:
        """Send nothing more: calls that wait are left for later."""
        self._event.set()

    def check(self) -> None:
        """Raise Deferred when nothing more is to be sent."""
        if self._event.is_set():
            raise Deferred

    async def asleep(self, seconds: float) -> None:
        """Wait; raise Deferred as soon as nothing more is to be sent."""
        try:
            await asyncio.wait_for(self._event.wait(), seconds)
        except TimeoutError:
            return
        raise Deferred
