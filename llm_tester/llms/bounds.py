"""What one call can cost at most, from what is about to be sent."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

from llm_tester.cost_manager import Rates, at_most
from llm_tester.llms.base import BaseLLM
from llm_tester.records import Request

OUTPUT_CAP = 1024
"""The max_tokens that a call under a budget has where nobody names another one."""
CAP_NAMES = ("max_tokens", "max_completion_tokens", "max_output_tokens")
ANSWERS_NAMES = ("n", "best_of", "candidate_count")
MESSAGE_TOKENS = 16
SCHEMA_TOKENS = 640
"""What providers put around tools and schemas; Anthropic's own prompt for them is the longest that is known."""
FILE_TOKENS = 16_384


def capped(request: Request, cap: int = OUTPUT_CAP) -> Request:
    """`request` with a `max_tokens`, as a default that is not reported where the model takes none."""
    if any(name in request.parameters for name in CAP_NAMES):
        return request
    parameters = {**request.parameters, "max_tokens": cap}
    return replace(request, parameters=parameters, defaults=request.defaults | {"max_tokens"})


def worst_case(provider: BaseLLM, request: Request, rates: Rates) -> Decimal | None:
    """What one attempt can cost in USD at most; None where a price or the length of the answer is unbounded."""
    if provider.is_simulated:
        return Decimal(0)
    dropped = provider.not_applied(replace(request, defaults=frozenset()) if request.defaults else request)
    sent = request.parameters
    if dropped:
        sent = {name: value for name, value in sent.items() if name not in dropped}
    longest = _cap(sent) or provider.model_entry(request.model).max_output_tokens
    return None if longest is None else request_bound(request, rates, longest, provider.config.system_prompt)


def request_bound(
    request: Request, rates: Rates, longest: int | None = None, system_prompt: str = ""
) -> Decimal | None:
    """What one attempt can cost in USD at most when an answer has at most `longest` tokens, or what `request` says."""
    asked = request.parameters
    answers = max([1, *(asked[name] for name in ANSWERS_NAMES if _is_count(asked.get(name)))])
    tokens = longest or _cap(asked)
    return at_most(input_bytes(request, system_prompt), None if tokens is None else tokens * answers, rates)


def _cap(parameters: Mapping[str, Any]) -> int | None:
    caps = [parameters[name] for name in CAP_NAMES if name in parameters]
    return max(caps) if caps and all(map(_is_count, caps)) else None


def input_bytes(request: Request, system_prompt: str = "") -> int:
    """The UTF-8 bytes of all that becomes input: a token is at least one of them."""
    total = _length(system_prompt)
    # at_most has room for the framing of the first ones.
    total += MESSAGE_TOKENS * max(0, len(request.messages) - 2)
    total += sum(_length(message.content) for message in request.messages)
    extras = [value for value in request.parameters.values() if isinstance(value, list | tuple | dict)]
    if request.output_schema is not None:
        extras.append(dict(request.output_schema))
    if extras:
        total += SCHEMA_TOKENS + sum(_length(json.dumps(extra, ensure_ascii=False, default=str)) for extra in extras)
    return total + sum(FILE_TOKENS + _size(file) for file in request.files)


def _length(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def _size(file: str) -> int:
    path = Path(file)
    return path.stat().st_size if path.is_file() else 0


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0
