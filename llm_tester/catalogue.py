"""What a provider's config.json may say: the provider, its models, their prices and limits."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date, time
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, PrivateAttr, field_validator, model_validator
from pydantic_core import PydanticCustomError

from llm_tester.documents import UNQUOTED, Document
from llm_tester.errors import UnknownModelError, suggestion
from llm_tester.records import Carrier, Message

Rate = Annotated[Decimal, Field(ge=0, le=1_000_000, allow_inf_nan=False, decimal_places=6)]
Positive = Annotated[int, Field(gt=0)]
NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"

TokenClass = Literal[
    "input", "cached_input", "cache_write_5m", "cache_write_1h", "output", "reasoning", "audio_input", "audio_output"
]
RATE_OF_CLASS: Mapping[str, str] = {
    "input": "cost_input",
    "cached_input": "cost_cached_input",
    "cache_write_5m": "cost_cache_write_5m",
    "cache_write_1h": "cost_cache_write_1h",
    "audio_input": "cost_audio_input",
    "output": "cost_output",
    "reasoning": "cost_output",
    "audio_output": "cost_audio_output",
}


class Prices(Document):
    """Exact USD per 1M tokens; an absent cost is unknown, which is not 0."""

    cost_input: Rate | None = None
    """USD per 1M input tokens."""
    cost_output: Rate | None = None
    """USD per 1M output tokens, reasoning included."""
    cost_cached_input: Rate | None = None
    """USD per 1M input tokens read from the provider's cache."""
    cost_cache_write_5m: Rate | None = None
    """USD per 1M input tokens written to a cache of 5 minutes."""
    cost_cache_write_1h: Rate | None = None
    """USD per 1M input tokens written to a cache of 1 hour."""
    cost_audio_input: Rate | None = None
    """USD per 1M tokens of audio input."""
    cost_audio_output: Rate | None = None
    """USD per 1M tokens of audio output."""
    cost_per_request: Rate | None = None
    """USD per request, beside the tokens."""


class PriceTier(Prices):
    """The prices of a whole request whose input is longer than `above`; what it does not name stays as below."""

    above: Positive
    """Input tokens, cached ones included."""


class TimedPrices(Prices):
    """Prices from a day on, or in a span of each day; of several that hold the last one counts."""

    valid_from: date | None = None
    """The first day, in UTC."""
    from_utc: time | None = None
    """The beginning of the daily span, in UTC."""
    until_utc: time | None = None
    """Its end; earlier than its beginning for one that crosses midnight."""
    tiers: tuple[PriceTier, ...] = ()
    """Prices by the length of the input."""

    @model_validator(mode="after")
    def _whole_span(self) -> Self:
        if (self.from_utc is None) != (self.until_utc is None):
            message = "a daily span needs both from_utc and until_utc"
            raise ValueError(message)
        return self


class RateLimits(Document):
    """What a provider lets an account send, as far as its owner knows it."""

    requests_per_minute: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    """Calls to one model in any minute."""
    tokens_per_minute: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    """Tokens to and from one model in any minute."""


class ModelEntry(Prices):
    """One model of a catalogue."""

    name: str = Field(min_length=1)
    """The provider's own name of the model."""
    default: bool = False
    """Whether calls that name no model use this one."""
    tiers: tuple[PriceTier, ...] = ()
    """Prices by the length of the input."""
    timed_prices: tuple[TimedPrices, ...] = ()
    """Prices that hold from a day on, or at a time of the day, instead of the ones above."""
    priced_on: date | None = None
    """The day on which these prices were read off their source."""
    max_input_tokens: Positive | None = None
    """The longest input."""
    max_output_tokens: Positive | None = None
    """The longest answer."""
    rate_limits: RateLimits | None = None
    """What may be sent to this model per minute, in place of what the provider's entry says."""
    capabilities: tuple[str, ...] = ()
    """What the model can do, such as streaming, tools, json_object."""
    unsupported_params: frozenset[str] = frozenset()
    """Parameters that the model refuses; they are left out and named in the response."""
    rename_params: dict[str, str] = Field(default_factory=dict)
    """Parameters that the model knows by another name."""
    answers: str | None = None
    """For `"api": "replay"`: the JSONL file that holds this model's answers."""
    options: dict[str, Any] = Field(default_factory=dict)
    """Options of the provider's class for this model, checked by that class."""

    _own_prices: bool = PrivateAttr(default=False)

    @property
    def own_prices(self) -> bool:
        """Whether the workspace's config.json says what this model costs; that wins over every other source."""
        return self._own_prices

    def laid_over(self, known: ModelEntry | None) -> ModelEntry:
        """The entry that the workspace's config.json makes of a provider's own: fields that this one names win."""
        named = {key: getattr(self, key) for key in self.model_fields_set}
        own = bool(_PRICES & named.keys())
        if own:
            # The day on which the provider's prices were read says nothing of these.
            named["priced_on"] = self.priced_on
        entry = (known or self).model_copy(update=named)
        entry._own_prices = own  # noqa: SLF001 - its own class
        return entry


