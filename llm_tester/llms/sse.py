"""Server-sent events as a push parser: bytes in, events out, wherever a chunk is split (WHATWG HTML, section 9.2)."""

from __future__ import annotations

from dataclasses import dataclass

from llm_tester.errors import BadResponseError

MAX_EVENT = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Event:
    """One event: its name ("message" where it has none) and its data."""

    name: str
    data: str


class EventParser:
    """Feed it bytes; it gives the events that they complete. An unfinished event at the end is no event."""

    def __init__(self) -> None:
        self._rest = b""
        self._name = ""
        self._data: list[str] = []
        self._first = True

    def feed(self, piece: bytes) -> list[Event]:
        """The events that `piece` completes; raises BadResponseError for one that is too large."""
        if self._first and piece:
            piece, self._first = piece.removeprefix(b"\xef\xbb\xbf"), False
        text = (self._rest + piece).replace(b"\r\n", b"\n")
        # A lone CR ends a line too, but at the end of a piece it may be half of a CRLF.
        held = text.endswith(b"\r")
        *lines, rest = text[: len(text) - held].replace(b"\r", b"\n").split(b"\n")
        self._rest = rest + b"\r" * held
        if len(self._rest) > MAX_EVENT:
            raise BadResponseError("an event of the stream is too large", reason="too_large")
        found = [self._line(line) for line in lines]
        return [event for event in found if event is not None]

    def _line(self, line: bytes) -> Event | None:
        if not line:
            return self._dispatch()
        field, _, value = line.decode("utf-8", "replace").partition(":")
        value = value.removeprefix(" ")
        if field == "data":
            self._data.append(value)
        elif field == "event":
            self._name = value
        return None

    def _dispatch(self) -> Event | None:
        name, data = self._name or "message", self._data
        self._name, self._data = "", []
        return Event(name, "\n".join(data)) if data else None
