"""Embeddings: texts in, vectors out, through the same flow and policy as every other call."""

from __future__ import annotations

import asyncio
from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any, ClassVar, Protocol

from llm_tester.catalogue import ModelConfig, ModelEntry, ProviderConfig
from llm_tester.errors import BadResponseError, ConfigurationError, ProviderError
from llm_tester.llms.exchange import CallPolicy, Delivery, exchange
from llm_tester.llms.failures import failure_of
from llm_tester.llms.flow import Call, Flow, Session, adrive, drive
from llm_tester.llms.usage import read_usage
from llm_tester.records import Attempt, Cost, Message, Request, Response, UsageData

CAPABILITY = "embeddings"
MOST_TEXTS = 128
"""Vectors of 4,096 numbers, of 25 letters each, stay below the largest answer that is read with so many of them."""
MOST_BYTES = 300_000
"""OpenAI takes so many tokens in one request; a token has at least one byte."""

Vectors = list[list[float]]
Part = tuple[Vectors, Response] | ProviderError


@dataclass(frozen=True, slots=True)
class EmbeddingDelivery(Delivery):
    """What one successful attempt brought: a vector for each text, in their order."""

    vectors: Vectors = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Embeddings:
    """The vectors of some texts, in their order, and the response of every request that they took."""

    vectors: Vectors
    responses: tuple[Response, ...]

    @property
    def input_tokens(self) -> int | None:
        """All tokens that were read; None where a response does not report them."""
        counts = [response.usage.input for response in self.responses]
        known = [count for count in counts if count is not None]
        return sum(known) if len(known) == len(counts) else None

    @property
    def cost(self) -> Cost:
        """What all of it costs."""
        costs = [response.cost for response in self.responses]
        lines = tuple(line for cost in costs for line in cost.lines)
        known = sum((cost.known for cost in costs), Decimal(0))
        first = costs[0] if costs else Cost(complete=True)
        return first._replace(lines=lines, known=known, complete=all(cost.complete for cost in costs))


class Embedder(Protocol):
    """What embedding needs of a provider."""

    config: ProviderConfig
    embedding_model: str | None
    blocking: ClassVar[bool]
    _session: Session

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def is_simulated(self) -> bool:
        """Whether its answers cost no new money."""

    @property
    def embeds(self) -> bool:
        """Whether it makes embeddings."""

    @property
    def default_embedding_model(self) -> str | None:
        """The model that is used where none is named."""

    def model_entry(self, name: str) -> ModelEntry:
        """The catalogue's entry of a model."""

    def not_applied(self, request: Request) -> tuple[str, ...]:
        """The parameters that it does not hand on."""

    def redact(self, text: str) -> str:
        """`text` without its key."""

    def attempt_embedding(self, request: Request, number: int) -> Flow[EmbeddingDelivery | ProviderError]:
        """One try."""

    def embeddings(self, text: str | Sequence[str], model: str | None = None, **parameters: Any) -> Embeddings:
        """Vectors with usage and cost."""

    async def aembeddings(self, text: str | Sequence[str], model: str | None = None, **parameters: Any) -> Embeddings:
        """The same on the event loop."""

    def _embedding_flows(
        self, text: str | Sequence[str], model: str | None, parameters: Mapping[str, Any]
    ) -> list[Flow[Part]]:
        """The requests that the texts take."""

    def _embed_api(
        self, texts: list[str], model_name: str, model_config: ModelConfig
    ) -> tuple[Vectors, dict[str, Any] | UsageData]:
        """A class's own code."""

    def _policy(self, model: str, *, streamed: bool = False) -> CallPolicy:
        """What surrounds its calls."""


