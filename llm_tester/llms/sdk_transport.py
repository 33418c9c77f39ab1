"""`"transport": "sdk"`: the same request through the vendor's own client, under the same rules as over plain HTTP."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
import weakref
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary, WeakMethod

from llm_tester.errors import ProviderError
from llm_tester.llms.flow import Network, Open, Read, Send
from llm_tester.llms.redaction import AddressFilter
from llm_tester.llms.transport import (
    HTTPTransport,
    OpenReply,
    Reply,
    WireRequest,
    closed_with_its_loop,
    late,
    time_left,
    unreachable,
)
from llm_tester.records import Carrier, TLSConfig

if TYPE_CHECKING:
    import httpx2

SDK = Literal["openai", "anthropic"]

# What says who is calling stays; all else that a client adds by itself may come from the environment.
_KEPT = ("accept", "content-type", "user-agent", "x-stainless-")
# At DEBUG these write addresses and headers to their logs, those of requests too.
_LOGGERS = (
    "anthropic._base_client",
    "openai._base_client",
    "httpx2",
    "httpcore2.connection",
    "httpcore2.http11",
    "httpcore2.proxy",
)


class SDKTransport(HTTPTransport):
    """As HTTPTransport, but what says so, or all where `default` does, is sent by the official client `sdk`.

    Its own retries are off. Address, headers and body are ours, and a key or an organisation that the client would
    find in the environment is left out. Back come plain bytes, as the clients take an HTML page for an answer. One
    client serves all threads, and one lives per event loop.
    """

    def __init__(
        self,
        sdk: SDK,
        default: Carrier = "sdk",
        tls: TLSConfig | None = None,
        *,
        redact: Callable[[str], str] | None = None,
        **limits: Any,
    ) -> None:
        super().__init__(tls, **limits)
        self._sdk = sdk
        self._default = default
        self._redact = redact
        self._lock = threading.Lock()
        self._clients: dict[str | None, Any] = {}
        self._of_loops: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str | None, _LoopClient]] = (
            WeakKeyDictionary()
        )

    def _is_theirs(self, effect: Network) -> bool:
        if isinstance(effect, Read):
            return isinstance(effect.stream.raw, _Body)
        wire: WireRequest = effect.request
        return (wire.transport or self._default) == "sdk"

    # --- in threads

    def send(self, effect: Network) -> Any:
        """Carry the effect out and wait in this thread, for at most its timeout in all."""
        if self._is_theirs(effect):
            # The first import takes longer than some deadlines.
            vendor_of(self._sdk)
        return super().send(effect)

    def _blocking(self, effect: Network) -> Any:
        if not self._is_theirs(effect):
            return super()._blocking(effect)
        vendor = vendor_of(self._sdk)
        try:
            if isinstance(effect, Read):
                return self._piece(effect.stream, effect.stream.raw.read())
            return self._post(effect, vendor)
        except vendor.failures as error:
            return _outcome(error, effect)

    def _post(self, effect: Send | Open, vendor: Vendor) -> Reply | OpenReply:
        wire: WireRequest = effect.request
        client = self._client(wire, vendor)
        response = client.post(wire.url, **self._call(client, effect, vendor))
        headers = _lowered(response)
        if isinstance(effect, Open):
            return _opened(200, headers, _Body(response, response.iter_raw()), effect)
        with contextlib.closing(response):
            return Reply(200, headers, self._whole(response.iter_raw(), headers))

    def _client(self, wire: WireRequest, vendor: Vendor) -> Any:
        proxy = self._proxy(wire.url)
        with self._lock:
            if proxy not in self._clients:
                self._clients[proxy] = client = vendor.client(**self._settings(wire, proxy, asynchronous=False))
                weakref.finalize(self, client.close)
            return self._clients[proxy]

    def _refuse(self, response: httpx2.Response) -> None:
        """Ends a call whose status is no 200: the clients would read, and expand, its body without a bound."""
        if response.status_code != 200:
            headers = _lowered(response)
            raise _Refused(Reply(response.status_code, headers, self._whole(response.iter_raw(), headers)))

    # --- on event loops

    async def asend(self, effect: Network) -> Any:
        """Carry the effect out on the running event loop."""
        if not self._is_theirs(effect):
            return await super().asend(effect)
        vendor = vendor_of(self._sdk)
        try:
            async with asyncio.timeout(time_left(effect)):
                if isinstance(effect, Read):
                    return self._piece(effect.stream, await effect.stream.raw.aread())
                return await self._apost(effect, vendor)
        except vendor.failures as error:
            return _outcome(error, effect)

    async def _apost(self, effect: Send | Open, vendor: Vendor) -> Reply | OpenReply:
        wire: WireRequest = effect.request
        client = await self._aclient(wire, vendor)
        response = await client.post(wire.url, **self._call(client, effect, vendor))
        headers = _lowered(response)
        if isinstance(effect, Open):
            return _opened(200, headers, _AsyncBody(response, response.aiter_raw()), effect)
        async with contextlib.aclosing(response):
            return Reply(200, headers, await self._awhole(response.aiter_raw(), headers))

    async def _aclient(self, wire: WireRequest, vendor: Vendor) -> Any:
        proxy = self._proxy(wire.url)
        clients = self._of_loops.setdefault(asyncio.get_running_loop(), {})
        if proxy not in clients:
            client = vendor.async_client(**self._settings(wire, proxy, asynchronous=True))
            clients[proxy] = _LoopClient(client, closed_with_its_loop(client))
            await anext(clients[proxy].keeper)
        return clients[proxy].client

    async def _arefuse(self, response: httpx2.Response) -> None:
        if response.status_code != 200:
            headers = _lowered(response)
            raise _Refused(Reply(response.status_code, headers, await self._awhole(response.aiter_raw(), headers)))

    async def _awhole(self, chunks: AsyncIterator[bytes], headers: Mapping[str, str]) -> bytes:
        body = bytearray()
        async for chunk in chunks:
            body += chunk
            if len(body) > self._max_bytes:
                raise self._too_large()
        return self._plain(bytes(body), headers)

    async def aclose(self) -> None:
        """Close what the running event loop uses, which else is closed when the loop ends."""
        await super().aclose()
        for held in self._of_loops.pop(asyncio.get_running_loop(), {}).values():
            await held.keeper.aclose()

    # --- both

    def _settings(self, wire: WireRequest, proxy: str | None, *, asynchronous: bool) -> dict[str, Any]:
        import httpx2

        redact, self._redact = self._redact, None
        if redact is not None:
            _hide_keys(self, redact)
        kind: Any = httpx2.AsyncClient if asynchronous else httpx2.Client
        network = kind(
            verify=self._tls.context(),
            proxy=proxy,
            # The proxy is chosen as over plain HTTP, and the certificates are.
            trust_env=False,
            follow_redirects=False,
            limits=httpx2.Limits(max_connections=None, max_keepalive_connections=self._connections),
            event_hooks={"response": [_weakly(self._arefuse if asynchronous else self._refuse)]},
        )
        # Explicit, or the clients would take them from the environment.
        return {
            "api_key": "unused",
            "base_url": f"{urlsplit(wire.url).scheme}://{wire.host}",
            "max_retries": 0,
            "http_client": network,
        }

    def _call(self, client: Any, effect: Send | Open, vendor: Vendor) -> dict[str, Any]:
        """What our request is in the terms of a client's `post`, which gives back the unread response."""
        import httpx2

        wire: WireRequest = effect.request
        added = {*client.auth_headers, *client.default_headers}
        ours = {name.lower() for name in wire.headers}
        left_out = {name for name in added if name.lower() not in ours and not name.lower().startswith(_KEPT)}
        return {
            "cast_to": httpx2.Response,
            "content": wire.body,
            "options": {
                "headers": {**dict.fromkeys(left_out, vendor.omit), **wire.headers, "Accept-Encoding": "identity"},
                "timeout": httpx2.Timeout(effect.timeout, connect=min(self._connect_timeout, effect.timeout)),
            },
            "stream": True,
        }


