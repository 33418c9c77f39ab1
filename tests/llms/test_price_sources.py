"""Where rates come from."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from genai_prices import Usage, calc_price

from llm_tester.catalogue import ModelEntry, ProviderConfig
from llm_tester.cost_manager import cost_of, rates_of
from llm_tester.llms.price_sources import bundled_entry, differing_rates, resolve_rates
from llm_tester.records import UsageData

MOMENT = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


def config(**fields: Any) -> ProviderConfig:
    return ProviderConfig.model_validate({"name": "ours", **fields})


def test_the_catalogue_wins() -> None:
    entry = ModelEntry(name="gpt-4o-mini", cost_input=Decimal(7), cost_output=Decimal(8))
    rates = resolve_rates(config(name="openai"), entry, MOMENT)
    assert (rates.source, rates.by_class["input"]) == ("catalogue", Decimal(7))


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({"name": "openai"}, id="by the provider's name"),
        pytest.param({"base_url": "https://api.openai.com/v1"}, id="by its address"),
    ],
)
def test_what_the_catalogue_does_not_price_genai_prices_does(fields: dict[str, Any]) -> None:
    rates = resolve_rates(config(**fields), ModelEntry(name="gpt-4o-mini"), MOMENT)
    assert rates.source == "genai-prices"
    assert rates.priced_on is not None
    cost = cost_of(UsageData(1000, 100), rates, MOMENT)
    usage = Usage(input_tokens=1000, output_tokens=100)
    assert (
        cost.usd == calc_price(usage, "gpt-4o-mini", provider_id="openai", genai_request_timestamp=MOMENT).total_price
    )


@pytest.mark.parametrize(
    ("fields", "model"),
    [
        pytest.param({}, "gpt-4o-mini", id="nobody knows the provider, so no price is guessed by the model's name"),
        pytest.param({"name": "openai"}, "no-such-model", id="nobody knows the model"),
        pytest.param({"name": "openai", "simulated": True}, "gpt-4o-mini", id="simulated"),
    ],
)
def test_what_nobody_prices_is_unknown(fields: dict[str, Any], model: str) -> None:
    rates = resolve_rates(config(**fields), ModelEntry(name=model), MOMENT)
    assert (rates.known, rates.source) == (False, "unknown")


def test_catalogue_rates_that_differ_from_the_bundled_ones_are_named() -> None:
    theirs = resolve_rates(config(name="openai"), ModelEntry(name="gpt-4o-mini"), MOMENT).by_class["output"]
    entry = ModelEntry(name="gpt-4o-mini", cost_input=Decimal("0.15"), cost_output=theirs + 1)
    rates = resolve_rates(config(name="openai"), entry, MOMENT)
    expected = [("output", theirs + 1, theirs)]
    assert differing_rates("openai", "", "gpt-4o-mini", rates, MOMENT) == expected
    assert differing_rates("ours", "api.openai.com", "gpt-4o-mini", rates, MOMENT) == expected
    assert differing_rates("ours", "", "gpt-4o-mini", rates, MOMENT) == []
    bundled = resolve_rates(config(name="openai"), ModelEntry(name="gpt-4o-mini"), MOMENT)
    assert differing_rates("openai", "", "gpt-4o-mini", bundled, MOMENT) == []


def test_a_tier_that_is_missing_is_a_difference() -> None:
    whole = bundled_entry(config(name="anthropic"), "claude-sonnet-4-5", MOMENT)
    assert whole is not None
    (tier,) = whole.tiers
    rates = replace(rates_of(whole.model_copy(update={"tiers": []}), MOMENT), source="catalogue")
    found = differing_rates("anthropic", "", "claude-sonnet-4-5", rates, MOMENT)
    assert ("input above 200,000 tokens", whole.cost_input, tier.cost_input) in found
    assert all("above 200,000 tokens" in label for label, _, _ in found)


def test_an_hour_at_which_prices_differ_is_named() -> None:
    whole = bundled_entry(config(name="deepseek"), "deepseek-chat", MOMENT)
    assert whole is not None
    rates = replace(rates_of(whole.model_copy(update={"timed_prices": []}), MOMENT), source="catalogue")
    found = differing_rates("deepseek", "", "deepseek-chat", rates, MOMENT)
    assert ("input at 00:30 UTC", whole.cost_input, whole.timed_prices[0].cost_input) in found