class Embedding:
    """The part of a provider's face that makes vectors.

    A class makes them by `_embed_api(texts, model_name, model_config) -> (vectors, usage)`, which may be `async def`.
    """

    embedding_model: str | None = None
    """The model of vectors where a call names none; the catalogue's choice where it is None."""

    @property
    def embeds(self: Embedder) -> bool:
        """Whether this provider makes embeddings."""
        own: Any = type(self)._embed_api  # noqa: SLF001 - its own class
        return own is not Embedding._embed_api

    @property
    def default_embedding_model(self: Embedder) -> str | None:
        """`embedding_model`, else the default model where it makes embeddings, else the catalogue's first that does."""
        default = self.config.default_model
        able = [entry.name for entry in self.config.llm_models if CAPABILITY in entry.capabilities]
        return self.embedding_model or (default if default in able else next(iter(able), None))

    def _embed_api(
        self, texts: list[str], model_name: str, model_config: ModelConfig
    ) -> tuple[Vectors, dict[str, Any] | UsageData]:
        raise _makes_none("the class")

    def embed(self: Embedder, text: str | Sequence[str], model: str | None = None, **parameters: Any) -> Vectors:
        """A vector for each text, in their order: one text gives a list of one vector."""
        return self.embeddings(text, model, **parameters).vectors

    async def aembed(self: Embedder, text: str | Sequence[str], model: str | None = None, **parameters: Any) -> Vectors:
        """As `embed`, on the event loop."""
        return (await self.aembeddings(text, model, **parameters)).vectors

    async def embed_batch(self: Embedder, texts: Sequence[str], model: str | None = None, **parameters: Any) -> Vectors:
        """As `aembed`, for many texts: as many requests as they take, `max_connections` of the provider at once."""
        return (await self.aembeddings(texts, model, **parameters)).vectors

    def embeddings(
        self: Embedder, text: str | Sequence[str], model: str | None = None, **parameters: Any
    ) -> Embeddings:
        """As `embed`, with usage and cost."""
        parts: list[Part | None] = []
        for flow in self._embedding_flows(text, model, parameters):
            parts.append(drive(flow, self._session))
            if isinstance(parts[-1], ProviderError):
                break
        return _joined(parts)

    async def aembeddings(
        self: Embedder, text: str | Sequence[str], model: str | None = None, **parameters: Any
    ) -> Embeddings:
        """As `embeddings`, on the event loop. After a failure what is under way is finished, and nothing begun."""
        slots = asyncio.Semaphore(self.config.max_connections)
        failures: list[ProviderError] = []

        async def one(flow: Flow[Part]) -> Part | None:
            async with slots:
                part = None if failures else await adrive(flow, self._session)
                failures.extend([part] if isinstance(part, ProviderError) else [])
                return part

        return _joined(await asyncio.gather(*map(one, self._embedding_flows(text, model, parameters))))

    def _embedding_flows(
        self: Embedder, text: str | Sequence[str], model: str | None, parameters: Mapping[str, Any]
    ) -> list[Flow[Part]]:
        """The requests that the texts take; raises ConfigurationError where no vectors can be made."""
        texts = _texts(text)
        if not self.embeds:
            raise _makes_none(self.name)
        chosen = model or self.default_embedding_model
        if chosen is None:
            raise ConfigurationError(
                f"no embedding model of {self.name} is known",
                hint=f"Name one, or list it in config.json under providers.{self.name}.llm_models, with "
                f'"capabilities": ["{CAPABILITY}"].',
            )
        policy = self._policy(chosen)
        return [_part(self, portion, chosen, parameters, policy) for portion in portions(texts)]

    def attempt_embedding(self: Embedder, request: Request, number: int) -> Flow[EmbeddingDelivery | ProviderError]:
        """One try by the class's own `_embed_api`."""
        entry = self.model_entry(request.model)
        config = ModelConfig.model_construct(
            **entry.__dict__ | {"parameters": request.parameters, "tags": {**request.tags, "attempt": number}}
        )
        texts = [message.content for message in request.messages]
        timeout = request.timeout or self.config.timeout
        outcome = yield Call(self._embed_api, (texts, request.model, config), timeout, self.blocking)
        return _delivered(outcome, len(texts), type(self))


class _OneRequest:
    """A request for vectors as `exchange` sees a provider; it keeps the vectors of the attempt that succeeded."""

    def __init__(self, provider: Embedder) -> None:
        self._provider = provider
        self.name = provider.name
        self.is_simulated = provider.is_simulated
        self.not_applied = provider.not_applied
        self.redact = provider.redact
        self.attempt_stream = self.attempt
        self.vectors: Vectors = []

    def attempt(self, request: Request, number: int) -> Flow[Delivery | ProviderError]:
        outcome = yield from self._provider.attempt_embedding(request, number)
        if isinstance(outcome, EmbeddingDelivery):
            self.vectors = outcome.vectors
        return outcome


