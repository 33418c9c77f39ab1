"""What a provider class reports of a call, checked: token counts that can be counts, and no unknown keys."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal, InvalidOperation
from typing import Any, get_args

from llm_tester.errors import BadResponseError, suggestion
from llm_tester.records import (
    INPUT_PARTS,
    OUTPUT_PARTS,
    USAGE_KEYS,
    FinishReason,
    UsageData,
)

_FACE = {"input": "prompt_tokens", "output": "completion_tokens"}
_FINISH = get_args(FinishReason)
_OFTEN = {
    "input_tokens": "input",
    "output_tokens": "output",
    "cached_tokens": "cached_input",
    "cache_read_input_tokens": "cached_input",
    "reasoning_tokens": "reasoning",
    "cost": "reported_cost",
    "cost_usd": "reported_cost",
    "model": "served_model",
}
"""What services call the counts."""
MAX_TOKENS = 1_000_000_000
MAX_COST = Decimal(1_000_000)


def read_usage(reported: Mapping[str, Any] | UsageData | None) -> UsageData:
    """The usage that a provider class returned; raises BadResponseError for keys that UsageData does not have.

    A value that cannot be one (a negative count, NaN, an unknown finish reason) becomes None and is named in
    `inconsistent`; impossible sums and sizes are named there and kept.
    """
    if isinstance(reported, UsageData):
        return _checked(reported)
    if reported is None:
        return UsageData()
    if not isinstance(reported, Mapping):
        raise BadResponseError(f"usage must be a dict or UsageData, not {type(reported).__name__}", reason="bad_usage")
    if not USAGE_KEYS.issuperset(reported):
        unknown = sorted(set(map(str, reported)) - USAGE_KEYS)
        hint = usage_hint(unknown[0])
        raise BadResponseError(f'the usage has an unknown key "{unknown[0]}"', reason="bad_usage", hint=hint)
    fields = {_FACE.get(key, key): value for key, value in reported.items()}
    total = fields.pop("total_tokens", None)
    if len(fields) < len(reported):
        twice = [
            f"{key} is {reported[key]!r}, {name} is {reported[name]!r}"
            for key, name in _FACE.items()
            if key in reported and name in reported and reported[key] != reported[name]
        ]
        fields["inconsistent"] = tuple(twice)
    usage = _checked(UsageData(**fields), total)
    return replace(usage, raw=dict(reported)) if usage.inconsistent and usage.raw is None else usage


def usage_hint(key: str) -> str:
    """A did-you-mean for a key that UsageData does not have."""
    return f"Did you mean {_OFTEN[key]}?" if key in _OFTEN else suggestion(key, USAGE_KEYS)


def _checked(usage: UsageData, total: Any = None) -> UsageData:
    problems: list[str] = []
    changes: dict[str, Any] = {}
    counts = usage.counts()
    for token_class, value in list(counts.items()):
        # Nearly all are plain numbers: is_count asks more than they need.
        if (type(value) is not int or value < 0) and not is_count(value):
            problems.append(f"{token_class} is {value!r}")
            changes[_FACE.get(token_class, token_class)] = None
            del counts[token_class]
    for name, checked in (("reported_cost", _money), ("finish_reason", _finish)):
        if (given := getattr(usage, name)) is not None:
            changes[name] = checked(given, problems)
    for name, fits in (("latency_ms", _is_duration), ("served_model", _is_text)):
        value = getattr(usage, name)
        if value is not None and not fits(value):
            problems.append(f"{name} is {value!r}")
            changes[name] = None
    for name, value in changes.items():
        if value is not getattr(usage, name):
            usage = replace(usage, **changes)
            break
    problems += _impossible(counts, usage.total_tokens, total)
    return replace(usage, inconsistent=(*usage.inconsistent, *problems)) if problems else usage


def is_count(value: Any) -> bool:
    """Whether `value` can be a number of tokens."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_duration(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < math.inf


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _money(value: Any, problems: list[str]) -> Decimal | None:
    if value is None:
        return None
    try:
        amount = Decimal(str(value))
    except InvalidOperation:
        amount = Decimal("NaN")
    if amount.is_finite() and 0 <= amount <= MAX_COST:
        return amount
    problems.append(f"reported_cost is {value!r}")
    return None


def _finish(value: Any, problems: list[str]) -> Any:
    if value is None or (isinstance(value, str) and value in _FINISH):
        return value
    problems.append(f"finish_reason is {value!r}")
    return None


def _impossible(counts: Mapping[str, int], own_total: int | None, total: Any) -> list[str]:
    problems = [f"{name} is {count}" for name, count in counts.items() if count > MAX_TOKENS]
    for whole, parts in (("input", INPUT_PARTS), ("output", OUTPUT_PARTS)):
        part_sum = sum([counts[name] for name in parts if name in counts])
        if whole in counts and part_sum > counts[whole]:
            problems.append(f"the parts of {whole} sum to {part_sum}, more than {counts[whole]}")
    if total is not None and own_total is not None and total != own_total:
        problems.append(f"total_tokens is {total!r}, input and output sum to {own_total}")
    return problems
