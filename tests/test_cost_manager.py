from __future__ import annotations

import json
from dataclasses import fields, replace
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_tester.catalogue import RATE_OF_CLASS, ModelEntry, TimedPrices
from llm_tester.cost_manager import (
    FRAMING_TOKENS,
    OWN,
    PICODOLLARS,
    UNPRICED,
    Rates,
    at_most,
    billed_tokens,
    cost_of,
    from_picodollars,
    picodollars,
    rates_from_json,
    rates_of,
    rates_to_json,
    usd_text,
    without_cache,
)
from llm_tester.records import INPUT_PARTS, OUTPUT_PARTS, TOKEN_CLASSES, UsageData

PRICES = st.decimals(0, 10_000, places=6, allow_nan=False)
COUNTS = st.integers(0, 10_000_000)
SIMPLE = Rates({"input": Decimal(3), "output": Decimal(15)}, source="catalogue", priced_on="2026-01-01")


@st.composite
def usages(draw: st.DrawFn) -> UsageData:
    """Usage whose parts fit into their wholes."""
    parts = {name: draw(st.none() | COUNTS) for name in (*INPUT_PARTS, *OUTPUT_PARTS)}
    whole_in = sum(parts[name] or 0 for name in INPUT_PARTS) + draw(COUNTS)
    whole_out = sum(parts[name] or 0 for name in OUTPUT_PARTS) + draw(COUNTS)
    return UsageData(whole_in, whole_out, **parts)  # type: ignore[arg-type]


rates = st.builds(
    Rates,
    st.dictionaries(st.sampled_from(TOKEN_CLASSES), PRICES),
    st.decimals(0, 10, places=6, allow_nan=False),
    st.just("catalogue"),
)


def test_the_cost_of_an_answer_is_exact() -> None:
    cost = cost_of(UsageData(1234, 567), SIMPLE)
    assert cost.usd == Decimal("0.012207")
    assert [(line.token_class, line.tokens, line.rate, line.usd) for line in cost.lines] == [
        ("input", 1234, Decimal(3), Decimal("0.003702")),
        ("output", 567, Decimal(15), Decimal("0.008505")),
    ]
    assert (cost.complete, cost.source, cost.priced_on) == (True, "catalogue", "2026-01-01")


def test_parts_are_billed_at_their_own_rate_and_not_again_in_the_whole() -> None:
    usage = UsageData(1000, 500, cached_input=600, cache_write_5m=100, reasoning=200)
    priced = Rates(
        {
            "input": Decimal(2),
            "cached_input": Decimal(1),
            "cache_write_5m": Decimal(3),
            "output": Decimal(4),
            "reasoning": Decimal(4),
        }
    )
    assert billed_tokens(usage) == {
        "cached_input": 600,
        "cache_write_5m": 100,
        "reasoning": 200,
        "input": 300,
        "output": 300,
    }
    assert cost_of(usage, priced).usd == Decimal("0.0035")


@given(usages())
def test_no_token_is_billed_twice_and_none_is_lost(usage: UsageData) -> None:
    billed = billed_tokens(usage)
    assert sum(billed.values()) == usage.total_tokens
    assert min(billed.values()) >= 0


@given(usages(), rates)
def test_a_cost_is_the_sum_of_its_lines(usage: UsageData, priced: Rates) -> None:
    cost = cost_of(usage, priced)
    assert cost.known == sum((line.usd for line in cost.lines if line.usd is not None), Decimal(0))
    assert cost.complete == (priced.known and all(line.usd is not None for line in cost.lines))
    for line in cost.lines:
        assert line.usd is None or line.rate is None or line.usd * 1_000_000 == line.rate * line.tokens


@pytest.mark.parametrize(
    "usage",
    [
        pytest.param(UsageData(), id="nothing reported"),
        pytest.param(UsageData(prompt_tokens=10), id="no output reported"),
        pytest.param(UsageData(completion_tokens=10), id="no input reported"),
        pytest.param(UsageData(10, 5, inconsistent=("output is -5",)), id="flagged"),
        pytest.param(UsageData(10, 5, cached_input=11), id="a part greater than its whole"),
        pytest.param(UsageData(10, 5, reasoning=6), id="reasoning greater than output"),
    ],
)
def test_an_unknown_cost_is_not_0(usage: UsageData) -> None:
    cost = cost_of(usage, SIMPLE)
    assert cost.usd is None
    assert not cost.complete
    assert cost.known == 0
    assert cost.lines == ()


def test_a_class_without_a_rate_makes_the_cost_at_least() -> None:
    cost = cost_of(UsageData(1_000_000, 1_000_000, audio_output=500_000), SIMPLE)
    assert (cost.usd, cost.known) == (None, Decimal("10.5"))
    assert [line.token_class for line in cost.lines if line.rate is None] == ["audio_output"]


def test_a_class_that_was_not_used_needs_no_rate() -> None:
    assert cost_of(UsageData(10, 0, cached_input=0), Rates({"input": Decimal(1)})).usd == Decimal("0.00001")


