"""HTTP: a request goes out, a status, headers and a bounded body come back, within a deadline, from that host only."""

from __future__ import annotations

import asyncio
import re
import ssl
import threading
import time
import zlib
from collections.abc import AsyncGenerator, Iterator, Mapping
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit
from urllib.request import getproxies_environment, proxy_bypass
from weakref import WeakKeyDictionary

from llm_tester.errors import BadResponseError, ProviderConnectionError, ProviderError, ProviderTimeoutError
from llm_tester.llms.flow import DaemonPool, Network, Open, Read, Send
from llm_tester.records import Carrier, TLSConfig

if TYPE_CHECKING:
    import aiohttp
    import requests

CONNECT_SECONDS = 10.0
MAX_BYTES = 16 * 1024 * 1024
_CHUNK = 64 * 1024


@dataclass(frozen=True, slots=True, repr=False)
class WireRequest:
    """What goes out. `url` and `headers` may hold a key and are never shown; `transport` is the call's own choice."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes
    transport: Carrier | None = None

    def __repr__(self) -> str:
        return f"WireRequest({self.method} to {self.host}, {len(self.body)} bytes)"

    @property
    def host(self) -> str:
        """Host and port."""
        return urlsplit(self.url).netloc


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back; the names of headers are lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class OpenReply:
    """A reply whose body is read piece by piece, until `deadline` on the monotonic clock at the latest."""

    def __init__(self, status: int, headers: Mapping[str, str], raw: Any, host: str, deadline: float) -> None:
        self.host = host
        self.status = status
        self.headers = headers
        self.raw = raw
        self.deadline = deadline
        self.taken = 0
        self.ended = False
        coding = headers.get("content-encoding", "identity").strip().lower()
        self.expander = zlib.decompressobj(wbits=47) if coding in ("gzip", "x-gzip", "deflate") else None

    def close(self) -> None:
        """Drop the connection, where the body has not ended."""
        if not self.ended:
            self.raw.close()


class HTTPTransport:
    """The network of all HTTP providers: `requests` in threads, `aiohttp` on event loops, with the same rules.

    Redirects are not followed, since a key could be sent on with them; bodies above `max_bytes` are an error. One
    session lives per thread and per event loop; it is closed when that ends, or by `close`.
    """

    def __init__(
        self,
        tls: TLSConfig | None = None,
        *,
        connect_timeout: float = CONNECT_SECONDS,
        max_bytes: int = MAX_BYTES,
        connections: int = 64,
    ) -> None:
        self._tls = tls or TLSConfig()
        self._connect_timeout = connect_timeout
        self._max_bytes = max_bytes
        self._connections = connections
        self._pool = DaemonPool(connections)
        self._local = threading.local()
        self._proxies: dict[tuple[str, str], str | None] = {}
        self._loops: WeakKeyDictionary[asyncio.AbstractEventLoop, _LoopSession] = WeakKeyDictionary()

    # --- in threads

    def send(self, effect: Network) -> Any:
        """Carry the effect out and wait in this thread, for at most its timeout in all."""
        job = self._pool.submit(self._blocking, effect)
        try:
            return job.result(time_left(effect))
        except FutureTimeoutError:
            return late(effect.timeout)
        finally:
            # requests bounds each read, not the whole: a body or header that dribbles in is left to its thread.
            self._pool.abandon(job)

    def _blocking(self, effect: Network) -> Any:
        import requests
        import urllib3.exceptions

        try:
            if isinstance(effect, Read):
                return self._piece(effect.stream, effect.stream.raw.read())
            return self._request(effect)
        except (requests.Timeout, urllib3.exceptions.TimeoutError):
            return late(effect.timeout)
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            return unreachable(error, effect)
        except ProviderError as error:
            return error

    def _request(self, effect: Send | Open) -> Reply | OpenReply:
        wire: WireRequest = effect.request
        response = self._session().request(
            wire.method,
            wire.url,
            headers={**wire.headers, "Accept-Encoding": "identity"},
            data=wire.body or None,
            timeout=(min(self._connect_timeout, effect.timeout), effect.timeout),
            allow_redirects=False,
            stream=True,
            proxies={urlsplit(wire.url).scheme: proxy} if (proxy := self._proxy(wire.url)) else {},
            **self._tls.as_requests_kwargs(),
        )
        headers = {name.lower(): value for name, value in response.headers.items()}
        if isinstance(effect, Open):
            body = _Body(response)
            return OpenReply(response.status_code, headers, body, wire.host, time.monotonic() + effect.timeout)
        with response:
            chunks = response.raw.stream(_CHUNK, decode_content=False)
            return Reply(response.status_code, headers, self._whole(chunks, headers))

    def _session(self) -> requests.Session:
        import requests

        session: requests.Session | None = getattr(self._local, "session", None)
        if session is None:
            session = self._local.session = requests.Session()
            # With trust_env a login from ~/.netrc would replace the key.
            session.trust_env = False
        return session

    def _whole(self, chunks: Iterator[bytes], headers: Mapping[str, str]) -> bytes:
        body = bytearray()
        for chunk in chunks:
            body += chunk
            if len(body) > self._max_bytes:
                raise self._too_large()
        return self._plain(bytes(body), headers)

    # --- on event loops

    async def asend(self, effect: Network) -> Any:
        """Carry the effect out on the running event loop."""
        import aiohttp

        try:
            async with asyncio.timeout(time_left(effect)):
                if isinstance(effect, Read):
                    with _Watch(effect.stream.raw):
                        return self._piece(effect.stream, await effect.stream.raw.content.readany())
                return await self._arequest(effect)
        except TimeoutError:
            return late(effect.timeout)
        except (aiohttp.ClientError, OSError, ssl.SSLError) as error:
            return unreachable(error, effect)
        except ProviderError as error:
            return error

    async def _arequest(self, effect: Send | Open) -> Reply | OpenReply:
        wire: WireRequest = effect.request
        loop = asyncio.get_running_loop()
        held = self._loops.get(loop)
        session = await self._begin(loop) if held is None or held.session.closed else held.session
        proxy = self._proxy(wire.url)
        plain = proxy is None and wire.url.startswith("http:")
        response = await session.request(
            wire.method,
            wire.url,
            headers={**wire.headers, "Accept-Encoding": "identity"},
            data=wire.body or None,
            allow_redirects=False,
            proxy=proxy,
            ssl=True if plain else self._trust,
        )
        headers = {name.lower(): value for name, value in response.headers.items()}
        if isinstance(effect, Open):
            return OpenReply(response.status, headers, response, wire.host, time.monotonic() + effect.timeout)
        if response.content.is_eof():
            # Short answers come with their head: nothing is to be waited for, and the connection is free already.
            return Reply(response.status, headers, self._plain(response.content.read_nowait(), headers))
        body = bytearray()
        async with response:
            with _Watch(response):
                async for chunk in response.content.iter_any():
                    body += chunk
                    if len(body) > self._max_bytes:
                        response.close()
                        raise self._too_large()
        return Reply(response.status, headers, self._plain(bytes(body), headers))

    @cached_property
    def _trust(self) -> ssl.SSLContext:
        # Reading all the authorities that a system trusts takes longer than many calls.
        return self._tls.context()

    async def _begin(self, loop: asyncio.AbstractEventLoop) -> aiohttp.ClientSession:
        """A session for `loop`, closed with it."""
        import aiohttp

        session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=self._connect_timeout),
            auto_decompress=False,
            trust_env=False,
            cookie_jar=aiohttp.DummyCookieJar(),
        )
        held = self._loops[loop] = _LoopSession(session, closed_with_its_loop(session))
        await anext(held.keeper)
        return session

    async def aclose(self) -> None:
        """Close the running event loop's session, which else is closed when the loop ends."""
        held = self._loops.pop(asyncio.get_running_loop(), None)
        if held is not None:
            await held.keeper.aclose()

    # --- both

    def _proxy(self, url: str) -> str | None:
        # Reading the whole environment for every call would cost more than the rest of the call.
        scheme, netloc = urlsplit(url)[:2]
        if (scheme, netloc) not in self._proxies:
            self._proxies[scheme, netloc] = proxy_for(url)
        return self._proxies[scheme, netloc]

    def _piece(self, stream: OpenReply, piece: bytes) -> bytes:
        """The next bytes of a stream, expanded where the server compresses; `ended` says when there are no more."""
        stream.ended = not piece
        if stream.expander is not None:
            try:
                piece = stream.expander.decompress(piece, self._max_bytes + 1)
            except zlib.error as error:
                raise BadResponseError(f"the compressed stream is broken: {error}", reason="bad_encoding") from None
        stream.taken += len(piece)
        if stream.taken > self._max_bytes:
            raise self._too_large()
        return piece

    def _plain(self, body: bytes, headers: Mapping[str, str]) -> bytes:
        """The body of a server that compresses although it was asked not to, expanded no further than the cap."""
        if len(body) > self._max_bytes:
            raise self._too_large()
        coding = headers.get("content-encoding", "identity").strip().lower()
        if coding in ("", "identity") or not body:
            return body
        if coding not in ("gzip", "x-gzip", "deflate"):
            raise BadResponseError(f"the body is encoded as {coding}", reason="bad_encoding")
        expander = zlib.decompressobj(wbits=47)
        try:
            plain = expander.decompress(body, self._max_bytes + 1)
        except zlib.error as error:
            raise BadResponseError(f"the {coding} body is broken: {error}", reason="bad_encoding") from None
        if len(plain) > self._max_bytes:
            raise self._too_large()
        return plain

    def _too_large(self) -> BadResponseError:
        return BadResponseError(f"the answer is larger than {self._max_bytes:,} bytes", reason="too_large")


