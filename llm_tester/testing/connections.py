"""One client's connection: requests in, answers out, in their order and at their pace."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections import deque
from typing import Protocol, cast

from llm_tester.testing.answers import Answer
from llm_tester.testing.http11 import CONTINUE, MalformedRequestError, Request, RequestParser, write_head

NO_LINGER = struct.pack("ii", 1, 0)


class Service(Protocol):
    """Who answers the requests of all connections."""

    def connected(self, connection: Connection) -> None:
        """A connection is open."""

    def lost(self, connection: Connection) -> None:
        """A connection is closed."""

    def answer(self, request: Request) -> Answer:
        """The answer to a request, which is in flight from now on."""

    def answered(self, answer: Answer) -> None:
        """The last bytes of an answer are about to be written."""

    def abandoned(self) -> None:
        """The client of a request in flight has left."""


class Connection(asyncio.Protocol):
    """Answers requests one after the other, however they come in."""

    def __init__(self, service: Service, loop: asyncio.AbstractEventLoop) -> None:
        self._service = service
        self._loop = loop
        self._parser = RequestParser()
        self._transport: asyncio.Transport
        self._answer: Answer | None = None
        self._pieces: deque[bytes] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Takes over a new connection."""
        self._transport = cast("asyncio.Transport", transport)
        self._service.connected(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forgets what was still to be sent."""
        if self._timer:
            self._timer.cancel()
        if self._answer:
            self._answer = None
            self._service.abandoned()
        self._service.lost(self)

    def data_received(self, data: bytes) -> None:
        """Takes what the client sent, and answers what is whole."""
        self._parser.feed(data)
        self._advance()

    def abort(self) -> None:
        """Closes the connection at once, whatever is under way."""
        self._transport.abort()

    def _advance(self) -> None:
        while self._answer is None and not self._transport.is_closing():
            try:
                request = self._parser.take()
            except MalformedRequestError as error:
                self._refuse(error)
                return
            if request is None:
                self._ask_for_body()
                return
            self._start(self._service.answer(request))

    def _ask_for_body(self) -> None:
        if self._parser.must_continue():
            self._transport.write(CONTINUE)

    def _refuse(self, error: MalformedRequestError) -> None:
        text = str(error).encode()
        headers = {"content-type": "text/plain", "content-length": str(len(text)), "connection": "close"}
        self._transport.write(write_head(error.status, headers.items()) + text)
        self._transport.close()

    def _start(self, answer: Answer) -> None:
        self._answer = answer
        if answer.delay > 0:
            self._timer = self._loop.call_later(answer.delay, self._resume)
        else:
            self._begin(answer)

    def _resume(self) -> None:
        self._timer = None
        if self._answer:
            self._begin(self._answer)
            self._advance()

    def _begin(self, answer: Answer) -> None:
        if len(answer.pieces) > 1:
            self._pieces.extend(answer.pieces)
            self._send_next()
        elif answer.ending != "hang":
            self._finish(answer, b"".join(answer.pieces))

    def _send_next(self) -> None:
        self._timer = None
        answer = self._answer
        if answer is None:
            return
        piece = self._pieces.popleft()
        if self._pieces:
            self._transport.write(piece)
            self._timer = self._loop.call_later(answer.gap or 0.0, self._send_next)
            return
        self._finish(answer, piece)
        self._advance()

    def _finish(self, answer: Answer, last: bytes) -> None:
        self._answer = None
        self._service.answered(answer)
        if last:
            self._transport.write(last)
        if answer.ending == "close":
            self._transport.close()
        elif answer.ending == "reset":
            self._reset()

    def _reset(self) -> None:
        # A socket that does not linger is closed with RST in place of FIN.
        self._transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, NO_LINGER)
        self._transport.abort()