@dataclass(frozen=True, slots=True)
class Vendor:
    """What is used of a vendor's package."""

    client: Callable[..., Any]
    async_client: Callable[..., Any]
    omit: Any
    failures: tuple[type[Exception], ...]


def vendor_of(sdk: SDK) -> Vendor:
    """The package, imported at its first use."""
    module = _openai() if sdk == "openai" else _anthropic()
    import httpx2

    clients = (module.OpenAI, module.AsyncOpenAI) if sdk == "openai" else (module.Anthropic, module.AsyncAnthropic)
    theirs = (module.APIError, httpx2.HTTPError, httpx2.StreamError)
    return Vendor(*clients, module.Omit(), (_Refused, ProviderError, OSError, *theirs))


def _openai() -> ModuleType:
    import openai

    return openai


def _anthropic() -> ModuleType:
    import anthropic

    return anthropic


@dataclass(frozen=True, slots=True)
class _LoopClient:
    client: Any
    keeper: AsyncGenerator[None, None]


class _Refused(Exception):
    """Carries a reply whose status is no 200 out of a client."""

    def __init__(self, reply: Reply) -> None:
        super().__init__()
        self.reply = reply


class _Body:
    """The body of a reply in a client's hands; empty at its end."""

    def __init__(self, response: Any, pieces: Iterator[bytes]) -> None:
        self._response = response
        self._pieces = pieces

    def read(self) -> bytes:
        """What has come, waiting for at least a byte."""
        return next(self._pieces, b"")

    def close(self) -> None:
        """Drop the connection."""
        self._response.close()


