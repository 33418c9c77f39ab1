"""HTTPProvider: a provider as two pure functions, build_request and parse_response, around the shared transport."""

from __future__ import annotations

import json
import logging
import re
import time
import warnings
from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, TypeVar
from urllib.parse import quote, urlsplit

from llm_tester.catalogue import ModelConfig, ModelEntry, ProviderConfig
from llm_tester.errors import (
    BadResponseError,
    ConfigurationError,
    ContentFilterError,
    ContextLengthError,
    MissingKeyError,
    ProviderError,
    QuotaExceededError,
    error_for_status,
)
from llm_tester.llms.base import BaseLLM
from llm_tester.llms.exchange import Delivery
from llm_tester.llms.extraction import UsagePaths
from llm_tester.llms.flow import Flow, Send, drive
from llm_tester.llms.json_bodies import RAW_KEPT, RAW_SHOWN, is_too_deep, json_body
from llm_tester.llms.rate_headers import allowance
from llm_tester.llms.redaction import AddressFilter
from llm_tester.llms.retry import RetryPolicy
from llm_tester.llms.retry_after import retry_after
from llm_tester.llms.sdk_transport import SDK, SDKTransport
from llm_tester.llms.streams import StreamParser, streamed
from llm_tester.llms.transport import HTTPTransport, Reply, WireRequest
from llm_tester.records import Request, TLSConfig, UsageData, chat

D = TypeVar("D", bound=Delivery)
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_QUOTA_CODES = frozenset({"insufficient_quota", "billing_hard_limit_reached", "billing_error", "billing_not_active"})
_CONTEXT_CODES = frozenset({"context_length_exceeded", "string_above_max_length"})
_FILTER_CODES = frozenset({"content_filter", "content_policy_violation", "ResponsibleAIPolicyViolation"})
_MODEL_FAULTS = frozenset({"tool_use_failed", "json_validate_failed"})
_QUOTA_TEXT = re.compile(r"specified API usage limits|credit balance is too low", re.IGNORECASE)
_CONTEXT_TEXT = re.compile(r"maximum context length|prompt is too long|context window", re.IGNORECASE)


