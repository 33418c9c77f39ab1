"""What a provider's own code raises, as one of our errors."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

from llm_tester.errors import (
    LLMTesterError,
    ProviderConnectionError,
    ProviderError,
    ProviderTimeoutError,
    error_for_status,
)
from llm_tester.llms.foreign_failures import place_in


def failure_of(error: BaseException, chosen: type[Any]) -> ProviderError:
    """The failure of a call of a class; an error of ours that is none, a wrong configuration, is raised as it is."""
    if isinstance(error, ProviderError):
        return error
    if isinstance(error, LLMTesterError):
        raise error
    # Client libraries differ: an HTTP status on the exception says most, its type the rest.
    message = f"{chosen.__name__}: {type(error).__name__}: {error}"
    status = _status_of(error)
    if status is not None:
        return error_for_status(status, message)
    # The timeouts of requests, httpx and the SDKs have their name in common, and no base class.
    kinds = " ".join(kind.__name__ for kind in type(error).__mro__)
    if "Timeout" in kinds:
        return ProviderTimeoutError(message)
    if any(kind in kinds for kind in ("ConnectionError", "ConnectError", "URLError")):
        return ProviderConnectionError(message)
    return ProviderError(f"{chosen.__name__}{_line_of(error, chosen)}: {type(error).__name__}: {error}")


def _line_of(error: BaseException, chosen: type[Any]) -> str:
    """Where in the code of the class or beside it that was: what is no failure of a service may be a mistake there."""
    try:
        file = Path(inspect.getfile(chosen))
    except (OSError, TypeError):
        return ""
    place = place_in(error, file, file.parent if chosen.__module__.startswith("llm_tester_providers.") else None)
    return f" ({Path(place).name})" if place else ""


def _status_of(error: BaseException) -> int | None:
    """SDKs and aiohttp put the status on the exception, requests and httpx on its response."""
    for holder in (error, getattr(error, "response", None)):
        for name in ("status_code", "status"):
            status = getattr(holder, name, None)
            if isinstance(status, int) and not isinstance(status, bool) and 400 <= status <= 599:
                return status
    return None
