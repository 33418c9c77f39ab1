"""The errors of this package.

LLMTesterError                .hint says what to do next
├─ ConfigurationError         .file and .path (a JSON path) where known
│  ├─ UnknownProviderError, UnknownModelError     the hint suggests near names
│  └─ MissingKeyError         names the variable, never a value
├─ ProviderLoadError          a provider folder or module that cannot be used, and why
├─ ProviderError              .provider .model .status .retryable .retry_after .attempts
│  ├─ AuthenticationError · RateLimitError · QuotaExceededError · OverloadedError
│  ├─ BadRequestError · ContextLengthError · ContentFilterError · BadResponseError
│  ├─ ProviderTimeoutError · ProviderConnectionError · StreamAbandoned
│  └─ CircuitOpenError · AllProvidersFailedError
├─ BudgetExceededError
├─ TaskError                  a malformed task, sample, gold or scorer
└─ LedgerError                the record of runs cannot be read, written or used so
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any, ClassVar


class LLMTesterError(Exception):
    """The root of all errors that this package raises on purpose; `hint` says what to do next."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return self.message


class ConfigurationError(LLMTesterError):
    """A configuration that cannot be used; `file` and `path` (a JSON path) say where, as far as known."""

    def __init__(self, message: str, *, hint: str = "", file: str = "", path: str = "") -> None:
        super().__init__(message, hint=hint)
        self.file = file
        self.path = path


class UnknownProviderError(ConfigurationError):
    """No provider of that name was discovered."""


class UnknownModelError(ConfigurationError):
    """The provider's catalogue, which is closed, has no model of that name."""


class MissingKeyError(ConfigurationError):
    """The environment variable that holds the provider's key is not set."""


class ProviderLoadError(LLMTesterError):
    """A provider folder or module that cannot be used, and why."""


class ProviderError(LLMTesterError):
    """A call that a provider did not answer well.

    `status` is its HTTP status, `retry_after` is in seconds, `attempts` holds a records.Attempt for each try. `text` is
    what of an answer came before it broke off, `usage` the records.UsageData that came with it, and `raw` the beginning
    of what was sent in place of an answer. `should_retry` is what the provider itself said about trying again,
    `allowance` the records.Allowance that it told; None where it did not.
    """

    retryable: ClassVar[bool] = False

    def __init__(
        self,
        message: str,
        *,
        hint: str = "",
        provider: str = "",
        model: str = "",
        status: int | None = None,
        retry_after: float | None = None,
        attempts: tuple[Any, ...] = (),
        text: str = "",
        usage: Any = None,
        raw: str = "",
    ) -> None:
        super().__init__(message, hint=hint)
        self.provider = provider
        self.model = model
        self.status = status
        self.retry_after = retry_after
        self.attempts = attempts
        self.text = text
        self.usage = usage
        self.raw = raw
        self.should_retry: bool | None = None
        self.allowance: Any = None


class AuthenticationError(ProviderError):
    """The key was refused, or may not do this (401, 403)."""


class RateLimitError(ProviderError):
    """Too many requests (429); `retry_after` says in how many seconds, where the provider told."""

    retryable = True


class QuotaExceededError(ProviderError):
    """No credit is left (402, or 429 with a quota code): waiting does not help."""


class OverloadedError(ProviderError):
    """The provider failed or is overloaded (408, 409, 5xx, 529)."""

    retryable = True


class BadRequestError(ProviderError):
    """The provider refused the request as it stands (400, 404, 413, 422 and other 4xx)."""


class ContextLengthError(BadRequestError):
    """The request is longer than the model's context."""


class ContentFilterError(BadRequestError):
    """The provider's filter refused the prompt."""


class BadResponseError(ProviderError):
    """An answer that cannot be read as one; `reason` is a short code such as `no_choices`."""

    def __init__(self, message: str, *, reason: str = "unreadable", **details: Any) -> None:
        super().__init__(message, **details)
        self.reason = reason


class ProviderTimeoutError(ProviderError):
    """No whole answer within the deadline."""

    retryable = True


class ProviderConnectionError(ProviderError):
    """The connection could not be made, or broke; `sent` says whether that was after the request had gone out."""

    retryable = True
    sent = False


class StreamAbandoned(ProviderError):
    """A stream was left before its end by who read it; what it cost is known only in part."""


class CircuitOpenError(ProviderError):
    """The provider failed too often and is left alone for a while."""


class AllProvidersFailedError(ProviderError):
    """Every provider of a chain failed; `attempts` holds each try, `failures` the last error of each."""

    failures: tuple[ProviderError, ...] = ()


class BudgetExceededError(LLMTesterError):
    """The call could cost more than what is left of the budget."""


class TaskError(LLMTesterError):
    """A malformed task, sample, gold or scorer."""


class LedgerError(LLMTesterError):
    """The record of runs cannot be read or written, or not used like this."""


class SubstitutionWarning(UserWarning):
    """Somebody else answers than a call could expect."""


def error_for_status(status: int, message: str, **details: Any) -> ProviderError:
    """The provider error that an HTTP `status` stands for."""
    kinds: dict[int, type[ProviderError]] = {
        401: AuthenticationError,
        402: QuotaExceededError,
        403: AuthenticationError,
        408: OverloadedError,
        409: OverloadedError,
        429: RateLimitError,
    }
    kind = kinds.get(status, OverloadedError if status >= 500 else BadRequestError)
    return kind(message, status=status, **details)


def is_providers_own(error: BaseException) -> bool:
    """Whether `error` is a failure of the provider's own making: timeout, connection, 408 or 5xx."""
    if isinstance(error, OverloadedError):
        return error.status is None or error.status == 408 or error.status >= 500
    return isinstance(error, ProviderTimeoutError | ProviderConnectionError)


def suggestion(name: str, known: Iterable[str]) -> str:
    """A did-you-mean for `name` among `known`, or the known names where none is near."""
    names = sorted(known)
    near = get_close_matches(name, names, n=3, cutoff=0.6)
    if near:
        return f"Did you mean {' or '.join(near)}?"
    if not names:
        return ""
    more = f" and {len(names) - 12} more" if len(names) > 12 else ""
    return f"Known: {', '.join(names[:12])}{more}."