class HTTPProvider(BaseLLM):
    """A provider that is reached over HTTP; a subclass says how a request looks and how an answer is read,
    and in `sdk` which official client can carry it."""

    applies = frozenset({"*"})
    usage_paths: ClassVar[UsagePaths]
    sdk: ClassVar[SDK | None] = None

    def __init__(
        self,
        config: ProviderConfig | None = None,
        *,
        tls_config: TLSConfig | None = None,
        retry: RetryPolicy | None = None,
    ) -> None:
        super().__init__(config, tls_config=tls_config, retry=retry)
        self.paths = self.usage_paths.with_config(self.config.usage)
        if self._key_in_address:
            # It writes each address to its log at DEBUG.
            logging.getLogger("urllib3.connectionpool").addFilter(AddressFilter(self.redact))

    def make_transport(self, connections: int) -> HTTPTransport:
        """The network, for at most so many calls at once."""
        config = self.config
        limits: dict[str, Any] = {
            "connect_timeout": config.connect_timeout,
            "max_bytes": config.max_response_bytes,
            "connections": connections,
        }
        tls = self.tls_config or trust(config)
        if self.sdk is None:
            return HTTPTransport(tls, **limits)
        return SDKTransport(self.sdk, config.transport, tls, redact=self.redact, **limits)

    @classmethod
    def takes_sdk(cls) -> bool:
        """Whether an official client can carry the calls: not where a subclass makes them, or the network, itself."""
        own = cls._call_llm_api, cls.make_transport
        return cls.sdk is not None and own == (HTTPProvider._call_llm_api, HTTPProvider.make_transport)

    @abstractmethod
    def build_request(self, request: Request) -> WireRequest:
        """What goes out for `request`."""

    @abstractmethod
    def parse_response(self, reply: Reply, request: Request) -> Delivery:
        """What a reply with status 200 brought; raises ProviderError for one that is no answer."""

    def attempt(self, request: Request, number: int) -> Flow[Delivery | ProviderError]:
        """One try over the network; a subclass that overrides `_call_llm_api` is called through that instead."""
        if type(self)._call_llm_api is not HTTPProvider._call_llm_api:  # noqa: SLF001 - its own class
            return (yield from super().attempt(request, number))
        wire = self.build_request(request)
        if (carrier := self.chosen_transport(request)) is not None:
            wire = replace(wire, transport=carrier)
        outcome = yield Send(wire, request.timeout or self.config.timeout)
        return outcome if isinstance(outcome, ProviderError) else self.read(outcome, request)

    def attempt_stream(self, request: Request, number: int) -> Flow[Delivery | ProviderError]:
        """As `attempt`, emitting the text as it comes, where the API streams."""
        parser = self.parse_stream(request)
        if parser is None or type(self)._call_llm_api is not HTTPProvider._call_llm_api:  # noqa: SLF001 - its own class
            return (yield from super().attempt_stream(request, number))
        parameters = {**request.parameters, **self.stream_parameters()}
        wire = self.build_request(replace(request, parameters=parameters))
        wire = replace(wire, transport=self.chosen_transport(request))
        timeout = request.timeout or self.config.timeout
        return (yield from streamed(wire, parser, lambda reply: self.read(reply, request), timeout))

    def stream_parameters(self) -> dict[str, Any]:
        """What asks this API for a stream."""
        return {"stream": True}

    def parse_stream(self, request: Request) -> StreamParser | None:
        """What reads the events of a streamed answer to `request`; None where the API does not stream."""
        return None

    def read(self, reply: Reply, request: Request) -> Delivery | ProviderError:
        """The delivery in a reply, or the error that its status, or a 200, holds, with the usage that came with it."""
        return self.read_as(reply, request, self.parse_response)

    def read_as(self, reply: Reply, request: Request, parse: Callable[[Reply, Request], D]) -> D | ProviderError:
        """As `read`, where something else than the answer to a chat is parsed."""
        told = allowance(reply.headers, time.time())
        try:
            if reply.status == 200:
                delivery = parse(reply, request)
                return delivery if told is None else replace(delivery, allowance=told)
            error = self.error_of(reply)
        except ProviderError as found:
            error = found
            error.usage = error.usage or self._usage_in(reply)
        error.allowance = told
        # Twice as much, so that no half of a key is left at the end.
        error.raw = self.redact(reply.body[: 2 * RAW_KEPT].decode("utf-8", "replace"))[:RAW_KEPT]
        return error

    def _usage_in(self, reply: Reply) -> UsageData | None:
        """What was counted for an answer that cannot be used; None where nothing can be read."""
        try:
            usage = self.usage_of(json_body(reply))
        except ProviderError:
            return None
        return usage if usage.counts() else None

    def _call_llm_api(
        self, prompt: str, system_prompt: str, model_name: str, model_config: ModelConfig
    ) -> tuple[str, dict[str, Any] | UsageData]:
        turns = chat(prompt, system_prompt)
        request = Request(self.name, model_name, turns, parameters=model_config.parameters)
        outcome = drive(self.attempt(request, 1), self._session)
        if isinstance(outcome, ProviderError):
            raise outcome
        return outcome.text, outcome.usage

    # --- what requests are made of

    def url(self, path: str) -> str:
        """`base_url` with its variables filled in, and `path`."""

        def value(found: re.Match[str]) -> str:
            name = found.group(1)
            if not self.environment.get(name):
                raise MissingKeyError(
                    f"the base_url of {self.name} needs {name}, which is not set",
                    hint=f"Set {name} in the environment.",
                )
            return self.environment[name].rstrip("/")

        base = self.config.base_url or ""
        if "$" in base:
            base = _VARIABLE.sub(value, base)
        if not base.startswith(("http://", "https://")):
            raise ConfigurationError(f'the base_url of {self.name} is no http address: "{base}"')
        separator = "&" if "?" in path else "?"
        query = (
            f"{separator}{quote(self.config.auth.name)}={quote(self.key(), safe='')}" if self._key_in_address else ""
        )
        return f"{base.rstrip('/')}/{path}{query}"

    @property
    def _key_in_address(self) -> bool:
        return self.config.auth.kind == "query" and bool(self.config.env_key)

    @property
    def host(self) -> str:
        """The host that its calls go to, with the variables in base_url filled in."""
        return urlsplit(self.url("")).netloc.rpartition("@")[2]

    def prepare(self, model_name: str) -> None:
        """Check model, key and address before the first call."""
        super().prepare(model_name)
        self.url("")

    def headers(self, request: Request) -> dict[str, str]:
        """Content type, key, the configured extra headers, and the call's id for the provider's log."""
        headers = {"Content-Type": "application/json", **self.config.headers}
        if request.call_id:
            headers["X-Client-Request-Id"] = request.call_id
        auth = self.config.auth
        if self.config.env_key and auth.kind == "bearer":
            headers["Authorization"] = f"Bearer {self.key()}"
        elif self.config.env_key and auth.kind == "header":
            headers[auth.name] = self.key()
        return headers

    def key(self) -> str:
        """The key; raises MissingKeyError that names its variable."""
        key = self.get_api_key()
        if key is None:
            raise MissingKeyError(f"{self.name} needs a key, and {self.config.env_key} is not set")
        return key

    def sent_parameters(self, request: Request) -> dict[str, Any]:
        """The request's parameters as this model takes them: renamed, and without those that it refuses."""
        return adjusted(request.parameters, self.model_entry(request.model))[0]

    def not_applied(self, request: Request) -> tuple[str, ...]:
        """What was dropped or renamed."""
        entry = self.model_entry(request.model)
        if not (entry.unsupported_params or entry.rename_params or request.files):
            return ()
        asked = {name: value for name, value in request.parameters.items() if name not in request.defaults}
        changes = adjusted(asked, entry)[1]
        return (*changes, "files") if request.files else changes

    # --- what answers are read with

    def usage_of(self, body: Mapping[str, Any], **details: Any) -> UsageData:
        """The usage that the declared paths find in an answer's body."""
        return self.paths.extract(body, **details)

    def error_of(self, reply: Reply) -> ProviderError:
        """The error that a reply stands for: by status, then by code, text last."""
        message, code = _message_of(reply)
        if 300 <= reply.status < 400:
            target = reply.headers.get("location", "")
            return BadResponseError(
                f"HTTP {reply.status}: redirected to {target}",
                reason="redirect",
                status=reply.status,
                hint="Redirects are not followed, as the key would go with them: set base_url to the right address.",
            )
        error = classified(reply.status, code, message, retry_after=self.retry_after(reply))
        error.should_retry = {"true": True, "false": False}.get(reply.headers.get("x-should-retry", "").strip().lower())
        return error

    def retry_after(self, reply: Reply) -> float | None:
        """Seconds until the provider wants to be asked again."""
        return retry_after(reply.headers, time.time()) if reply.status in (408, 429, 500, 502, 503, 529) else None


