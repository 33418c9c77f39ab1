"""What the loopback server is told to answer, and what it was asked."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, get_args

from llm_tester.errors import ConfigurationError, suggestion
from llm_tester.records import TOKEN_CLASSES

Api = Literal["openai", "anthropic", "models", "embeddings", ""]
Fault = Literal[
    "",
    "reset",
    "close",
    "garbage",
    "bad_chunk",
    "dribble_headers",
    "dribble_body",
    "hang",
    "cut_stream",
    "error_in_stream",
    "redirect",
]
InStream = Literal["option", "always", "x_groq"]
ABSENT: Final[Any] = object()


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call that the model makes; `arguments` is JSON text, which OpenAI's shape sends verbatim, broken or not."""

    name: str
    arguments: str = "{}"
    id: str = "call_1"


@dataclass(frozen=True, slots=True)
class Play:
    """One answer of the loopback server; raises ConfigurationError for a fault or a token class that does not exist."""

    text: str = "ok"
    """What the model says; beside tool calls an empty text is sent as null."""
    finish: str = ""
    """stop, length, content_filter, tool_calls, or any other word, sent as it is; empty: what fits the answer."""
    refusal: str = ""
    """Sent in place of the text."""
    tool_calls: tuple[ToolCall, ...] = ()
    model: str = ""
    """The model that the answer names; empty: the one asked for."""
    usage: Mapping[str, int | None] | None = field(default_factory=lambda: {"input": 10, "output": 5})
    """Token counts by the names of records.TOKEN_CLASSES; None: the answer has no usage."""
    raw_usage: Any = ABSENT
    """Any JSON value that stands verbatim where the usage stands."""
    in_stream: InStream = "option"
    """Where an OpenAI stream has its usage: a last chunk if asked for, always the finishing chunk, or x_groq."""
    extra: Mapping[str, Any] = field(default_factory=dict)
    """Further fields of the body; in a stream of every chunk (OpenAI) or of the first message (Anthropic)."""
    status: int = 200
    error: Mapping[str, Any] | None = None
    """message, type, code and what else; made up from the status where left out. With status 200 an error in a 200."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Further headers; they replace those of the server."""
    raw: bytes | None = None
    """A body sent verbatim in place of everything above but the status and the headers."""
    content_type: str = "application/json"
    """The type of a raw body."""
    latency: float = 0.0
    """Seconds before the first byte."""
    pace: float = 0.0
    """Seconds between the events of a stream."""
    chunks: int = 3
    """Into how many pieces the text of a stream is cut."""
    split: bool = False
    """Sends every byte of the body by itself; in a stream each is an HTTP chunk of its own."""
    fault: Fault = ""
    """What goes wrong. Without a stream, cut_stream cuts the body and error_in_stream is an error in a 200."""
    location: str = ""
    """Where a redirect (307, or the 3xx of `status`) goes."""

    def __post_init__(self) -> None:
        _known("fault", self.fault, get_args(Fault))
        _known("in_stream", self.in_stream, get_args(InStream))
        for name in self.usage or ():
            _known("token class", name, TOKEN_CLASSES)
        if self.fault == "redirect" and not self.location:
            raise ConfigurationError("a redirect has no location", hint='Say Play(fault="redirect", location=URL).')

    @property
    def is_error(self) -> bool:
        """Whether the answer, or what would be its stream, is an error."""
        return self.status >= 400 or self.error is not None or self.fault == "error_in_stream"


@dataclass(frozen=True, slots=True)
class Received:
    """A request as it came in; header names are in lower case, and `at` is its arrival by time.monotonic."""

    number: int
    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    raw: bytes
    body: Any = None
    api: Api = ""
    model: str = ""
    call_id: str = ""
    stream: bool = False
    at: float = 0.0

    @property
    def speaks_anthropic(self) -> bool:
        """Whether the caller expects Anthropic's shapes, also of lists and errors."""
        return self.api == "anthropic" or "anthropic-version" in self.headers


Act = Play | Callable[[Received], Play]
Scripted = Act | Sequence[Act]


class Script:
    """Plays in their order; the last one is repeated."""

    def __init__(self, scripted: Scripted) -> None:
        self._acts = tuple(scripted) if isinstance(scripted, Sequence) else (scripted,)
        self._next = 0
        if not self._acts:
            raise ConfigurationError("a list of plays is empty", hint="Give at least one Play.")

    def play(self, received: Received) -> Play:
        """The play for the next request; what a scripted function raises is raised."""
        act = self._acts[self._next]
        if self._next < len(self._acts) - 1:
            self._next += 1
        return act if isinstance(act, Play) else act(received)


def _known(kind: str, name: str, names: Sequence[str]) -> None:
    if name not in names:
        raise ConfigurationError(f'there is no {kind} "{name}"', hint=suggestion(name, filter(None, names)))
