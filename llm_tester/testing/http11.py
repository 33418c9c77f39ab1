"""HTTP/1.1 as bytes: requests out of what a client sends, and the parts of an answer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from http import HTTPStatus

MAX_HEAD = 64 * 1024
MAX_BODY = 256 * 1024 * 1024
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
LAST_CHUNK = b"0\r\n\r\n"
REASONS = {status.value: status.phrase for status in HTTPStatus}


class MalformedRequestError(ValueError):
    """Bytes that are no HTTP request; `status` is what to answer."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


@dataclass(slots=True)
class Request:
    """A request with its body; header names are in lower case, and repeated headers are joined by commas."""

    method: str
    target: str
    version: str
    headers: dict[str, str]
    body: bytes = b""

    @property
    def keeps_alive(self) -> bool:
        """Whether the connection outlives the answer."""
        return self.version == "HTTP/1.1" and "close" not in self.headers.get("connection", "").lower()


class RequestParser:
    """Feed it bytes in any pieces, and take requests out of it."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._body = bytearray()
        self._head: Request | None = None
        self._asked_to_continue = False

    def feed(self, data: bytes) -> None:
        """Takes what the client sent."""
        self._buffer += data

    def take(self) -> Request | None:
        """The next whole request, or None as long as it is not there; raises MalformedRequestError."""
        if self._head is None:
            self._head = self._read_head()
            if self._head is None:
                return None
        request = self._head
        if not self._read_body(request.headers):
            return None
        request.body = bytes(self._body)
        self._head = None
        self._body.clear()
        self._asked_to_continue = False
        return request

    def must_continue(self) -> bool:
        """Whether the client waits for leave to send the body; true once for each request."""
        head = self._head
        if head is None or self._asked_to_continue or self._buffer:
            return False
        self._asked_to_continue = True
        return head.headers.get("expect", "").lower() == "100-continue"

    def _read_head(self) -> Request | None:
        while self._buffer.startswith(b"\r\n"):
            del self._buffer[:2]
        end = self._buffer.find(b"\r\n\r\n")
        if max(end, len(self._buffer) if end < 0 else 0) > MAX_HEAD:
            raise MalformedRequestError("the head of the request is too large", 431)
        if end < 0:
            return None
        head = self._buffer[:end].decode("latin-1")
        del self._buffer[: end + 4]
        return read_head(head)

    def _read_body(self, headers: Mapping[str, str]) -> bool:
        if "transfer-encoding" in headers:
            return self._read_chunks()
        length = read_length(headers.get("content-length", "0"), 10)
        if len(self._buffer) < length:
            return False
        self._body += self._buffer[:length]
        del self._buffer[:length]
        return True

    def _read_chunks(self) -> bool:
        while (end := self._buffer.find(b"\r\n")) >= 0:
            size = read_length(self._buffer[:end].decode("latin-1").partition(";")[0], 16)
            if size == 0:
                return self._read_trailer(end)
            after = end + 2 + size
            if len(self._buffer) < after + 2:
                return False
            if self._buffer[after : after + 2] != b"\r\n":
                raise MalformedRequestError("a chunk of the body is longer than its size")
            self._body += self._buffer[end + 2 : after]
            del self._buffer[: after + 2]
            if len(self._body) > MAX_BODY:
                raise MalformedRequestError("the body is too large", 413)
        return False

    def _read_trailer(self, start: int) -> bool:
        end = self._buffer.find(b"\r\n\r\n", start)
        if end < 0:
            return False
        del self._buffer[: end + 4]
        return True


def read_head(text: str) -> Request:
    """The request that a head announces; raises MalformedRequestError."""
    first, *lines = text.split("\r\n")
    words = first.split(" ")
    if len(words) != 3 or not words[2].startswith("HTTP/1."):
        raise MalformedRequestError("the request line is malformed")
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon:
            raise MalformedRequestError("a header has no colon")
        name, value = name.strip().lower(), value.strip()
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return Request(words[0], words[1], words[2], headers)


def read_length(text: str, base: int) -> int:
    """A length that a client announced; raises MalformedRequestError for none and for one that is too large."""
    try:
        length = int(text, base)
    except ValueError:
        raise MalformedRequestError("a length of the body is no number") from None
    if length < 0:
        raise MalformedRequestError("a length of the body is negative")
    if length > MAX_BODY:
        raise MalformedRequestError("the body is too large", 413)
    return length


def write_head(status: int, headers: Iterable[tuple[str, str]]) -> bytes:
    """The head of an answer."""
    lines = "".join([f"{name}: {value}\r\n" for name, value in headers])
    return f"HTTP/1.1 {status} {REASONS.get(status, '')}\r\n{lines}\r\n".encode("latin-1", "replace")


def write_chunk(data: bytes) -> bytes:
    """A chunk of a body in chunks."""
    return b"%x\r\n%b\r\n" % (len(data), data)