def _part(
    provider: Embedder, texts: list[str], model: str, parameters: Mapping[str, Any], policy: CallPolicy
) -> Flow[Part]:
    call = _OneRequest(provider)
    turns = tuple(Message("user", text) for text in texts)
    try:
        response = yield from exchange(call, Request(provider.name, model, turns, parameters=parameters), policy)
    except ProviderError as error:
        return error
    return call.vectors, response


def _joined(parts: Iterable[Part | None]) -> Embeddings:
    """All parts as one; raises the first error, with the attempts of all parts, as what they have cost is spent."""
    vectors: Vectors = []
    responses: list[Response] = []
    errors: list[ProviderError] = []
    attempts: list[Attempt] = []
    for part in parts:
        if isinstance(part, ProviderError):
            errors.append(part)
            attempts += part.attempts
        elif part is not None:
            vectors += part[0]
            responses.append(part[1])
            attempts += part[1].attempts
    if errors:
        errors[0].attempts = tuple(attempts)
        raise errors[0]
    return Embeddings(vectors, tuple(responses))


def portions(texts: Iterable[str]) -> Generator[list[str], None, None]:
    """The texts in lists that fit into one request; a text that is too long for any stands alone."""
    portion: list[str] = []
    size = 0
    for text in texts:
        length = len(text.encode("utf-8", "surrogatepass"))
        if portion and (len(portion) == MOST_TEXTS or size + length > MOST_BYTES):
            yield portion
            portion, size = [], 0
        portion.append(text)
        size += length
    if portion:
        yield portion


def _makes_none(name: str) -> ConfigurationError:
    hint = "Name a provider that does, such as openai, mistral or lmstudio."
    return ConfigurationError(f"{name} makes no embeddings", hint=hint)


def _texts(text: Any) -> list[str]:
    texts = list(text) if isinstance(text, Iterable) and not isinstance(text, str) else [text]
    for item in texts:
        if not isinstance(item, str):
            raise ConfigurationError(f"a text to embed is {type(item).__name__}", hint="Give a text or a list.")
    return texts


def checked_vectors(found: Any, count: int) -> Vectors:
    """`found` as `count` vectors of numbers; raises BadResponseError for anything else."""
    if not isinstance(found, list | tuple) or len(found) != count:
        held = len(found) if isinstance(found, list | tuple) else "no list of"
        raise BadResponseError(f"{held} vectors for {count} texts", reason="bad_embeddings")
    vectors = [list(vector) if isinstance(vector, list | tuple) else vector for vector in found]
    for vector in vectors:
        if not isinstance(vector, list) or not all(_is_number(number) for number in vector):
            raise BadResponseError("a vector is no list of numbers", reason="bad_embeddings")
    if len({len(vector) for vector in vectors}) > 1:
        raise BadResponseError("the vectors differ in length", reason="bad_embeddings")
    return [[float(number) for number in vector] for vector in vectors]


def without_output(usage: UsageData) -> UsageData:
    """The usage of an embedding, which has no output tokens, where the provider does not say so itself."""
    return usage if usage.completion_tokens is not None else replace(usage, completion_tokens=0)


def _is_number(value: Any) -> bool:
    # NaN is the one number that is not itself, and neither it nor infinity is a coordinate.
    return isinstance(value, int | float) and not isinstance(value, bool) and value - value == 0


def _delivered(outcome: Any, count: int, chosen: type[Any]) -> EmbeddingDelivery | ProviderError:
    if isinstance(outcome, BaseException):
        return failure_of(outcome, chosen)
    if not (isinstance(outcome, tuple) and len(outcome) == 2):
        return BadResponseError(
            f"{chosen.__name__}._embed_api returned {type(outcome).__name__}, not (vectors, usage)", reason="bad_return"
        )
    try:
        return EmbeddingDelivery("", without_output(read_usage(outcome[1])), vectors=checked_vectors(outcome[0], count))
    except BadResponseError as error:
        return error