def test_without_prices_even_an_empty_answer_has_no_known_cost() -> None:
    assert cost_of(UsageData(0, 0), UNPRICED).usd is None
    assert cost_of(UsageData(5, 5), UNPRICED).usd is None


def test_free_is_a_price() -> None:
    assert cost_of(UsageData(10, 10), Rates({"input": Decimal(0), "output": Decimal(0)})).usd == 0


def test_what_the_provider_reports_wins() -> None:
    cost = cost_of(UsageData(10, 10, reported_cost=Decimal("0.25")), SIMPLE)
    assert (cost.usd, cost.source, cost.priced_on) == (Decimal("0.25"), "provider", None)
    assert cost_of(UsageData(reported_cost=Decimal(0)), UNPRICED).usd == 0


def test_prices_of_the_workspace_win_over_the_provider_s_own_figure() -> None:
    usage = UsageData(1_000_000, 0, reported_cost=Decimal("0.25"))
    cost = cost_of(usage, replace(SIMPLE, source=OWN))
    assert (cost.usd, cost.source) == (Decimal(3), "config.json")


def test_a_price_per_request_is_added() -> None:
    priced = rates_of(
        ModelEntry(name="m", cost_input=Decimal(1), cost_output=Decimal(1), cost_per_request=Decimal("0.01"))
    )
    cost = cost_of(UsageData(1_000_000, 0), priced)
    assert cost.usd == Decimal("1.01")
    line = cost.lines[-1]
    assert (line.token_class, line.tokens, line.usd) == ("request", 1, Decimal("0.01"))


def test_a_model_that_is_priced_per_request_alone() -> None:
    priced = rates_of(ModelEntry(name="m", cost_per_request=Decimal("0.04")))
    assert priced.known
    assert cost_of(UsageData(0, 0), priced).usd == Decimal("0.04")
    assert (cost_of(UsageData(5, 5), priced).usd, cost_of(UsageData(5, 5), priced).known) == (None, Decimal("0.04"))


def test_rates_come_from_the_catalogue() -> None:
    entry = ModelEntry(name="m", cost_input=Decimal(1), cost_cached_input=Decimal(0), priced_on=date(2026, 1, 2))
    assert rates_of(entry) == Rates(
        {"input": Decimal(1), "cached_input": Decimal(0)}, Decimal(0), "catalogue", "2026-01-02"
    )
    assert rates_of(ModelEntry(name="m", cost_output=Decimal(2))).by_class == {"output": 2, "reasoning": 2}
    assert rates_of(ModelEntry(name="m")) is rates_of(None) is UNPRICED
    assert not UNPRICED.known


def test_every_token_class_has_a_rate_in_the_catalogue() -> None:
    assert set(RATE_OF_CLASS) == set(TOKEN_CLASSES)
    assert set(RATE_OF_CLASS.values()) <= set(ModelEntry.model_fields)
    assert {f.name for f in fields(UsageData)} >= set(TOKEN_CLASSES) - {"input", "output"}


@given(usages(), rates, st.integers(0, 1000), st.integers(0, 1000))
def test_the_bound_of_a_call_is_never_below_its_cost(usage: UsageData, priced: Rates, more: int, longer: int) -> None:
    assert usage.input is not None
    assert usage.output is not None
    prompt_bytes = max(0, usage.input - FRAMING_TOKENS) + more
    bound = at_most(prompt_bytes, usage.output + longer, priced)
    assert (bound is None) == (not {"input", "output"} <= set(priced.by_class))
    assert bound is None or bound >= cost_of(usage, priced).known


def test_the_bound_counts_bytes_and_framing_at_the_dearest_rate() -> None:
    priced = Rates({**SIMPLE.by_class, "cache_write_1h": Decimal(6)}, Decimal("0.5"))
    assert at_most(936, 1000, priced) == Decimal("0.5") + Decimal("0.006") + Decimal("0.015")


@pytest.mark.parametrize(
    ("length", "priced"),
    [(None, SIMPLE), (10, UNPRICED), (10, Rates({"input": Decimal(1)})), (10, Rates({"output": Decimal(1)}))],
)
def test_without_length_or_price_there_is_no_bound(length: int | None, priced: Rates) -> None:
    assert at_most(10, length, priced) is None


@given(st.integers(0, 2**63))
def test_picodollars_come_back_unchanged(amount: int) -> None:
    assert picodollars(from_picodollars(amount)) == amount


@given(usages(), rates)
def test_the_cost_of_an_answer_is_a_whole_number_of_picodollars(usage: UsageData, priced: Rates) -> None:
    known = cost_of(usage, priced).known
    assert from_picodollars(picodollars(known)) == known


def test_a_picodollar_is_a_millionth_of_a_millionth() -> None:
    assert picodollars(Decimal(1)) == PICODOLLARS == 10**12
    assert picodollars(Decimal("0.0000000000005")) == 0