_PRICES = Prices.model_fields.keys() | {"tiers", "timed_prices"}


class ModelConfig(ModelEntry):
    """A model as one call sees it: its catalogue entry and what the fixed call signature has no place for."""

    parameters: Mapping[str, Any] = Field(default_factory=dict)
    """Parameters of this call, such as temperature."""
    output_schema: Mapping[str, Any] | None = None
    """The JSON Schema that the answer should satisfy."""
    messages: tuple[Message, ...] = ()
    """The turns of this call."""
    files: tuple[str, ...] = ()
    """Paths of files that belong to the prompt."""
    tags: Mapping[str, Any] = Field(default_factory=dict)
    """Task, sample id, epoch and attempt, for in-process providers only."""


def _distinct_models(models: tuple[ModelEntry, ...]) -> tuple[ModelEntry, ...]:
    names = [model.name for model in models]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        message = f"the model {' and '.join(twice)} is listed more than once"
        raise ValueError(message)
    defaults = [model.name for model in models if model.default]
    if len(defaults) > 1:
        message = f"more than one default model: {', '.join(defaults)}"
        raise ValueError(message)
    return models


class AuthConfig(Document):
    """How the key is shown to the provider."""

    kind: Literal["bearer", "header", "query", "none"] = "bearer"
    """As a bearer token, in a header of its own, in the address, or not at all."""
    name: str = ""
    """The header's or the query parameter's name."""

    @model_validator(mode="after")
    def _named(self) -> Self:
        if self.kind in ("header", "query") and not self.name:
            message = f'a key sent by {self.kind} needs a "name"'
            raise ValueError(message)
        return self


class TLSSettings(Document):
    """How servers are trusted, and what this client shows them: paths of PEM files."""

    verify: bool | None = None
    """Whether a server's certificate is verified; true where nothing says otherwise."""
    cert_file: str | None = None
    """The certificate of this client."""
    key_file: str | None = None
    """The key of that certificate, where it is not in the same file."""
    ca_file: str | None = None
    """The authorities that are trusted, in place of those of the system."""

    def over(self, other: TLSSettings | None) -> TLSSettings:
        """These settings laid over `other`."""
        named = {name: value for name, value in self.model_dump().items() if value is not None}
        return (other or TLSSettings()).model_copy(update=named)

    def below(self, folder: Path) -> TLSSettings:
        """The same with paths that start at `folder`."""
        paths = {name: getattr(self, name) for name in ("cert_file", "key_file", "ca_file")}
        return self.model_copy(update={name: str(folder / path) for name, path in paths.items() if path})


class UsageConfig(Document):
    """Where a provider's answers hold their token counts, as far as they differ from what its api says."""

    paths: dict[TokenClass, str | tuple[str, ...]] = Field(default_factory=dict)
    """For a token class its dotted path below the usage object, or several of which the first found counts."""
    cached_in_input: bool | None = None
    """Whether cached tokens are inside the input count."""
    reasoning_in_output: bool | None = None
    """Whether reasoning tokens are inside the output count."""
    in_stream: Literal["option", "always", "x_groq"] | None = None
    """How a stream tells its usage: when asked by stream_options, always, or in x_groq."""
    reported_cost: str | None = None
    """The dotted path below the usage object of the cost in USD that the provider reports itself."""