class _AsyncBody(_Body):
    """As _Body, on the event loop."""

    def __init__(self, response: Any, pieces: AsyncIterator[bytes]) -> None:
        self._response = response
        self._coming = pieces
        self._closing: asyncio.Task[None] | None = None

    async def aread(self) -> bytes:
        """What has come, waiting for at least a byte."""
        return await anext(self._coming, b"")

    def close(self) -> None:
        """Drop the connection, as soon as the loop comes to it."""
        self._closing = asyncio.get_running_loop().create_task(self._response.aclose())


class _Told(_Body):
    """A body that is here already."""

    def __init__(self, body: bytes) -> None:
        super().__init__(None, iter((body,) if body else ()))

    async def aread(self) -> bytes:
        """As read."""
        return self.read()

    def close(self) -> None:
        """Nothing is open."""


def _opened(status: int, headers: Mapping[str, str], body: _Body, effect: Open) -> OpenReply:
    return OpenReply(status, headers, body, effect.request.host, time.monotonic() + effect.timeout)


def _outcome(error: Exception, effect: Network) -> Reply | OpenReply | ProviderError:
    """The reply that a client would not hand on, or our error in place of what it met."""
    import httpx2

    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ProviderError):
            return cause
        if isinstance(cause, _Refused):
            reply = cause.reply
            if not isinstance(effect, Open):
                return reply
            plain = {name: value for name, value in reply.headers.items() if name != "content-encoding"}
            return _opened(reply.status, plain, _Told(reply.body), effect)
        if isinstance(cause, httpx2.TimeoutException | TimeoutError):
            return late(effect.timeout)
        # One client hands on what its network raises, the other wraps it.
        cause = cause.__cause__
    return unreachable(error, effect)


def _lowered(response: Any) -> dict[str, str]:
    return {name.lower(): value for name, value in response.headers.items()}


def _weakly(method: Callable[..., Any]) -> Callable[..., Any]:
    """`method` in a form that does not keep its object alive; that is at work whenever this is called."""
    held = WeakMethod(method)

    def call(*arguments: Any) -> Any:
        found = held()
        return None if found is None else found(*arguments)

    return call


def _hide_keys(owner: object, redact: Callable[[str], str]) -> None:
    """Keeps keys out of the clients' logs while `owner` lives."""
    held = _weakly(redact)
    hiding = AddressFilter(lambda text: held(text) or text)
    for name in _LOGGERS:
        logger = logging.getLogger(name)
        logger.addFilter(hiding)
        weakref.finalize(owner, logger.removeFilter, hiding)
