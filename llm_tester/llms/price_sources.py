"""Where a model's rates come from: config.json, the catalogue, genai-prices' bundled data; else they are unknown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal

from llm_tester.catalogue import ModelEntry, ProviderConfig
from llm_tester.cost_manager import CATALOGUE, OWN, Rates, rates_of
from llm_tester.llms.catalogue_sync import bundled, genai_id_of, offer_of, price_date


def resolve_rates(config: ProviderConfig, entry: ModelEntry, moment: datetime | None = None) -> Rates:
    """The rates of a model at a moment, now where none is given; nothing is fetched."""
    now = moment or datetime.now(UTC)
    rates = rates_of(entry, now)
    if rates.known or config.simulated:
        return rates
    found = bundled_entry(config, entry.name, now)
    return rates if found is None else replace(rates_of(found, now), source="genai-prices")


def bundled_entry(config: ProviderConfig, model: str, moment: datetime) -> ModelEntry | None:
    """A model with its prices as genai-prices' bundled data has them; None where it does not know provider or model."""
    providers, installed = bundled()
    genai_id = genai_id_of(config, providers)
    if genai_id is None:
        return None
    provider = next(known for known in providers if known.id == genai_id)
    info = provider.find_model(model, all_providers=list(providers))
    entry = offer_of(info, model, moment.astimezone(UTC).date()).entry if info is not None else None
    return entry and entry.model_copy(update={"priced_on": price_date(providers, installed)})


def differing_rates(
    provider: str, host: str, model: str, rates: Rates, moment: datetime
) -> list[tuple[str, Decimal, Decimal]]:
    """Where declared rates of a moment differ from genai-prices' bundled data: which rate, ours, theirs.

    Classes that only one of them prices are no difference; the provider is known by its name or its host.
    """
    if rates.source not in (OWN, CATALOGUE):
        return []
    config = ProviderConfig(name=provider, base_url=f"https://{host}/v1" if host else None)
    theirs = rates_of(bundled_entry(config, model, moment), moment)
    found: dict[tuple[str, Decimal, Decimal], str] = {}
    for when, one, other in _situations(rates, theirs):
        for name, rate in one.items():
            if name in other and other[name] != rate and name != "reasoning":
                found.setdefault((name, rate, other[name]), f"{name}{when}")
    return [(label, rate, their) for (_, rate, their), label in found.items()]


def _situations(ours: Rates, theirs: Rates) -> Iterator[tuple[str, Mapping[str, Decimal], Mapping[str, Decimal]]]:
    """Both tables for plain requests, above each limit that either knows, and from each hour that either has."""
    for above in sorted({0, *(tier.above for rates in (ours, theirs) for tier in rates.tiers)}):
        label = f" above {above:,} tokens" if above else ""
        yield label, ours.for_input(above + 1), theirs.for_input(above + 1)
    for begin in sorted({span.begin for rates in (ours, theirs) for span in rates.spans}):
        then = datetime.combine(date(2000, 1, 1), begin, UTC)
        yield f" at {begin:%H:%M} UTC", ours.at(then).by_class, theirs.at(then).by_class