class _Body:
    """The body of a reply in requests' hands."""

    def __init__(self, response: requests.Response) -> None:
        self._response = response
        raw = response.raw
        self._chunks = raw.read_chunked(_CHUNK, decode_content=False) if raw.chunked else None

    def read(self) -> bytes:
        """What has come, waiting for at least a byte; empty at the end."""
        if self._chunks is not None:
            return next(self._chunks, b"")
        return self._response.raw.read1(_CHUNK, decode_content=False) or b""

    def close(self) -> None:
        """Drop the connection."""
        self._response.close()


def time_left(effect: Network) -> float:
    """Seconds for an effect: a stream's own deadline holds for all its reads together."""
    if isinstance(effect, Read):
        left: float = effect.stream.deadline - time.monotonic()
        return max(0.0, min(effect.timeout, left))
    return effect.timeout


class _Watch:
    """While it is entered, a connection that closes ends the reading of a body.

    aiohttp 3.14 closes the connection when a later chunk cannot be parsed, and leaves who reads the body waiting.
    """

    __slots__ = ("_closed", "_content")

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._content = response.content
        connection = response.connection
        self._closed = None if connection is None or connection.protocol is None else connection.protocol.closed

    def __enter__(self) -> None:
        if self._closed is not None:
            self._closed.add_done_callback(self._end)

    def __exit__(self, *_: object) -> None:
        if self._closed is not None:
            self._closed.remove_done_callback(self._end)

    def _end(self, closed: asyncio.Future[None]) -> None:
        cause = None if closed.cancelled() else closed.exception()
        if not self._content.is_eof() and self._content.exception() is None:
            self._content.set_exception(cause or ConnectionResetError("the body broke off"))


