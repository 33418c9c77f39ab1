"""Streamed answers: what an API's parser does, one streamed try as a flow, and the objects that users iterate."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from types import TracebackType
from typing import Any, Protocol, Self

from llm_tester.errors import BadResponseError, ProviderConnectionError, ProviderError, StreamAbandoned
from llm_tester.llms.exchange import Delivery
from llm_tester.llms.flow import Effect, Emit, Flow, Open, Read, Session
from llm_tester.llms.sse import Event, EventParser
from llm_tester.llms.transport import OpenReply, Reply, WireRequest
from llm_tester.records import Response, UsageData


class StreamParser(Protocol):
    """Reads the events of one streamed answer."""

    @property
    def finished(self) -> bool:
        """Whether the API has said that the answer is whole."""

    def feed(self, event: Event) -> str:
        """The text in one event; raises ProviderError for an error that the stream tells."""

    def usage(self) -> UsageData | None:
        """What the stream has counted so far; None where it has not counted."""

    def delivery(self) -> Delivery:
        """The whole answer; raises BadResponseError where there is none."""


def streamed(
    wire: WireRequest, parser: StreamParser, read: Callable[[Reply], Delivery | ProviderError], timeout: float
) -> Flow[Delivery | ProviderError]:
    """One try: opens the stream, emits text as it comes, and ends with the delivery or with an error that keeps what
    came. A reply that is no event stream is read whole, by `read`."""
    reply = yield Open(wire, timeout)
    if isinstance(reply, ProviderError):
        return reply
    if reply.status != 200 or "event-stream" not in reply.headers.get("content-type", ""):
        return (yield from _whole(reply, read, timeout))
    texts: list[str] = []
    try:
        yield from _events(reply, parser, texts, timeout)
        return parser.delivery()
    except ProviderError as error:
        error.text = error.text or "".join(texts)
        error.usage = error.usage or parser.usage()
        return error
    finally:
        reply.close()


def _events(reply: OpenReply, parser: StreamParser, texts: list[str], timeout: float) -> Generator[Effect, Any, None]:
    events = EventParser()
    while not reply.ended:
        piece = yield Read(reply, timeout)
        if isinstance(piece, ProviderError):
            if parser.finished:
                # Some servers drop the connection right after their last event.
                return
            raise piece
        found, failure = _texts(parser, events.feed(piece))
        if found:
            texts += found
            yield Emit(found)
        if failure is not None:
            raise failure
    if not parser.finished:
        cut = ProviderConnectionError("the stream ended before the answer did")
        cut.sent = True
        raise cut


def _texts(parser: StreamParser, events: list[Event]) -> tuple[tuple[str, ...], ProviderError | None]:
    """The text in some events, up to the error that one of them may tell."""
    found: list[str] = []
    try:
        for event in events:
            found += filter(None, [parser.feed(event)])
    except ProviderError as error:
        return tuple(found), error
    return tuple(found), None


def _whole(
    reply: OpenReply, read: Callable[[Reply], Delivery | ProviderError], timeout: float
) -> Generator[Effect, Any, Delivery | ProviderError]:
    body = bytearray()
    while not reply.ended:
        piece = yield Read(reply, timeout)
        if isinstance(piece, ProviderError):
            return piece
        body += piece
    outcome = read(Reply(reply.status, reply.headers, bytes(body)))
    if isinstance(outcome, Delivery):
        yield from emitted_whole(outcome.text)
    return outcome


def emitted_whole(text: str) -> Generator[Effect, Any, None]:
    """Hand out an answer that came in one piece; who leaves then has had all of it."""
    if text:
        with contextlib.suppress(StreamAbandoned):
            yield Emit((text,))


class _Finished:
    """What both kinds of stream know at their end."""

    _response: Response | None = None

    @property
    def response(self) -> Response:
        """The whole answer with usage and cost; raises BadResponseError before the stream's end."""
        if self._response is None:
            raise BadResponseError(
                "the stream has not ended", reason="unfinished", hint="Iterate to its end, then ask for the response."
            )
        return self._response


class Stream(_Finished):
    """The text of an answer, piece by piece; left early, it is closed and what it bought is settled.

    A stream that breaks off raises the ProviderError, whose `text` is what came.
    """

    def __init__(self, flow: Flow[Response], session: Session) -> None:
        self._pieces = self._drive(flow, session)

    def _drive(self, flow: Flow[Response], session: Session) -> Generator[str, None, None]:
        """As flow.drive, handing out what the flow emits."""
        left = False
        try:
            effect = next(flow)
            while True:
                try:
                    if isinstance(effect, Emit) and not left:
                        yield from effect.pieces
                    answer = session.perform(effect)
                except GeneratorExit:
                    left = True
                    effect = flow.throw(StreamAbandoned("the stream was left before its end"))
                except BaseException as error:  # noqa: BLE001 - the flow decides, and settles what it holds
                    effect = flow.throw(error)
                else:
                    effect = flow.send(answer)
        except StopIteration as end:
            self._response = end.value
        except StreamAbandoned:
            return

    def __iter__(self) -> Iterator[str]:
        return self._pieces

    def __next__(self) -> str:
        return next(self._pieces)

    def close(self) -> None:
        """Let go of the stream."""
        self._pieces.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class AsyncStream(_Finished):
    """As Stream, on the event loop; it may be awaited first, which gives the same object."""

    def __init__(self, flow: Flow[Response], session: Session) -> None:
        self._flow, self._session = flow, session
        self._effect: Effect | None = None
        self._waiting: deque[str] = deque()
        self._ended = False

    def __await__(self) -> Generator[Any, None, Self]:
        return self
        yield

    def __aiter__(self) -> AsyncIterator[str]:
        return self

    async def __anext__(self) -> str:
        while not self._waiting:
            if self._ended:
                raise StopAsyncIteration
            await self._carry_on(None)
        return self._waiting.popleft()

    async def aclose(self) -> None:
        """Let go of the stream."""
        self._waiting.clear()
        if self._effect is not None and not self._ended:
            with contextlib.suppress(StreamAbandoned):
                await self._carry_on(StreamAbandoned("the stream was left before its end"))
        self._ended = True

    async def _carry_on(self, leaving: StreamAbandoned | None) -> None:
        """As flow.adrive, up to the next text, or to the end when it is left."""
        try:
            self._effect = next(self._flow) if leaving is None else self._flow.throw(leaving)
            while leaving is not None or not isinstance(self._effect, Emit):
                try:
                    answer = await self._session.aperform(self._effect)
                except BaseException as error:  # noqa: BLE001 - the flow decides, and settles what it holds
                    self._effect = self._flow.throw(error)
                else:
                    self._effect = self._flow.send(answer)
            self._waiting.extend(self._effect.pieces)
        except StopIteration as end:
            self._response, self._ended = end.value, True
        except BaseException:
            self._ended = True
            raise

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()
