"""Money: rates times usage gives cost, exactly. The only place that knows prices; an unknown one is never 0."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, time
from decimal import Decimal
from typing import Any

from llm_tester.catalogue import RATE_OF_CLASS, ModelEntry, Prices, TimedPrices
from llm_tester.records import INPUT_PARTS, OUTPUT_PARTS, Cost, CostLine, UsageData, counts_of

MILLION = Decimal(1_000_000)
_NOTHING = Decimal(0)
PICODOLLARS = 1_000_000_000_000
FRAMING_TOKENS = 64
OWN, REPORTED, CATALOGUE = "config.json", "provider", "catalogue"
"""Where a price comes from, the first that knows one: the workspace's config.json, the answer itself, the catalogue."""


@dataclass(frozen=True, slots=True)
class Tier:
    """The rates of a request whose input has more than `above` tokens."""

    above: int
    by_class: Mapping[str, Decimal]


@dataclass(frozen=True, slots=True)
class Rates:
    """What a model's tokens cost: USD per 1M by token class (absent: unknown), with the source and its date.

    `tiers`, in rising order, price whole requests by the length of their input; `spans` hold in a span of each day.
    """

    by_class: Mapping[str, Decimal] = field(default_factory=dict)
    per_request: Decimal = Decimal(0)
    source: str = "unknown"
    priced_on: str | None = None
    tiers: tuple[Tier, ...] = ()
    spans: tuple[Span, ...] = ()
    ceilings: tuple[Decimal, Decimal] = field(init=False, repr=False, compare=False)
    """The highest rates of any input and any output: what every call is bounded with."""

    def __post_init__(self) -> None:
        found = (self.dearest(("input", *INPUT_PARTS)), self.dearest(("output", *OUTPUT_PARTS)))
        object.__setattr__(self, "ceilings", found)

    @property
    def known(self) -> bool:
        """Whether there is any price at all."""
        return bool(self.by_class) or bool(self.per_request)

    def at(self, moment: datetime) -> Rates:
        """The rates that hold at a moment of the day."""
        now = moment.astimezone(UTC).time()
        return next((span.rates for span in reversed(self.spans) if span.holds(now)), self)

    def for_input(self, tokens: int) -> Mapping[str, Decimal]:
        """The rates of a request with so many input tokens."""
        return next((tier.by_class for tier in reversed(self.tiers) if tokens > tier.above), self.by_class)

    def dearest(self, classes: Iterable[str]) -> Decimal:
        """The highest rate of any of these token classes, in any tier and at any time of the day."""
        wanted = set(classes)
        tables = [self.by_class, *(tier.by_class for tier in self.tiers)]
        own = [rate for table in tables for name, rate in table.items() if name in wanted]
        return max([*own, *(span.rates.dearest(wanted) for span in self.spans)], default=Decimal(0))


@dataclass(frozen=True, slots=True)
class Span:
    """Rates between two times of each day, in UTC; `until` before `begin` crosses midnight."""

    begin: time
    until: time
    rates: Rates

    def holds(self, now: time) -> bool:
        """Whether `now` is in the span."""
        if self.until < self.begin:
            return now >= self.begin or now < self.until
        return self.begin <= now < self.until


UNPRICED = Rates()


def rates_of(entry: ModelEntry | None, moment: datetime | None = None) -> Rates:
    """The rates that a catalogue entry declares at a moment, now where none is given."""
    if entry is None:
        return UNPRICED
    today = (moment or datetime.now(UTC)).astimezone(UTC).date()
    chosen: ModelEntry | TimedPrices = entry
    spans: list[Span] = []
    for timed in entry.timed_prices:
        if timed.valid_from is not None and timed.valid_from > today:
            continue
        if timed.from_utc is not None and timed.until_utc is not None:
            spans.append(Span(timed.from_utc, timed.until_utc, _declared(timed, entry)))
        else:
            chosen, spans = timed, []
    base = _declared(chosen, entry)
    return replace(base, spans=tuple(spans)) if spans else base


def _declared(prices: ModelEntry | TimedPrices, entry: ModelEntry) -> Rates:
    by_class = _by_class(prices)
    per_request = prices.cost_per_request or Decimal(0)
    if not by_class and not per_request:
        return UNPRICED
    tiers = sorted(prices.tiers, key=lambda tier: tier.above)
    priced_on = entry.priced_on.isoformat() if entry.priced_on else None
    higher = tuple(Tier(tier.above, {**by_class, **_by_class(tier)}) for tier in tiers)
    return Rates(by_class, per_request, OWN if entry.own_prices else CATALOGUE, priced_on, higher)


def _by_class(prices: Prices) -> dict[str, Decimal]:
    declared = {name: getattr(prices, rate) for name, rate in RATE_OF_CLASS.items()}
    return {name: rate for name, rate in declared.items() if rate is not None}