class Closable(Protocol):
    """What lives as long as an event loop."""

    async def close(self) -> None:
        """Let go of its connections."""


@dataclass(frozen=True, slots=True)
class _LoopSession:
    session: aiohttp.ClientSession
    keeper: AsyncGenerator[None, None]


async def closed_with_its_loop(session: Closable) -> AsyncGenerator[None, None]:
    """Event loops finish suspended async generators when they shut down: this one closes its session then."""
    try:
        yield
    finally:
        await session.close()


NEVER_MADE = re.compile("Connector|NewConnection|NameResolution|ConnectError|ConnectTimeout|Refused|SSL|Proxy")
"""Errors, of all clients, of a connection that was not made."""


def late(seconds: float) -> ProviderTimeoutError:
    """The error of a deadline."""
    return ProviderTimeoutError(f"no whole answer within {seconds:g} s")


def unreachable(error: BaseException, effect: Network) -> ProviderConnectionError:
    """What the system said; the error's own text would hold the address, and that may hold a key."""
    host = effect.stream.host if isinstance(effect, Read) else effect.request.host
    chain: list[BaseException] = [error]
    while (cause := chain[-1].__cause__ or chain[-1].__context__) is not None:
        chain.append(cause)
    reason = next((cause.strerror for cause in chain if isinstance(cause, OSError) and cause.strerror), "")
    failure = ProviderConnectionError(f"{type(error).__name__} at {host}{f': {reason}' if reason else ''}")
    failure.sent = isinstance(effect, Read) or not any(NEVER_MADE.search(type(cause).__name__) for cause in chain)
    return failure


def proxy_for(url: str) -> str | None:
    """The proxy that the environment (HTTPS_PROXY, NO_PROXY ...) names for an address."""
    parts = urlsplit(url)
    if proxy_bypass(parts.netloc):
        return None
    return getproxies_environment().get(parts.scheme)
