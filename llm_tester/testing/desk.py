"""What the loopback server does with a request: reads it, counts it, and finds the play that answers it."""

from __future__ import annotations

import asyncio
import json
import math
import time
from collections.abc import Sequence
from typing import Any

from llm_tester.testing.answers import Answer, answer
from llm_tester.testing.connections import Connection
from llm_tester.testing.http11 import Request
from llm_tester.testing.plays import Api, Play, Received, Script, Scripted
from llm_tester.testing.traffic import Rate, Tally, TokenBucket

ROUTES: dict[tuple[str, str], Api] = {
    ("POST", "/completions"): "openai",
    ("POST", "/messages"): "anthropic",
    ("POST", "/embeddings"): "embeddings",
    ("GET", "/models"): "models",
}


class Desk:
    """Answers requests on the server's thread; `open` are the connections that there are."""

    def __init__(self, scripted: Scripted, models: Sequence[str], limit: Rate | None, *, keep: bool) -> None:
        self.open: set[Connection] = set()
        self.failure: BaseException | None = None
        self._closed: asyncio.Event | None = None
        self.tally = Tally(keep=keep)
        self._models = tuple(models)
        self._limit = limit
        self._first = scripted
        self.reset()

    def play(self, scripted: Scripted) -> None:
        """Answers by this from now on."""
        self._script = Script(scripted)

    def reset(self) -> None:
        """Forgets all requests, and answers as at the start."""
        self.tally.reset()
        self._script = Script(self._first)
        self._bucket = TokenBucket(self._limit) if self._limit else None

    def connected(self, connection: Connection) -> None:
        """A connection is open; one that comes while the server stops is closed at once."""
        self.open.add(connection)
        self.tally.connected()
        if self._closed:
            connection.abort()

    def lost(self, connection: Connection) -> None:
        """A connection is closed."""
        self.open.discard(connection)
        if self._closed and not self.open:
            self._closed.set()

    async def close(self) -> None:
        """Closes all connections, whatever is under way, and returns when they are closed."""
        self._closed = asyncio.Event()
        for connection in tuple(self.open):
            connection.abort()
        if self.open:
            await self._closed.wait()
        self._closed = None

    def answer(self, request: Request) -> Answer:
        """The answer to a request, which is in flight from now on; `failure` keeps what a function raises."""
        received = read(request, self.tally.count + 1)
        self.tally.arrived(received)
        try:
            return answer(self._play_for(received), received, request, self._models)
        except BaseException as error:
            self.failure = self.failure or error
            self.tally.abandoned()
            raise

    def answered(self, answer: Answer) -> None:
        """The last bytes of an answer are about to be written."""
        self.tally.answered(answer)

    def abandoned(self) -> None:
        """The client of a request in flight has left."""
        self.tally.abandoned()

    def _play_for(self, received: Received) -> Play:
        if not received.api:
            told = {"message": f"there is no {received.method} {received.path}", "code": None}
            return Play(status=404, error=told)
        wait = self._bucket.take() if self._bucket else 0.0
        if wait:
            return Play(status=429, headers={"retry-after": f"{math.ceil(wait * 1000) / 1000:.3f}"})
        if received.method == "POST" and not isinstance(received.body, dict):
            return Play(status=400, error={"message": "the body of the request is no JSON object"})
        return self._script.play(received)


def read(request: Request, number: int) -> Received:
    """What a request says."""
    path, _, query = request.target.partition("?")
    body = _json(request.body) if request.body else None
    fields = body if isinstance(body, dict) else {}
    return Received(
        number=number,
        method=request.method,
        path=path,
        query=query,
        headers=request.headers,
        raw=request.body,
        body=body,
        api=_api(request.method, path),
        model=_model(fields.get("model"), path),
        call_id=request.headers.get("x-client-request-id", ""),
        stream=fields.get("stream") is True,
        at=time.monotonic(),
    )


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _api(method: str, path: str) -> Api:
    before, slash, last = path.rstrip("/").rpartition("/")
    api = ROUTES.get((method, slash + last), "")
    return "" if api == "openai" and not before.endswith("/chat") else api


def _model(named: Any, path: str) -> str:
    """The model that the body names, or else the deployment of a path of Azure."""
    if isinstance(named, str):
        return named
    _, found, rest = path.partition("/deployments/")
    return rest.partition("/")[0] if found else ""