class ProviderConfig(Document):
    """A provider's config.json."""

    schema_: str | None = Field(default=None, alias="$schema")
    """The JSON Schema of this file, for editors."""
    name: str = Field(min_length=1, pattern=NAME_PATTERN)
    """The provider's name, the part before the colon in provider:model."""
    description: str = ""
    """What this provider is, in a line."""
    api: str | None = None
    """The built-in class that serves this folder when it has no provider.py."""
    base_url: str | None = None
    """Where the provider is reached."""
    env_key: str | None = None
    """The environment variable that holds the key; never the key itself."""
    auth: AuthConfig = AuthConfig()
    """How the key is shown to the provider."""
    headers: dict[str, str] = Field(default_factory=dict)
    """Further headers of every request."""
    usage: UsageConfig | None = None
    """Where answers hold their token counts, as far as they differ from what the api says."""
    system_prompt: str = ""
    """Sent before every prompt that brings no system prompt of its own."""
    max_connections: Annotated[int, Field(gt=0, le=1024)] = 8
    """How many calls may be in flight at once."""
    rate_limits: RateLimits | None = None
    """What may be sent per minute to each of its models."""
    timeout: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 120.0
    """Seconds that one attempt may take in all."""
    connect_timeout: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 10.0
    """Seconds that a connection may take to be made."""
    max_response_bytes: Positive = 16 * 1024 * 1024
    """The largest answer that is read."""
    tls: TLSSettings | None = None
    """How the server is trusted."""
    transport: Carrier = "http"
    """What carries the calls: http, or for `"api": "openai"` and `"anthropic"` also sdk, the official client."""
    simulated: bool = False
    """Whether answers are made up or replayed here, so that they cost no new money."""
    open_catalogue: bool = False
    """Whether model names that are not listed are accepted, as unpriced."""
    options: dict[str, Any] = Field(default_factory=dict)
    """Options of the provider's class, checked by that class."""
    llm_models: tuple[ModelEntry, ...] = ()
    """The catalogue."""

    _distinct = field_validator("llm_models")(_distinct_models)

    @field_validator("env_key")
    @classmethod
    def _is_variable(cls, name: str | None) -> str | None:
        if name is None or re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
            return name
        # What stands here in place of a name is mostly the key itself, which no message may quote.
        raise PydanticCustomError(UNQUOTED, "expected the name of an environment variable, such as ACME_API_KEY")

    def model(self, name: str) -> ModelEntry | None:
        """The entry of that name."""
        return next((entry for entry in self.llm_models if entry.name == name), None)

    @property
    def default_model(self) -> str | None:
        """The name of the entry marked as default, else of the only or first one."""
        marked = next((entry.name for entry in self.llm_models if entry.default), None)
        return marked or next((entry.name for entry in self.llm_models), None)


class ProviderOverride(Document):
    """What the workspace's config.json may say of a provider; it wins over the provider's own file."""

    enabled: bool = True
    """Whether this workspace uses the provider."""
    default_model: str | None = None
    """The model of calls that name none."""
    base_url: str | None = None
    """Where the provider is reached."""
    max_connections: Annotated[int, Field(gt=0, le=1024)] | None = None
    """How many calls may be in flight at once."""
    rate_limits: RateLimits | None = None
    """What may be sent per minute to each of its models."""
    timeout: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    """Seconds that one attempt may take in all."""
    connect_timeout: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    """Seconds that a connection may take to be made."""
    max_response_bytes: Positive | None = None
    """The largest answer that is read."""
    tls: TLSSettings | None = None
    """How the server is trusted; paths start at the workspace."""
    transport: Carrier | None = None
    """What carries the calls: http, or for `"api": "openai"` and `"anthropic"` also sdk, the official client."""
    options: dict[str, Any] = Field(default_factory=dict)
    """Options of the provider's class, laid over those of its own file."""
    llm_models: tuple[ModelEntry, ...] = ()
    """Models to add, or fields of listed models to replace."""

    _distinct = field_validator("llm_models")(_distinct_models)

    @model_validator(mode="after")
    def _one_default(self) -> Self:
        marked = next((model.name for model in self.llm_models if model.default), None)
        if self.default_model and marked and marked != self.default_model:
            message = f"more than one default model: default_model says {self.default_model}, llm_models marks {marked}"
            raise ValueError(message)
        return self


def merge(config: ProviderConfig, override: ProviderOverride) -> ProviderConfig:
    """The provider as this workspace sees it: fields and models that the override names replace the file's.

    Raises UnknownModelError for a default model that a closed catalogue does not have.
    """
    changes = {
        name: getattr(override, name)
        for name in (
            "base_url",
            "max_connections",
            "rate_limits",
            "timeout",
            "connect_timeout",
            "max_response_bytes",
            "transport",
        )
        if getattr(override, name) is not None
    }
    merged = {entry.name: entry for entry in config.llm_models}
    for entry in override.llm_models:
        merged[entry.name] = entry.laid_over(merged.get(entry.name))
    chosen = override.default_model or next((entry.name for entry in override.llm_models if entry.default), None)
    if chosen:
        if chosen not in merged and not config.open_catalogue:
            raise UnknownModelError(
                f'{config.name} has no model "{chosen}" to be its default_model', hint=suggestion(chosen, merged)
            )
        merged.setdefault(chosen, ModelEntry(name=chosen))
        merged = {name: entry.model_copy(update={"default": name == chosen}) for name, entry in merged.items()}
    if override.tls is not None:
        changes["tls"] = override.tls.over(config.tls)
    changes |= {"llm_models": tuple(merged.values()), "options": {**config.options, **override.options}}
    return config.model_copy(update=changes)
