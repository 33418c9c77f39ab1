"""Where a model's rates come from: the catalogue, else genai-prices' bundled data, else they are unknown."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

from llm_tester.catalogue import ModelEntry, ProviderConfig
from llm_tester.cost_manager import Rates, rates_of
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
    """Where catalogue rates of a moment differ from genai-prices' bundled data: token class, ours, theirs.

    Classes that only one of them prices are no difference; the provider is known by its name or its host.
    """
    if rates.source != "catalogue":
        return []
    config = ProviderConfig(name=provider, base_url=f"https://{host}/v1" if host else None)
    entry = bundled_entry(config, model, moment)
    theirs = rates_of(entry, moment).by_class
    return [
        (name, rate, theirs[name])
        for name, rate in rates.by_class.items()
        if name in theirs and theirs[name] != rate and name != "reasoning"
    ]
