"""The log of calls: `llm_tester.llms`, a line per call; prompts and answers at DEBUG only, keys never."""

from __future__ import annotations

import logging

from llm_tester.errors import ProviderError
from llm_tester.records import Request, Response

_log = logging.getLogger("llm_tester.llms")
# A library stays silent until its user asks; without this Python would print warnings by itself.
logging.getLogger("llm_tester").addHandler(logging.NullHandler())


def asked(request: Request) -> None:
    """Before the first attempt."""
    if _log.isEnabledFor(logging.DEBUG):
        _log.debug("%s asks %s", _name(request), [(message.role, message.content) for message in request.messages])


def answered(request: Request, response: Response) -> None:
    """A call has its answer."""
    if not _log.isEnabledFor(logging.INFO):
        return
    usage, cost = response.usage, response.cost
    tokens = f"{_count(usage.prompt_tokens)} + {_count(usage.completion_tokens)} tokens"
    price = f"${cost.known}" if cost.complete else f"at least ${cost.known}"
    latency = "" if response.latency_ms is None else f" in {response.latency_ms:.0f} ms"
    tries = len(response.attempts)
    _log.info(
        "%s answered%s: %s, %s%s", _name(request), latency, tokens, price, f", {tries} attempts" if tries > 1 else ""
    )
    _log.debug("%s says %r", _name(request), response.text)


def retrying(request: Request, error: ProviderError, delay: float) -> None:
    """A call will be tried again after `delay` seconds."""
    _log.info("%s: %s: %s; tried again in %.1f s", _name(request), type(error).__name__, _line(error.message), delay)


def failed(request: Request, error: ProviderError) -> None:
    """A call is given up."""
    tries = len(error.attempts)
    times = f"{tries} attempt{'s' * (tries != 1)}"
    _log.warning("%s failed after %s: %s: %s", _name(request), times, type(error).__name__, _line(error.message))


def _name(request: Request) -> str:
    name = f"{request.provider}:{request.model}"
    return f"{name} ({request.call_id})" if request.call_id else name


def _line(text: str) -> str:
    """What a server said may hold line ends and control codes, with which it could write lines of its own."""
    return repr(text)[1:-1]


def _count(tokens: int | None) -> str:
    return "?" if tokens is None else str(tokens)
