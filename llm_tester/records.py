"""What travels through a call: messages, request, usage, attempts, response. Frozen, and safe to pickle."""

from __future__ import annotations

import hashlib
import json
import re
import ssl
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from decimal import Decimal
from operator import attrgetter
from typing import Any, Literal, NamedTuple

Role = Literal["system", "user", "assistant", "tool"]
FinishReason = Literal["stop", "length", "refusal", "content_filter", "tool_calls", "error"]
Purpose = Literal["sample", "canary", "judge", "call"]
Carrier = Literal["http", "sdk"]

TOKEN_CLASSES = (
    "input",
    "cached_input",
    "cache_write_5m",
    "cache_write_1h",
    "output",
    "reasoning",
    "audio_input",
    "audio_output",
)
INPUT_PARTS = ("cached_input", "cache_write_5m", "cache_write_1h", "audio_input")
OUTPUT_PARTS = ("reasoning", "audio_output")


@dataclass(frozen=True, slots=True)
class TLSConfig:
    """How servers are trusted, and what this client shows them: paths of PEM files."""

    verify: bool = True
    cert_file: str | None = None
    key_file: str | None = None
    ca_file: str | None = None

    def as_requests_kwargs(self) -> dict[str, Any]:
        """`verify` and `cert` for requests."""
        kwargs: dict[str, Any] = {"verify": self.ca_file or True if self.verify else False}
        if self.cert_file:
            kwargs["cert"] = (self.cert_file, self.key_file) if self.key_file else self.cert_file
        return kwargs

    def context(self) -> ssl.SSLContext:
        """The same as an SSL context."""
        context = ssl.create_default_context(cafile=self.ca_file)
        if not self.verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if self.cert_file:
            context.load_cert_chain(self.cert_file, self.key_file)
        return context


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a chat."""

    role: Role
    content: str


@dataclass(frozen=True, slots=True)
class UsageData:
    """What a provider reports of one answer: tokens by class (None: not reported, which is not 0) and how it ended.

    `prompt_tokens` is all input, `completion_tokens` all output; the other counts are parts of those two.
    """

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cached_input: int | None = None
    cache_write_5m: int | None = None
    cache_write_1h: int | None = None
    reasoning: int | None = None
    audio_input: int | None = None
    audio_output: int | None = None
    reported_cost: Decimal | None = None
    finish_reason: FinishReason | None = None
    served_model: str | None = None
    latency_ms: float | None = None
    inconsistent: tuple[str, ...] = ()
    raw: Any = None

    @property
    def input(self) -> int | None:
        """All input tokens, cached ones included."""
        return self.prompt_tokens

    @property
    def output(self) -> int | None:
        """All output tokens, reasoning included."""
        return self.completion_tokens

    @property
    def total_tokens(self) -> int | None:
        """Input plus output; None when either is not reported."""
        if self.prompt_tokens is None or self.completion_tokens is None:
            return None
        return self.prompt_tokens + self.completion_tokens

    def counts(self) -> dict[str, int]:
        """The reported counts by token class."""
        return {name: count for name, count in zip(TOKEN_CLASSES, counts_of(self), strict=True) if count is not None}


counts_of = attrgetter(*({"input": "prompt_tokens", "output": "completion_tokens"}.get(n, n) for n in TOKEN_CLASSES))
"""The counts of a UsageData in the order of TOKEN_CLASSES, None where one is not reported."""
USAGE_KEYS = frozenset(f.name for f in fields(UsageData)) - {"inconsistent"} | {"input", "output", "total_tokens"}


@dataclass(frozen=True, slots=True)
class Request:
    """One question to one model. `tags` are for in-process providers and the ledger and never reach the wire.

    `defaults` names the parameters that the caller did not ask for: they are sent where the model takes them.
    `transport` is what carries the call where that is not what the provider's configuration says.
    """

    provider: str
    model: str
    messages: tuple[Message, ...]
    parameters: Mapping[str, Any] = field(default_factory=dict)
    output_schema: Mapping[str, Any] | None = None
    files: tuple[str, ...] = ()
    tags: Mapping[str, Any] = field(default_factory=dict)
    purpose: Purpose = "call"
    call_id: str = ""
    project: str = ""
    timeout: float | None = None
    defaults: frozenset[str] = frozenset()
    transport: Carrier | None = None

    @property
    def prompt(self) -> str:
        """The text of all turns but the system's; turns of an exchange are headed by their role."""
        turns = [m for m in self.messages if m.role != "system"]
        if len(turns) == 1:
            return turns[0].content
        return "\n\n".join(f"{turn.role}: {turn.content}" for turn in turns)

    @property
    def system_prompt(self) -> str:
        """The text of the system turns."""
        return "\n\n".join(m.content for m in self.messages if m.role == "system")