@pytest.mark.parametrize(
    ("amount", "expected"),
    [
        ("0.00125", "0.00125"),
        ("100", "100"),
        ("1E+3", "1000"),
        ("0E-10", "0"),
        ("1.50", "1.5"),
        ("1E-12", "0.000000000001"),
    ],
)
def test_dollars_as_text_are_exact_and_plain(amount: str, expected: str) -> None:
    assert usd_text(Decimal(amount)) == expected


@given(st.decimals(0, 10**9, places=12, allow_nan=False))
def test_dollars_as_text_lose_nothing(amount: Any) -> None:
    assert Decimal(usd_text(amount)) == amount


TIERED = ModelEntry.model_validate(
    {
        "name": "m",
        "cost_input": 1,
        "cost_cached_input": "0.1",
        "cost_output": 4,
        "tiers": [
            {"above": 500, "cost_input": 3},
            {"above": 100, "cost_input": 2, "cost_output": 8},
        ],
        "timed_prices": [
            {"valid_from": "2026-12-01", "cost_input": 10, "cost_output": 40},
            {"from_utc": "22:00", "until_utc": "06:00", "cost_input": "0.5", "cost_output": 2},
        ],
    }
)
NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("tokens", "usd"),
    [
        pytest.param(100, "0.00014", id="at the limit: 100 x 1 + 10 x 4"),
        pytest.param(101, "0.000282", id="above it the whole request: 101 x 2 + 10 x 8"),
        pytest.param(501, "0.001543", id="a tier keeps what it does not name: 501 x 3 + 10 x 4"),
    ],
)
def test_a_whole_request_is_priced_at_the_tier_of_its_input(tokens: int, usd: str) -> None:
    assert cost_of(UsageData(tokens, 10), rates_of(TIERED, NOON), NOON).usd == Decimal(usd)


def test_cached_tokens_count_for_the_tier() -> None:
    cost = cost_of(UsageData(200, 10, cached_input=150), rates_of(TIERED, NOON), NOON)
    assert cost.usd == Decimal("0.000195")  # 50 x 2 + 150 x 0.1 + 10 x 8


@pytest.mark.parametrize(
    ("moment", "usd"),
    [
        pytest.param(datetime(2026, 11, 21, 23, tzinfo=UTC), "0.000025", id="in the span"),
        pytest.param(datetime(2026, 11, 21, 5, 59, tzinfo=UTC), "0.000025", id="past midnight"),
        pytest.param(datetime(2026, 11, 21, 6, tzinfo=UTC), "0.00005", id="its end is outside"),
        pytest.param(datetime(2026, 12, 1, 12, tzinfo=UTC), "0.0005", id="from the day on"),
    ],
)
def test_prices_hang_on_day_and_hour(moment: datetime, usd: str) -> None:
    assert cost_of(UsageData(10, 10), rates_of(TIERED, moment), moment).usd == Decimal(usd)


def test_a_day_that_has_come_ends_spans_that_stand_before_it() -> None:
    entry = TIERED.model_copy(update={"timed_prices": TIERED.timed_prices[::-1]})
    night = datetime(2026, 12, 2, 23, tzinfo=UTC)
    assert cost_of(UsageData(10, 10), rates_of(entry, night), night).usd == Decimal("0.0005")


def test_rates_survive_the_ledger() -> None:
    rates = rates_of(TIERED, NOON)
    kept = json.loads(json.dumps(rates_to_json(rates)))
    again = rates_from_json(kept, rates.source, rates.priced_on)
    for moment in (NOON, NOON.replace(hour=23)):
        for usage in (UsageData(10, 10), UsageData(900, 10)):
            assert cost_of(usage, again, moment).usd == cost_of(usage, rates, moment).usd


def test_the_bound_is_at_the_dearest_of_all_rates() -> None:
    bound = at_most(36, 10, rates_of(TIERED, NOON))
    assert bound == Decimal("0.00038")  # (36 bytes + 64 of framing) x 3 + 10 x 8


@pytest.mark.parametrize("given", [{"from_utc": "22:00"}, {"until_utc": "06:00"}])
def test_half_a_span_is_refused(given: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="needs both"):
        TimedPrices.model_validate({"cost_input": 1, **given})


def test_without_the_cache_every_read_of_it_costs_as_plain_input() -> None:
    cached = Rates({**SIMPLE.by_class, "cached_input": Decimal("0.3")}, source="catalogue")
    usage = UsageData(1000, 10, cached_input=900)
    assert cost_of(usage, cached).usd == Decimal("0.00072")
    assert without_cache(usage, cached).usd == cost_of(UsageData(1000, 10), cached).usd == Decimal("0.00315")


def test_what_the_provider_reports_hides_its_discount() -> None:
    usage = UsageData(1000, 10, cached_input=900, reported_cost=Decimal("0.5"))
    assert (without_cache(usage, SIMPLE).known, without_cache(usage, SIMPLE).usd) == (Decimal("0.5"), None)
    whole = UsageData(1000, 10, reported_cost=Decimal("0.5"))
    assert without_cache(whole, SIMPLE).usd == Decimal("0.5")