def rates_to_json(rates: Rates) -> dict[str, Any]:
    """Rates as the ledger keeps them."""
    content: dict[str, Any] = {name: str(rate) for name, rate in rates.by_class.items()}
    content["request"] = str(rates.per_request)
    if rates.tiers:
        content["tiers"] = [[tier.above, {n: str(rate) for n, rate in tier.by_class.items()}] for tier in rates.tiers]
    if rates.spans:
        content["spans"] = [[str(s.begin), str(s.until), rates_to_json(s.rates)] for s in rates.spans]
    return content


def rates_from_json(content: Mapping[str, Any], source: str, priced_on: str | None) -> Rates:
    """Rates from what the ledger keeps."""
    plain = {name: Decimal(rate) for name, rate in content.items() if name not in ("request", "tiers", "spans")}
    tiers = tuple(
        Tier(above, {name: Decimal(rate) for name, rate in table.items()}) for above, table in content.get("tiers", ())
    )
    spans = tuple(
        Span(time.fromisoformat(begin), time.fromisoformat(until), rates_from_json(inner, source, priced_on))
        for begin, until, inner in content.get("spans", ())
    )
    return Rates(plain, Decimal(content["request"]), source, priced_on, tiers, spans)


def billed_tokens(usage: UsageData) -> dict[str, int]:
    """The tokens by the class that bills them, none counted twice; empty when the counts are missing or impossible."""
    whole_input, whole_output = usage.prompt_tokens, usage.completion_tokens
    if usage.inconsistent or whole_input is None or whole_output is None:
        return {}
    if counts_of(usage) == (whole_input, None, None, None, whole_output, None, None, None):
        return {"input": whole_input, "output": whole_output} if whole_input >= 0 <= whole_output else {}
    counts = usage.counts()
    billed = {name: counts[name] for name in (*INPUT_PARTS, *OUTPUT_PARTS) if counts.get(name)}
    billed["input"] = counts["input"] - sum([counts[name] for name in INPUT_PARTS if name in counts])
    billed["output"] = counts["output"] - sum([counts[name] for name in OUTPUT_PARTS if name in counts])
    return {} if min(billed.values()) < 0 else billed


def cost_of(usage: UsageData, rates: Rates, moment: datetime | None = None) -> Cost:
    """The cost of one answer at a moment, now where none is given.

    A class without a rate makes it "at least", missing counts make it unknown.
    """
    if rates.spans:
        rates = rates.at(moment or datetime.now(UTC))
    if usage.reported_cost is not None and rates.source != OWN:
        line = CostLine("reported", sum(billed_tokens(usage).values()), None, usage.reported_cost)
        return Cost((line,), usage.reported_cost, complete=True, source=REPORTED)
    billed = billed_tokens(usage)
    table = rates.for_input(usage.prompt_tokens or 0) if rates.tiers else rates.by_class
    lines, known, complete = [], _NOTHING, bool(billed) and rates.known
    for name, tokens in billed.items():
        if not tokens:
            continue
        rate, usd = table.get(name), None
        if rate is None:
            complete = False
        else:
            # Multiplied by a rate per token it would have a tail of zeros.
            usd = rate * tokens / MILLION
            known += usd
        # What CostLine(...) does, without the call that sorts the arguments.
        lines.append(tuple.__new__(CostLine, (name, tokens, rate, usd)))
    if rates.per_request:
        lines.append(CostLine("request", 1, rates.per_request * MILLION, rates.per_request))
        known += rates.per_request
    return Cost(tuple(lines), known, complete, rates.source, rates.priced_on)


def without_cache(usage: UsageData, rates: Rates, moment: datetime | None = None) -> Cost:
    """The cost of the same answer had the provider's cache held nothing: cached reads at the rate of plain input.

    A cost that the provider reports itself stays, and is "at least" where the answer read from the cache.
    """
    cost = cost_of(replace(usage, cached_input=None), rates, moment)
    hidden = cost.source == REPORTED and usage.cached_input
    return cost._replace(complete=False) if hidden else cost


def at_most(prompt_bytes: int, max_output_tokens: int | None, rates: Rates) -> Decimal | None:
    """What a call of unknown fate can have cost in USD; None where a price or the length of the answer is unbounded.

    A token is at least one byte of UTF-8, so the input has at most `prompt_bytes` tokens and the chat's framing.
    """
    if "input" not in rates.by_class or "output" not in rates.by_class or max_output_tokens is None:
        return None
    tokens_in = prompt_bytes + FRAMING_TOKENS
    dearest_in, dearest_out = rates.ceilings
    return (dearest_in * tokens_in + dearest_out * max_output_tokens) / MILLION + rates.per_request


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