def chat(prompt: str, system_prompt: str = "") -> tuple[Message, ...]:
    """The messages of a plain question."""
    system = (Message("system", system_prompt),) if system_prompt else ()
    return (*system, Message("user", prompt))


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try on the wire: how it ended, the wait before it and its duration (send to last byte) in milliseconds.

    `cost` is None for a try that bought nothing, and not complete for one that may have bought something.
    """

    number: int
    provider: str
    model: str
    ok: bool
    status: int | None = None
    error: str = ""
    message: str = ""
    waited_ms: float = 0.0
    latency_ms: float | None = None
    started_at: float = 0.0
    usage: UsageData | None = None
    cost: Cost | None = None


class CostLine(NamedTuple):
    """The cost of one token class: `tokens` at `rate` (USD per 1M) is `usd`; a None rate is an unknown price."""

    token_class: str
    tokens: int
    rate: Decimal | None
    usd: Decimal | None


class Cost(NamedTuple):
    """The money of one answer in USD.

    `known` is the sum of what could be priced. `complete` is False when something could not, so that the cost is at
    least `known`. `source` and `priced_on` say where the rates come from.
    """

    lines: tuple[CostLine, ...] = ()
    known: Decimal = Decimal(0)
    complete: bool = False
    source: str = "unknown"
    priced_on: str | None = None

    @property
    def usd(self) -> Decimal | None:
        """The cost where all of it is known, else None."""
        return self.known if self.complete else None


@dataclass(frozen=True, slots=True)
class Allowance:
    """What a provider says is left of its limits, and in how many seconds all of it is back; None: it does not say."""

    requests_left: float | None = None
    requests_reset: float | None = None
    tokens_left: float | None = None
    tokens_reset: float | None = None


@dataclass(frozen=True, slots=True)
class Response:
    """A usage-tracked answer: who was asked, who served, every attempt, and what was changed in the request."""

    text: str
    provider: str
    model: str
    served_provider: str
    served_model: str
    usage: UsageData
    cost: Cost
    finish_reason: FinishReason | None = None
    attempts: tuple[Attempt, ...] = ()
    latency_ms: float | None = None
    not_applied: tuple[str, ...] = ()
    simulated: bool = False
    call_id: str = ""
    allowance: Allowance | None = None
    cached: bool = False
    """Whether it was bought by an earlier call, `cached_from` by its call_id; cost and latency are that call's."""
    cached_from: str = ""

    @property
    def model_mismatch(self) -> bool:
        """Whether another model answered than was asked for in the last attempt; see `is_other_model`."""
        asked = self.attempts[-1].model if self.attempts else self.model
        return is_other_model(asked, self.served_model)

    def with_cost(self, cost: Cost) -> Response:
        """The same answer at other prices."""
        return replace(self, cost=cost)


_SNAPSHOT = re.compile(r"-(\d{4}-?\d{2}-?\d{2}|\d{4}|\d{6})$")


def is_other_model(asked: str, served: str) -> bool:
    """Whether `served` names another model than `asked`: a dated snapshot of the same name is none, nor is what a name
    with -latest stands for, nor a name with or without the maker before a slash."""
    wanted, got = (name.lower().rpartition("/")[2] for name in (asked, served))
    base = wanted.removesuffix("-latest")
    return got not in (wanted, base) and _SNAPSHOT.sub("", got) != base


_CANONICAL = json.JSONEncoder(sort_keys=True, ensure_ascii=False, separators=(",", ":"), default=str)


def digest(value: Any) -> str:
    """64 hex characters that name a JSON value by its content; the order of keys does not matter."""
    return text_digest(canonical(value))


def canonical(value: Any) -> str:
    """The one JSON text of a value, whatever the order of its keys."""
    return _CANONICAL.encode(value)


def text_digest(text: str) -> str:
    """64 hex characters that name a text by its content."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


_BASE32 = "abcdefghijklmnopqrstuvwxyz234567"
_PAIRS = [first + second for first in _BASE32 for second in _BASE32]
_SHIFTS = range(120, -1, -10)


def make_call_id(
    *, run: str, task: str, entrant: str, sample: str, epoch: int, purpose: str, attempt_group: int
) -> str:
    """26 base32 characters: idempotency key, batch `custom_id` and ledger key of a call in one."""
    return short_id((run, task, entrant, sample, str(epoch), purpose, str(attempt_group)))


def short_id(parts: Iterable[str]) -> str:
    """26 base32 characters that name `parts` by their content."""
    joined = "\x1f".join(parts).encode("utf-8", "surrogatepass")
    # 26 characters hold 130 bits. base64.b32encode is Python code that knows any length, and five times as slow.
    number = int.from_bytes(hashlib.sha256(joined).digest()[:17]) >> 6
    return "".join([_PAIRS[number >> shift & 1023] for shift in _SHIFTS])
