"""A server on this machine that speaks the providers' APIs, and can do all that goes wrong with them."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from llm_tester.errors import ConfigurationError
from llm_tester.testing.connections import Connection
from llm_tester.testing.desk import Desk
from llm_tester.testing.plays import Play, Received, Scripted
from llm_tester.testing.traffic import Rate

HOST = "127.0.0.1"
BACKLOG = 1024
OK = Play()


class LoopbackServer:
    """Serves POST chat/completions, messages and embeddings and GET models, under any prefix, on 127.0.0.1 only.

    It answers by `play`: a Play, a function of the request that gives one, or a list of either whose last one is
    repeated; unknown paths are answered 404, requests above `limit` 429, and bodies that are no JSON object 400, none
    of which takes a play. It runs on a thread of its own between `start` and `stop`, or within a `with`. What a play's
    function raises closes the connection, and is raised again when the `with` ends. `keep=False` counts requests and
    does not keep them; `certificate` and `key` are files in PEM that make it speak TLS, and with `client_ca` only
    clients with a certificate of that authority are served.
    """

    def __init__(
        self,
        play: Scripted = OK,
        *,
        models: Sequence[str] = ("loopback",),
        limit: Rate | None = None,
        keep: bool = True,
        port: int = 0,
        certificate: Path | None = None,
        key: Path | None = None,
        client_ca: Path | None = None,
    ) -> None:
        self._desk = Desk(play, models, limit, keep=keep)
        self._tally = self._desk.tally
        self._port = port
        self._tls = _tls(certificate, key, client_ca)
        self._url = ""
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()
        failure, self._desk.failure = self._desk.failure, None
        if failure is None:
            return
        if error is None:
            raise failure
        error.add_note(f"The loopback server failed first: {failure!r}")

    def start(self) -> Self:
        """Listens; raises OSError for a port that is taken, ConfigurationError if it runs already."""
        if self._thread is not None:
            raise ConfigurationError("the loopback server runs already", hint="Make another one.")
        listener = socket.create_server((HOST, self._port), backlog=BACKLOG)
        scheme = "https" if self._tls else "http"
        self._url = f"{scheme}://{HOST}:{listener.getsockname()[1]}"
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(listener,), name="loopback-server", daemon=True)
        self._thread.start()
        self._ready.wait()
        return self

    def stop(self) -> None:
        """Closes all connections, whatever is under way, and returns when the thread has ended."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        self._loop.call_soon_threadsafe(self._stopping.set)
        thread.join()

    def play(self, scripted: Scripted) -> None:
        """Answers by this from now on."""
        self._desk.play(scripted)

    def reset(self) -> None:
        """Forgets all requests and counts, and answers as at the start."""
        self._desk.reset()

    def wait_for(self, count: int, timeout: float = 5.0) -> bool:
        """Waits until so many requests have come in; False if they have not within `timeout` seconds."""
        with self._tally.changed:
            return self._tally.changed.wait_for(lambda: self._tally.count >= count, timeout)

    @property
    def url(self) -> str:
        """Where it listens, without a slash at the end."""
        if not self._url:
            raise ConfigurationError("the loopback server does not run yet", hint="Use it in a `with`.")
        return self._url

    @property
    def received(self) -> list[Received]:
        """The requests so far, in their order."""
        with self._tally.changed:
            return list(self._tally.received)

    @property
    def count(self) -> int:
        """How many requests have come in whole, answered or not."""
        return self._tally.count

    @property
    def by_call(self) -> Counter[str]:
        """Requests by the header x-client-request-id."""
        with self._tally.changed:
            return Counter(self._tally.by_call)

    @property
    def by_model(self) -> Counter[str]:
        """Requests by the model that they ask for."""
        with self._tally.changed:
            return Counter(self._tally.by_model)

    @property
    def by_status(self) -> Counter[int]:
        """Whole answers by status."""
        with self._tally.changed:
            return Counter(self._tally.by_status)

    @property
    def sent(self) -> dict[str, Counter[str]]:
        """Token counts by model asked for, of whole answers with status 200, also where a stream did not tell them.

        An answer counts before its last bytes are written; a raw usage or body, and one that broke off, does not.
        """
        with self._tally.changed:
            return {model: Counter(counts) for model, counts in self._tally.sent.items()}

    @property
    def connections(self) -> int:
        """How many connections were accepted; with TLS those whose handshake was completed."""
        return self._tally.connections

    @property
    def in_flight_peak(self) -> int:
        """How many requests were being answered at once, at most."""
        return self._tally.in_flight_peak

    def _run(self, listener: socket.socket) -> None:
        try:
            asyncio.run(self._serve(listener))
        finally:
            self._ready.set()

    async def _serve(self, listener: socket.socket) -> None:
        self._loop = loop = asyncio.get_running_loop()
        loop.set_exception_handler(self._note_failure)
        self._stopping = asyncio.Event()
        server = await loop.create_server(
            lambda: Connection(self._desk, loop), sock=listener, ssl=self._tls, backlog=BACKLOG
        )
        self._ready.set()
        await self._stopping.wait()
        server.close()
        await self._desk.close()

    def _note_failure(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        # An OSError is the client's doing: it broke off, or refused the certificate.
        if isinstance(error, Exception) and not isinstance(error, OSError):
            self._desk.failure = self._desk.failure or error


def _tls(certificate: Path | None, key: Path | None, client_ca: Path | None) -> ssl.SSLContext | None:
    if certificate is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    if client_ca is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(client_ca)
    return context