def trust(config: ProviderConfig) -> TLSConfig:
    """How the provider's server is trusted; raises ConfigurationError for a file that is not there."""
    found = config.tls
    if found is None:
        return TLSConfig()
    for name in ("cert_file", "key_file", "ca_file"):
        path = getattr(found, name)
        if path and not Path(path).is_file():
            raise ConfigurationError(
                f"{config.name}: tls.{name}: there is no file {path}", hint="Name a PEM file.", path=f"tls.{name}"
            )
    if found.verify is False:
        warnings.warn(f"{config.name}: the server's certificate is not verified (tls.verify)", stacklevel=2)
    return TLSConfig(found.verify is not False, found.cert_file, found.key_file, found.ca_file)


def adjusted(parameters: Mapping[str, Any], entry: ModelEntry) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Parameters as a model takes them, and a word on each one that was dropped or renamed."""
    if not entry.unsupported_params and not entry.rename_params:
        return dict(parameters), ()
    sent: dict[str, Any] = {}
    changes = []
    for name, value in parameters.items():
        if name in entry.unsupported_params:
            changes.append(name)
            continue
        new = entry.rename_params.get(name, name)
        if new != name:
            changes.append(f"{name} as {new}")
        sent[new] = value
    return sent, tuple(changes)


def classified(status: int, code: str, message: str, *, retry_after: float | None = None) -> ProviderError:
    """The error of a status, refined by the API's own code; the text is looked at last, and only for a few 4xx."""
    text = f"HTTP {status}: {message}"
    details: dict[str, Any] = {"status": status}
    if code in _QUOTA_CODES or (status == 400 and _QUOTA_TEXT.search(message)):
        return QuotaExceededError(text, **details)
    if 400 <= status < 500 and status != 429:
        if code in _CONTEXT_CODES or (status == 400 and _CONTEXT_TEXT.search(message)):
            return ContextLengthError(text, **details)
        if code in _FILTER_CODES:
            return ContentFilterError(text, **details)
        if code in _MODEL_FAULTS:
            return BadResponseError(text, reason=code, **details)
    return error_for_status(status, text, retry_after=retry_after)


def raise_hidden_error(body: Mapping[str, Any]) -> None:
    """Raise the error that some servers hide in an answer with status 200."""
    error = body.get("error")
    if not error:
        return
    message, code = _error_texts(error)
    numeric = error.get("code") if isinstance(error, dict) else None
    status = numeric if isinstance(numeric, int) and 400 <= numeric <= 599 else None
    if status is None:
        raise BadResponseError(f"an error in an answer with status 200: {message}", reason="error_in_200")
    raise classified(status, code, message)


def _message_of(reply: Reply) -> tuple[str, str]:
    """Message and code of an error body, in any of the shapes that providers use."""
    text = reply.body.decode("utf-8", "replace")
    try:
        body = json.loads(text)
    except (ValueError, RecursionError):
        return text.strip()[:RAW_SHOWN], ""
    if isinstance(body, list) and body:
        body = body[0]
    if not isinstance(body, dict) or is_too_deep(body, text):
        return text.strip()[:RAW_SHOWN], ""
    return _error_texts(body.get("error") or body)


def _error_texts(error: Any) -> tuple[str, str]:
    if not isinstance(error, dict):
        return str(error)[:RAW_SHOWN], ""
    message = next((error[key] for key in ("message", "detail", "title") if error.get(key)), error)
    inner = error.get("innererror")
    codes = [error.get("code"), error.get("type"), inner.get("code") if isinstance(inner, dict) else None]
    known = [code for code in codes if isinstance(code, str)]
    telling = _QUOTA_CODES | _CONTEXT_CODES | _FILTER_CODES | _MODEL_FAULTS
    code = next((code for code in known if code in telling), known[0] if known else "")
    return (message if isinstance(message, str) else json.dumps(message))[:RAW_SHOWN], code
