"""The response cache: the same question to the same model is bought once. Off unless it is asked for."""

from __future__ import annotations

import hashlib
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from llm_tester.errors import ConfigurationError
from llm_tester.llms.chained import Link
from llm_tester.llms.exchange import Journal
from llm_tester.llms.flow import Do, Flow
from llm_tester.llms.handover import done
from llm_tester.records import Request, Response, digest

WIRE_VERSION = 1
"""Raised when requests are built or answers read in another way than before, so that nothing old is taken for new."""


class CacheStore(Protocol):
    """Where answers are kept; each future is done when the step is."""

    def look(self, key: str) -> Future[Response | None]:
        """The answer under this key that is not too old."""

    def keep(self, key: str, response: Response) -> Future[Any]:
        """Keep an answer."""


class ResponseCache:
    """Answers kept in this process for `ttl` seconds, the `most` that were used last. Threads may share it.

    Give it to a ProviderManager, or use `get` and `set` with keys of `cache_key`.
    """

    def __init__(self, ttl: float = 3600, *, most: int = 10_000, clock: Callable[[], float] = time.monotonic) -> None:
        if not ttl > 0 or most < 1:
            raise ConfigurationError("a response cache needs ttl > 0 and most >= 1", hint="Correct them.")
        self.ttl, self._most, self._clock = ttl, most, clock
        self._kept: OrderedDict[str, tuple[float, Response]] = OrderedDict()
        self._lock = threading.Lock()

    async def get(self, key: str) -> Response | None:
        """The answer under this key; None where there is none, or it is too old."""
        return self.look(key).result()

    async def set(self, key: str, response: Response) -> None:
        """Keep an answer, if it is a good one."""
        if is_good(response):
            self.keep(key, response)

    def look(self, key: str) -> Future[Response | None]:
        """As `get`."""
        with self._lock:
            stored, response = self._kept.get(key, (0.0, None))
            if response is not None and self._clock() - stored >= self.ttl:
                del self._kept[key]
                response = None
            if response is not None:
                self._kept.move_to_end(key)
        return done(response)

    def keep(self, key: str, response: Response) -> Future[Any]:
        """As `set`, of an answer that is known to be good."""
        with self._lock:
            self._kept[key] = (self._clock(), response)
            self._kept.move_to_end(key)
            while len(self._kept) > self._most:
                self._kept.popitem(last=False)
        return done()


class Flights:
    """Which questions are being asked now: who asks the same waits for the answer."""

    def __init__(self) -> None:
        self._waiting: dict[str, list[Future[None]]] = {}
        self._lock = threading.Lock()

    def board(self, key: str) -> Future[None] | None:
        """None for who is to ask; for others a future that is done when that one has ended."""
        with self._lock:
            if key not in self._waiting:
                self._waiting[key] = []
                return None
            ended: Future[None] = Future()
            self._waiting[key].append(ended)
            return ended

    def land(self, key: str) -> None:
        """The question is no longer being asked."""
        with self._lock:
            waiting = self._waiting.pop(key)
        for ended in waiting:
            if ended.set_running_or_notify_cancel():
                ended.set_result(None)


def through(
    store: CacheStore, flights: Flights, key: str, asked: Request, bought: Flow[Response], journal: Journal | None
) -> Flow[Response]:
    """The kept answer, else the one that is `bought`, which is kept where it is a good one. One at a time is bought;
    where that one fails the next is."""
    while True:
        found: Response | None = yield Do(lambda: store.look(key))
        if found is not None:
            bought.close()
            return (yield from _given_again(found, asked, journal))
        ended = flights.board(key)
        if ended is None:
            break
        yield from _wait_for(ended)
    try:
        response = yield from bought
        if is_good(response):
            yield Do(lambda: store.keep(key, response))
        return response
    finally:
        flights.land(key)


def _given_again(found: Response, asked: Request, journal: Journal | None) -> Flow[Response]:
    copy = replace(
        found,
        provider=asked.provider,
        model=asked.model,
        attempts=(),
        call_id=asked.call_id,
        cached=True,
        cached_from=found.cached_from or found.call_id,
    )
    if journal is not None:
        yield Do(journal.claim)
        yield Do(lambda: journal.answered(copy))
    return copy


def _wait_for(ended: Future[None]) -> Flow[None]:
    yield Do(lambda: ended)


def is_good(response: Response) -> bool:
    """Whether an answer may be given again: whole, not empty, not refused, and not made up here."""
    ended_well = response.finish_reason in (None, "stop", "tool_calls")
    return ended_well and bool(response.text.strip()) and not response.simulated


def cache_key(links: Sequence[Link], request: Request) -> str:
    """64 hex characters that name all that decides the answer: who is asked, where, by which API, and what."""
    who = [
        [
            link.provider.name,
            link.provider.config.api,
            link.provider.config.base_url,
            link.provider.config.system_prompt,
            link.model,
            sorted(link.provider.model_entry(link.model).capabilities),
        ]
        for link in links
    ]
    turns = [[message.role, message.content] for message in request.messages]
    what = [turns, dict(request.parameters), request.output_schema, [_content(file) for file in request.files]]
    return digest([WIRE_VERSION, who, what, request.transport, request.tags.get("epoch")])


def _content(file: str) -> str:
    path = Path(file)
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else file
