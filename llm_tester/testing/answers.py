"""From a play to the bytes of an answer, and to what goes wrong with them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from llm_tester.testing import anthropic_shapes, openai_shapes
from llm_tester.testing.embeddings import embeddings
from llm_tester.testing.http11 import LAST_CHUNK, Request, write_chunk, write_head
from llm_tester.testing.plays import ABSENT, Play, Received
from llm_tester.testing.shapes import counts_of, to_json

Ending = Literal["keep", "close", "reset", "hang"]
DRIBBLE = 0.05
GARBAGE = b"\x16\x03\x01\x00garbage, not HTTP\r\n\r\n"
BAD_CHUNK = b"zz\r\nnot a size\r\n"
NOT_REPORTED = {
    "openai": frozenset[str](),
    "anthropic": frozenset({"audio_input", "audio_output"}),
}


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes over the wire: pieces, `gap` seconds between them (None: all at once), and the connection's end.

    `usage` is what a whole answer with status 200 reported; status 0 stands for no whole answer.
    """

    pieces: tuple[bytes, ...] = ()
    gap: float | None = None
    ending: Ending = "keep"
    delay: float = 0.0
    status: int = 0
    model: str = ""
    usage: Mapping[str, int] | None = None


@dataclass(frozen=True, slots=True)
class Content:
    """The body of an answer in parts, which are the events of a stream."""

    status: int
    content_type: str
    parts: Sequence[bytes]
    streamed: bool = False


BARE: Mapping[str, Answer] = {
    "reset": Answer(ending="reset"),
    "close": Answer(ending="close"),
    "hang": Answer(ending="hang"),
    "garbage": Answer((GARBAGE,), ending="close"),
}
BREAKING = ("cut_stream", "bad_chunk")


def answer(play: Play, received: Received, request: Request, models: Sequence[str]) -> Answer:
    """The answer that a play gives to a request."""
    if play.fault in BARE:
        return replace(BARE[play.fault], delay=play.latency)
    content = content_of(play, received, models)
    chunked = (content.streamed and request.version != "HTTP/1.0") or play.fault == "bad_chunk"
    head = _head(play, content, received, request, chunked)
    body = [] if request.method == "HEAD" else _body(play, content.parts, chunked)
    broken = play.fault in BREAKING
    pieces, gap = _paced(play, head, body)
    return Answer(
        pieces,
        gap,
        ending="keep" if request.keeps_alive and not broken else "close",
        delay=play.latency,
        status=0 if broken else content.status,
        model=received.model,
        usage=None if broken else _reported(play, received),
    )


def content_of(play: Play, received: Received, models: Sequence[str]) -> Content:
    """The body that a play gives to a request, in the shape of the API that was asked."""
    if play.fault == "redirect":
        return Content(play.status if 300 <= play.status < 400 else 307, "text/plain", (b"",))
    if play.raw is not None:
        return Content(play.status, play.content_type, (play.raw,))
    streams = received.stream and received.api in ("openai", "anthropic")
    if play.is_error and not (streams and play.fault == "error_in_stream"):
        return Content(play.status, "application/json", (_error(play, received),))
    if streams:
        stream = anthropic_shapes.stream if received.api == "anthropic" else openai_shapes.stream
        return Content(play.status, "text/event-stream; charset=utf-8", stream(play, received), streamed=True)
    return Content(play.status, "application/json", (_whole(play, received, models),))


def _whole(play: Play, received: Received, models: Sequence[str]) -> bytes:
    if received.api == "anthropic":
        return anthropic_shapes.message(play, received)
    if received.api == "embeddings":
        return embeddings(play, received)
    if received.api == "models":
        listing = anthropic_shapes.models if received.speaks_anthropic else openai_shapes.models
        return listing(models, play)
    return openai_shapes.completion(play, received)


def _error(play: Play, received: Received) -> bytes:
    status = play.status if play.status >= 400 else 500
    if received.api and received.speaks_anthropic:
        return to_json(anthropic_shapes.error_body(play, received, status))
    return to_json(openai_shapes.error_body(play, status))


def _head(play: Play, content: Content, received: Received, request: Request, chunked: bool) -> bytes:
    headers = {
        "content-type": content.content_type,
        "request-id" if received.speaks_anthropic else "x-request-id": f"req_{received.number:06d}",
    }
    if chunked:
        headers["transfer-encoding"] = "chunked"
    else:
        headers["content-length"] = str(sum(map(len, content.parts)))
    if not request.keeps_alive:
        headers["connection"] = "close"
    if play.fault == "redirect":
        headers["location"] = play.location
    if play.headers:
        headers |= {name.lower(): value for name, value in play.headers.items()}
    return write_head(content.status, headers.items())


def _body(play: Play, parts: Sequence[bytes], chunked: bool) -> list[bytes]:
    """The bytes after the head: framed, in the pieces in which they are sent, and broken where the play says so."""
    sent = _first_half(parts) if play.fault in BREAKING else list(parts)
    if play.split:
        sent = _bytes_of(b"".join(sent))
    if not chunked:
        return sent
    framed = [write_chunk(part) for part in sent if part]
    endings: dict[str, list[bytes]] = {"cut_stream": [], "bad_chunk": [BAD_CHUNK]}
    return framed + endings.get(play.fault, [LAST_CHUNK])


def _first_half(parts: Sequence[bytes]) -> list[bytes]:
    middle = len(parts) // 2
    return [*parts[:middle], parts[middle][: len(parts[middle]) // 2]]


def _paced(play: Play, head: bytes, body: list[bytes]) -> tuple[tuple[bytes, ...], float | None]:
    if play.fault == "dribble_headers":
        return (*_bytes_of(head), b"".join(body)), DRIBBLE
    if play.fault == "dribble_body":
        return (head, *_bytes_of(b"".join(body))), DRIBBLE
    if play.pace or play.split:
        return (head, *body), play.pace
    return (b"".join([head, *body]),), None


def _bytes_of(data: bytes) -> list[bytes]:
    return [data[index : index + 1] for index in range(len(data))]


def _reported(play: Play, received: Received) -> Mapping[str, int] | None:
    untold = play.raw is not None or play.raw_usage is not ABSENT or play.fault == "redirect"
    if untold or play.is_error or play.status != 200:
        return None
    if received.api == "embeddings":
        return {name: count for name, count in counts_of(play).items() if name == "input"}
    left_out = NOT_REPORTED.get(received.api)
    if left_out is None:
        return None
    return {name: count for name, count in counts_of(play).items() if name not in left_out}
