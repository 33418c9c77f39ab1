"""Money: rates times usage gives cost, exactly. The only place that knows prices; an unknown one is never 0."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from llm_tester.catalogue import RATE_OF_CLASS, ModelEntry
from llm_tester.records import INPUT_PARTS, OUTPUT_PARTS, Cost, CostLine, UsageData

MILLION = Decimal(1_000_000)
PICODOLLARS = 1_000_000_000_000
FRAMING_TOKENS = 64


@dataclass(frozen=True, slots=True)
class Rates:
    """What a model's tokens cost: USD per 1M by token class (absent: unknown), with the source and its date."""

    by_class: Mapping[str, Decimal] = field(default_factory=dict)
    per_request: Decimal = Decimal(0)
    source: str = "unknown"
    priced_on: str | None = None

    @property
    def known(self) -> bool:
        """Whether there is any price at all."""
        return bool(self.by_class) or bool(self.per_request)


UNPRICED = Rates()


def rates_of(entry: ModelEntry | None) -> Rates:
    """The rates that a catalogue entry declares."""
    if entry is None:
        return UNPRICED
    declared = {name: getattr(entry, rate) for name, rate in RATE_OF_CLASS.items()}
    by_class = {name: rate for name, rate in declared.items() if rate is not None}
    if not by_class and not entry.cost_per_request:
        return UNPRICED
    priced_on = entry.priced_on.isoformat() if entry.priced_on else None
    return Rates(by_class, entry.cost_per_request or Decimal(0), "catalogue", priced_on)


def billed_tokens(usage: UsageData) -> dict[str, int]:
    """The tokens by the class that bills them, none counted twice; empty when the counts are missing or impossible."""
    counts = usage.counts()
    if usage.inconsistent or "input" not in counts or "output" not in counts:
        return {}
    billed = {name: counts[name] for name in (*INPUT_PARTS, *OUTPUT_PARTS) if counts.get(name)}
    billed["input"] = counts["input"] - sum(counts.get(name, 0) for name in INPUT_PARTS)
    billed["output"] = counts["output"] - sum(counts.get(name, 0) for name in OUTPUT_PARTS)
    return {} if min(billed.values()) < 0 else billed


def cost_of(usage: UsageData, rates: Rates) -> Cost:
    """The cost of one answer; a class without a rate makes it "at least", missing counts make it unknown."""
    if usage.reported_cost is not None:
        line = CostLine("reported", 0, None, usage.reported_cost)
        return Cost((line,), usage.reported_cost, complete=True, source="provider")
    billed = billed_tokens(usage)
    lines = [_line(name, tokens, rates.by_class.get(name)) for name, tokens in billed.items() if tokens]
    if rates.per_request:
        lines.append(CostLine("request", 1, rates.per_request * MILLION, rates.per_request))
    known = sum((line.usd for line in lines if line.usd is not None), Decimal(0))
    complete = bool(billed) and rates.known and all(line.usd is not None for line in lines)
    return Cost(tuple(lines), known, complete, rates.source, rates.priced_on)


def _line(token_class: str, tokens: int, rate: Decimal | None) -> CostLine:
    return CostLine(token_class, tokens, rate, None if rate is None else rate * tokens / MILLION)


def at_most(prompt_bytes: int, max_output_tokens: int | None, rates: Rates) -> Decimal | None:
    """What a call of unknown fate can have cost in USD; None where a price or the length of the answer is unbounded.

    A token is at least one byte of UTF-8, so the input has at most `prompt_bytes` tokens and the chat's framing.
    """
    inputs = [rate for name, rate in rates.by_class.items() if name == "input" or name in INPUT_PARTS]
    outputs = [rate for name, rate in rates.by_class.items() if name == "output" or name in OUTPUT_PARTS]
    if "input" not in rates.by_class or "output" not in rates.by_class or max_output_tokens is None:
        return None
    tokens_in = prompt_bytes + FRAMING_TOKENS
    return (max(inputs) * tokens_in + max(outputs) * max_output_tokens) / MILLION + rates.per_request


def picodollars(usd: Decimal) -> int:
    """USD as the ledger's integer unit, 1e-12 USD."""
    return int((usd * PICODOLLARS).to_integral_value())


def from_picodollars(amount: int) -> Decimal:
    """The ledger's integer unit as USD."""
    return Decimal(amount) / PICODOLLARS


def usd_text(usd: Decimal) -> str:
    """Exact plain decimal text, such as 0.00125."""
    text = f"{usd:f}"
    return (text.rstrip("0").rstrip(".") if "." in text else text) or "0"
