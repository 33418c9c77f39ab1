"""BaseLLM, the face of every provider: what a drop-in class inherits and what every call goes through."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar
from urllib.parse import urlsplit

from llm_tester.catalogue import ModelConfig, ModelEntry, ProviderConfig
from llm_tester.cost_manager import cost_of
from llm_tester.documents import Document
from llm_tester.errors import (
    BadResponseError,
    ConfigurationError,
    MissingKeyError,
    ProviderError,
    UnknownModelError,
    suggestion,
)
from llm_tester.llms.declarations import KEY_FIX, asks_for_key, check_applies, names_in
from llm_tester.llms.embeddings import Embedding
from llm_tester.llms.exchange import CallPolicy, Delivery, exchange
from llm_tester.llms.failures import failure_of
from llm_tester.llms.flow import Call, Flow, Session, Transport, adrive, drive
from llm_tester.llms.metering import Metering
from llm_tester.llms.price_sources import resolve_rates
from llm_tester.llms.redaction import redacted
from llm_tester.llms.retry import RetryPolicy
from llm_tester.llms.streams import AsyncStream, Stream, emitted_whole
from llm_tester.llms.token_counts import Encoding
from llm_tester.llms.usage import read_usage
from llm_tester.records import Carrier, Message, Request, Response, TLSConfig, UsageData, chat

TEMPERATURE = 0.7
MAX_TOKENS = 2000
GENERATED_TOKENS = 1000


class BaseLLM(Embedding, Metering, ABC):
    """A provider. A subclass needs `_call_llm_api` and nothing else; it may be `async def`.

    `blocking` says whether that method may wait (it then runs on a thread of its own), `applies` names the parameters
    that it hands on ("*": all), `options_type` and `model_options_type` are the documents that check the `options` of
    the provider and of its models.
    """

    blocking: ClassVar[bool] = True
    simulated: ClassVar[bool] = False
    applies: ClassVar[frozenset[str]] = frozenset()
    options_type: ClassVar[type[Document] | None] = None
    model_options_type: ClassVar[type[Document] | None] = None

    def __init_subclass__(cls, **details: Any) -> None:
        super().__init_subclass__(**details)
        names = names_in(cls.applies)
        cls.applies = cls.applies if names is None else names

    def __init__(
        self,
        config: ProviderConfig | None = None,
        *,
        tls_config: TLSConfig | None = None,
        retry: RetryPolicy | None = None,
    ) -> None:
        """`tls_config` wins over the `tls` of `config`; `retry` is how this instance's own calls are tried again."""
        check_applies(type(self))
        self.tls_config = tls_config
        self.retry = retry
        self.encodings: dict[str, Encoding | None] = {}
        self.config = config or ProviderConfig(name=type(self).__name__.strip("_").lower(), open_catalogue=True)
        self._entries: dict[str, ModelEntry] = {entry.name: entry for entry in self.config.llm_models}
        self.environment: Mapping[str, str] = os.environ
        self._session = Session(self.make_transport(self.config.max_connections), threads=self.config.max_connections)

    def make_transport(self, connections: int) -> Transport | None:
        """The network that this class sends over, for at most so many calls at once; None where it needs none."""
        return None

    @property
    def name(self) -> str:
        """The provider's name."""
        return self.config.name

    @property
    def host(self) -> str:
        """The host that its calls go to; empty for one that answers in this process or does not say."""
        return urlsplit(self.config.base_url or "").netloc.rpartition("@")[2]

    @property
    def is_simulated(self) -> bool:
        """Whether its answers are made up or replayed here, so that they cost no new money."""
        return self.simulated or self.config.simulated

    @classmethod
    def takes_sdk(cls) -> bool:
        """Whether an official client can carry this class's calls (`"transport": "sdk"`)."""
        return False

    def chosen_transport(self, request: Request) -> Carrier | None:
        """What `request` wants to be carried by; raises ConfigurationError for what this class cannot use."""
        known = ("http", "sdk") if self.takes_sdk() else ("http",)
        if request.transport is not None and request.transport not in known:
            raise ConfigurationError(
                f'{self.name} has no transport "{request.transport}"',
                hint=f"It has: {', '.join(known)}.",
                path="transport",
            )
        return request.transport

    @abstractmethod
    def _call_llm_api(
        self, prompt: str, system_prompt: str, model_name: str, model_config: ModelConfig
    ) -> tuple[str, dict[str, Any] | UsageData]:
        """The answer's text and its usage; failures are raised, best as one of our ProviderErrors."""

    def get_response(self, prompt: str, source: str = "", model_name: str | None = None) -> tuple[str, UsageData]:
        """The answer to `prompt` about the text `source`, with its usage, after retries."""
        text = f"{prompt}\n\n{source}" if source else prompt
        response = self.respond(self.request(text, model_name))
        return response.text, response.usage

    def request(self, prompt: str, model_name: str | None = None, **details: Any) -> Request:
        """A request to one of this provider's models, the default one where none is named."""
        model = model_name or self.get_default_model()
        if model is None:
            raise ConfigurationError(f"{self.name} has no default model", hint="Name a model.")
        return Request(self.name, model, chat(prompt), **details)

    def respond(self, request: Request) -> Response:
        """The usage-tracked answer to `request`, after retries."""
        return drive(*self._call_flow(request))

    async def arespond(self, request: Request) -> Response:
        """As `respond`, on the event loop."""
        return await adrive(*self._call_flow(request))

    def stream(
        self,
        prompt: str | Request,
        system_prompt: str | None = None,
        temperature: float = TEMPERATURE,
        max_tokens: int = MAX_TOKENS,
        **parameters: Any,
    ) -> Stream:
        """The answer's text as it comes; its `response` at the end. Leave it early by `with` or `close`."""
        request = self.question(prompt, system_prompt, temperature, max_tokens, parameters)
        return Stream(*self._call_flow(request, streamed=True))

    def astream(
        self,
        prompt: str | Request,
        system_prompt: str | None = None,
        temperature: float = TEMPERATURE,
        max_tokens: int = MAX_TOKENS,
        **parameters: Any,
    ) -> AsyncStream:
        """As `stream`, on the event loop: `async for`, `async with`."""
        request = self.question(prompt, system_prompt, temperature, max_tokens, parameters)
        return AsyncStream(*self._call_flow(request, streamed=True))

    def _call_flow(self, request: Request, *, streamed: bool = False) -> tuple[Flow[Response], Session]:
        """The flow of one call, and what carries its effects out."""
        return exchange(self, request, self._policy(request.model, streamed=streamed)), self._session

    def complete(
        self,
        prompt: str,
        system_prompt: str | None = None,
        temperature: float = TEMPERATURE,
        max_tokens: int = MAX_TOKENS,
        **parameters: Any,
    ) -> str:
        """The text of the default model's answer; `model` among the parameters names another one."""
        return self.respond(self.question(prompt, system_prompt, temperature, max_tokens, parameters)).text

    async def acomplete(
        self,
        prompt: str,
        system_prompt: str | None = None,
        temperature: float = TEMPERATURE,
        max_tokens: int = MAX_TOKENS,
        **parameters: Any,
    ) -> str:
        """As `complete`, on the event loop."""
        request = self.question(prompt, system_prompt, temperature, max_tokens, parameters)
        return (await self.arespond(request)).text

    async def generate(
        self,
        prompt: str | Sequence[Message],
        temperature: float = TEMPERATURE,
        max_tokens: int = GENERATED_TOKENS,
        stop_sequences: Sequence[str] | None = None,
        **parameters: Any,
    ) -> str:
        """The text of the answer to a prompt or to messages."""
        return (await self.arespond(self._generation(prompt, temperature, max_tokens, stop_sequences, parameters))).text

    def generate_stream(
        self,
        prompt: str | Sequence[Message],
        temperature: float = TEMPERATURE,
        max_tokens: int = GENERATED_TOKENS,
        stop_sequences: Sequence[str] | None = None,
        **parameters: Any,
    ) -> AsyncStream:
        """As `generate`, as it comes: `async for` over it, with or without awaiting it first."""
        return self.astream(self._generation(prompt, temperature, max_tokens, stop_sequences, parameters))

    def _generation(
        self,
        prompt: str | Sequence[Message],
        temperature: float,
        max_tokens: int,
        stop_sequences: Sequence[str] | None,
        parameters: Mapping[str, Any],
    ) -> Request:
        stops = {"stop": list(stop_sequences)} if stop_sequences else {}
        return self.question(prompt, None, temperature, max_tokens, {**parameters, **stops})

    def question(
        self,
        prompt: str | Sequence[Message] | Request,
        system_prompt: str | None,
        temperature: float,
        max_tokens: int,
        parameters: Mapping[str, Any],
    ) -> Request:
        """A request as `complete` and `generate` make it: `model` and `transport` are taken out of the parameters, and
        defaults are marked as such."""
        if isinstance(prompt, Request):
            return prompt
        wanted = {"temperature": temperature, "max_tokens": max_tokens, **parameters}
        # By identity: a caller's own 0.7 is asked for, and reported where the model does not take it.
        defaults = {"temperature"} if temperature is TEMPERATURE else set()
        defaults |= {"max_tokens"} if max_tokens is MAX_TOKENS or max_tokens is GENERATED_TOKENS else set()
        model, carrier = wanted.pop("model", None), wanted.pop("transport", None)
        turns = chat(prompt, system_prompt or "") if isinstance(prompt, str) else tuple(prompt)
        asked = self.request("", model, transport=carrier)
        return replace(asked, messages=turns, parameters=wanted, defaults=frozenset(defaults))

    def get_default_model(self) -> str | None:
        """The model that is used where none is named."""
        return self.config.default_model

    def get_api_key(self) -> str | None:
        """The key from the environment variable that the configuration names; None when there is none."""
        return self.environment.get(self.config.env_key or "") or None

    def redact(self, text: str) -> str:
        """`text` without the key."""
        return redacted(text, self.get_api_key())

    def get_model_config(self, model_name: str | None = None) -> ModelConfig | None:
        """The catalogue's entry for a model, the default one where none is named; None when it is not listed."""
        entry = self._entries.get(model_name or self.get_default_model() or "")
        return ModelConfig.model_construct(**entry.__dict__) if entry else None

    def list_models(self) -> list[str]:
        """The names in the catalogue."""
        return list(self._entries)

    def is_model_available(self, name: str) -> bool:
        """Whether calls to this model are accepted."""
        return name in self._entries or self.config.open_catalogue

    def model_entry(self, name: str) -> ModelEntry:
        """The catalogue's entry; an open catalogue makes one without prices, a closed one raises UnknownModelError."""
        entry = self._entries.get(name)
        if entry is not None:
            return entry
        if not self.config.open_catalogue:
            raise UnknownModelError(
                f'{self.name} has no model "{name}"',
                hint=suggestion(name, self._entries)
                or f"Add it under providers.{self.name}.llm_models in the workspace's config.json.",
            )
        return ModelEntry(name=name)

    def prepare(self, model_name: str) -> None:
        """Check what can be checked before the first call: the model, and the key where one is needed."""
        self.model_entry(model_name)
        if self.config.env_key and self.get_api_key() is None:
            raise MissingKeyError(
                f"{self.name} needs a key, and {self.config.env_key} is not set",
                hint=f"Set {self.config.env_key} in the environment or in the .env beside config.json.",
            )

    def not_applied(self, request: Request) -> tuple[str, ...]:
        """The parameters of `request` that this class does not hand on."""
        if "*" in self.applies:
            return ()
        return tuple(sorted(set(request.parameters).difference(self.applies, request.defaults)))

    def attempt(self, request: Request, number: int) -> Flow[Delivery | ProviderError]:
        """One try: the delivered answer, or the failure that it met."""
        self.chosen_transport(request)
        entry = self.model_entry(request.model)
        model_config = ModelConfig.model_construct(
            **entry.__dict__
            | {
                "parameters": request.parameters,
                "output_schema": request.output_schema,
                "messages": request.messages,
                "files": request.files,
                "tags": {**request.tags, "attempt": number},
            }
        )
        system_prompt = request.system_prompt or self.config.system_prompt
        arguments = (request.prompt, system_prompt, request.model, model_config)
        timeout = request.timeout or self.config.timeout
        outcome = yield Call(self._call_llm_api, arguments, timeout, self.blocking)
        return _read(outcome, self)

    def attempt_stream(self, request: Request, number: int) -> Flow[Delivery | ProviderError]:
        """As `attempt`, emitting text; a class that only has `_call_llm_api` emits all of it at once."""
        outcome = yield from self.attempt(request, number)
        if isinstance(outcome, Delivery):
            yield from emitted_whole(outcome.text)
        return outcome

    def _policy(self, model: str, *, streamed: bool = False) -> CallPolicy:
        rates = resolve_rates(self.config, self.model_entry(model))
        retry = self.retry or RetryPolicy()
        return CallPolicy(retry, cost=lambda usage: cost_of(usage, rates), streamed=streamed)


def _read(outcome: Any, provider: BaseLLM) -> Delivery | ProviderError:
    """What provider code returned or raised, as a delivery or one of our failures."""
    chosen = type(provider)
    if isinstance(outcome, BaseException):
        failure = failure_of(outcome, chosen)
        keyless = provider.config.env_key is None and asks_for_key(chosen)
        failure.hint = failure.hint or (KEY_FIX if keyless and not failure.retryable else "")
        return failure
    if not (isinstance(outcome, tuple) and len(outcome) == 2 and isinstance(outcome[0], str)):
        parts = f" ({', '.join(type(part).__name__ for part in outcome)})" if isinstance(outcome, tuple) else ""
        return BadResponseError(
            f"{chosen.__name__}._call_llm_api returned {type(outcome).__name__}{parts}, not (text, usage)",
            reason="bad_return",
        )
    try:
        usage = read_usage(outcome[1])
    except BadResponseError as error:
        return error
    return Delivery(outcome[0], usage)
