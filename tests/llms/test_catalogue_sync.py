"""Catalogues remade from genai-prices and LiteLLM's map, on small data made here."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from genai_prices.types import (
    ClauseStartsWith,
    ConditionalPrice,
    ModelInfo,
    ModelPrice,
    Provider,
    Tier,
    TieredPrices,
)

from llm_tester.catalogue import ModelEntry, PriceTier, ProviderConfig
from llm_tester.cli.models import layout
from llm_tester.cost_manager import rates_of
from llm_tester.errors import ConfigurationError
from llm_tester.llms.catalogue_sync import (
    FieldChange,
    SyncPlan,
    apply,
    apply_to_workspace,
    bundled,
    folded,
    genai_id_of,
    plan_sync,
    price_date,
    read_limits,
)
from tests.llms.catalogue_data import TODAY, D, acme, at_times, from_day, listed, model, per_token, planned

LIMITS = {
    "sample_spec": {"litellm_provider": "one of ..."},
    "acme": {
        "litellm_provider": "acme",
        "max_input_tokens": 1000,
        "max_output_tokens": "as many as you like",
        "supports_function_calling": True,
        "supports_vision": True,
        "supports_reasoning": False,
    },
    "acme/small": {"litellm_provider": "acme", "max_input_tokens": 2000, "max_output_tokens": 500},
    "old": {"litellm_provider": "somebody else", "max_input_tokens": 7},
}


def only(plan: SyncPlan) -> ModelEntry:
    (entry,) = plan.added
    return entry


# --- prices


def test_every_kind_of_price_has_its_field() -> None:
    prices = per_token(
        "1.50",
        "10",
        cache_read_mtok=D("0.15"),
        cache_write_mtok=D("1.875"),
        cache_write_1h_mtok=D("3"),
        input_audio_mtok=D("32"),
        output_audio_mtok=D("64"),
        requests_kcount=D("5"),
    )
    entry = only(planned(model("m", prices)))
    assert entry == ModelEntry(
        name="m",
        cost_input=D("1.5"),
        cost_output=D(10),
        cost_cached_input=D("0.15"),
        cost_cache_write_5m=D("1.875"),
        cost_cache_write_1h=D(3),
        cost_audio_input=D(32),
        cost_audio_output=D(64),
        cost_per_request=D("0.005"),
        priced_on=TODAY,
    )


def test_prices_are_written_as_people_write_them() -> None:
    plan = planned(model("m", per_token("0.59000000", "1E+1", cache_read_mtok=D("0.0028"))))
    text = layout(apply(plan, {"name": "acme"}))
    assert '"cost_input": 0.59, "cost_output": 10, "cost_cached_input": 0.0028, "priced_on"' in text


def test_tiers_name_all_that_the_length_of_the_input_changes() -> None:
    prices = ModelPrice(
        input_mtok=TieredPrices(base=D(1), tiers=[Tier(200_000, D(2)), Tier(500_000, D(3))]),
        output_mtok=TieredPrices(base=D(5), tiers=[Tier(500_000, D(8))]),
        cache_read_mtok=D("0.1"),
    )
    assert only(planned(model("m", prices))).tiers == (
        PriceTier(above=200_000, cost_input=D(2), cost_output=D(5)),
        PriceTier(above=500_000, cost_input=D(3), cost_output=D(8)),
    )


def test_a_tier_that_begins_at_nothing_is_the_price() -> None:
    prices = ModelPrice(input_mtok=TieredPrices(base=D(9), tiers=[Tier(0, D(1))]), output_mtok=D(2))
    entry = only(planned(model("m", prices)))
    assert (entry.cost_input, entry.tiers) == (D(1), ())


def test_the_past_is_folded_into_the_base_and_the_future_stays() -> None:
    prices = [
        ConditionalPrice(prices=per_token("9", "9", cache_read_mtok=D(4))),
        from_day(2025, 1, 1, per_token("8", "8")),
        from_day(2026, 11, 21, per_token("2", "6")),
        from_day(2026, 12, 1, per_token("1", "3")),
    ]
    entry = only(planned(model("m", prices)))
    assert (entry.cost_input, entry.cost_output, entry.cost_cached_input) == (D(2), D(6), None)
    assert [(timed.valid_from, timed.cost_input) for timed in entry.timed_prices] == [(date(2026, 12, 1), D(1))]
    before = only(planned(model("m", prices), today=date(2024, 1, 1)))
    assert (before.cost_input, before.cost_cached_input, len(before.timed_prices)) == (D(9), D(4), 3)


def test_times_of_the_day_are_told_in_utc() -> None:
    berlin = timezone(timedelta(hours=1))
    prices = [
        ConditionalPrice(prices=per_token("1", "2")),
        at_times(time(0, 30, tzinfo=UTC), time(16, 30), per_token("2", "4")),
        at_times(time(0, 30, tzinfo=berlin), time(0, 45, 30, tzinfo=berlin), per_token("3", "6")),
    ]
    plan = planned(model("m", prices))
    (row,) = apply(plan, {})["llm_models"]
    assert row["timed_prices"] == [
        {"from_utc": "00:30", "until_utc": "16:30", "cost_input": 2, "cost_output": 4},
        {"from_utc": "23:30", "until_utc": "23:45:30", "cost_input": 3, "cost_output": 6},
    ]
    rates = rates_of(only(plan), datetime(2026, 11, 21, 12, tzinfo=UTC))
    assert rates.at(datetime(2026, 11, 21, 12, tzinfo=UTC)).by_class["input"] == 2
    assert rates.at(datetime(2026, 11, 21, 17, tzinfo=UTC)).by_class["input"] == 1


def test_times_of_the_day_before_a_day_that_has_come_are_past() -> None:
    prices = [
        ConditionalPrice(prices=per_token("1", "2")),
        at_times(time(0), time(12), per_token("2", "4")),
        from_day(2026, 1, 1, per_token("5", "6")),
        at_times(time(3), time(4), per_token("7", "8")),
    ]
    entry = only(planned(model("m", prices)))
    assert (entry.cost_input, [timed.cost_input for timed in entry.timed_prices]) == (D(5), [D(7)])


def test_where_nothing_holds_the_first_price_does() -> None:
    entry = only(planned(model("m", [from_day(2027, 1, 1, per_token("1", "2"))])))
    assert (entry.cost_input, entry.timed_prices) == (D(1), ())


@pytest.mark.parametrize(
    ("prices", "reason"),
    [
        (ModelPrice(input_mchars=D(15)), "no price per token, only input_mchars"),
        (ModelPrice(), "no price per token"),
        ([], "no price per token"),
        (per_token("1", "2", input_image_mtok=D(8)), "bills some tokens apart: input_image_mtok"),
    ],
)
def test_what_cannot_be_expressed_is_left_out(prices: Any, reason: str) -> None:
    plan = planned(model("m", prices), model("n", per_token("1", "2")))
    assert [entry.name for entry in plan.added] == ["n"]
    assert plan.left_out == (("m", reason),)


def test_an_embedding_has_an_input_price_only() -> None:
    assert only(planned(model("m", ModelPrice(input_mtok=D("0.02"))))).cost_output is None


def test_a_price_that_is_too_fine_is_left_out_with_a_word() -> None:
    prices = per_token("1", "0.123456", cache_write_mtok=D("0.0833333"), web_searches_kcount=D(10))
    plan = planned(model("m", prices))
    assert (only(plan).cost_cache_write_5m, only(plan).cost_output) == (None, D("0.123456"))
    assert plan.left_out == (
        ("m", "no field for web_searches_kcount"),
        ("m", "cache_write_mtok has more than 6 decimals"),
    )


# --- the date


def test_prices_are_dated_by_the_newest_change_that_the_data_knows() -> None:
    prices = [
        ConditionalPrice(prices=per_token("1", "2")),
        from_day(2026, 11, 9, per_token("1", "3")),
        from_day(2027, 1, 1, per_token("1", "4")),
    ]
    plan = planned(model("m", per_token("5", "6")), model("n", prices))
    assert {entry.priced_on for entry in plan.added} == {date(2026, 11, 9)}
    assert price_date([acme()], TODAY) == TODAY


def test_no_price_is_dated_after_the_installation() -> None:
    providers, installed = bundled()
    assert price_date(providers, min(TODAY, installed)) <= installed


# --- what changes


def test_names_are_matched_as_genai_prices_matches_them() -> None:
    info = ModelInfo(id="m", match=ClauseStartsWith("m"), prices=per_token("1", "2"))
    plan = planned(info, config=listed({"name": "m-2026-05-01"}, {"name": "x"}))
    assert [change.name for change in plan.changed] == ["m-2026-05-01"]
    assert plan.added == ()
    assert plan.gone == ("x",)


def test_a_provider_that_serves_another_s_models_has_their_prices() -> None:
    other = Provider(id="other", name="Other", api_pattern="x", models=[model("m", per_token("1", "2"))])
    reseller = acme(fallback_model_providers=["other"])
    plan = plan_sync(listed({"name": "m"}), "acme", TODAY, providers=[reseller, other])
    assert [change.name for change in plan.changed] == ["m"]
    assert plan.added == ()


def test_changes_are_told_field_by_field_and_hand_set_fields_survive() -> None:
    row = {
        "name": "small",
        "default": True,
        "cost_input": D("1.0"),
        "cost_output": 2,
        "cost_cached_input": D("0.5"),
        "priced_on": "2026-01-01",
        "max_input_tokens": 5,
        "capabilities": ["json_object"],
        "unsupported_params": ["stop"],
        "rename_params": {"a": "b"},
        "options": {"name": 1},
    }
    plan = planned(model("small", per_token("1", "3")), config=listed(row))
    (change,) = plan.changed
    assert change.fields == (
        FieldChange("cost_output", D(2), D(3)),
        FieldChange("cost_cached_input", D("0.5"), None),
        FieldChange("priced_on", "2026-01-01", "2026-11-21"),
    )
    content: dict[str, Any] = {
        "name": "acme",
        "timeout": D("60.0"),
        "llm_models": [row, {"name": "x", "cost_input": D("0.10")}],
    }
    changed = apply(plan, content)
    assert changed["timeout"] == content["timeout"]
    assert changed["llm_models"][1] is content["llm_models"][1]
    expected = {key: value for key, value in row.items() if key != "cost_cached_input"}
    assert changed["llm_models"][0] == expected | {"cost_output": 3, "priced_on": "2026-11-21"}


def test_a_synced_catalogue_has_nothing_to_sync() -> None:
    prices = [ConditionalPrice(prices=per_token("9", "9")), from_day(2026, 12, 1, per_token("1", "0"))]
    models = (model("m", prices), model("n", per_token("1", "2")))
    content = apply(planned(*models), {"name": "acme", "api": "openai"})
    config = ProviderConfig.model_validate_json(layout(content))
    assert planned(*models, config=config) == SyncPlan("acme", TODAY)
    later = planned(*models, config=config, today=date(2026, 12, 24))
    assert [change.prices for change in later.changed] == [(), ()]


def test_prices_of_the_past_go_when_the_price_changes() -> None:
    row = {"name": "m", "cost_input": 1, "cost_output": 1, "timed_prices": [{"valid_from": "2026-05-01"}]}
    plan = planned(model("m", per_token("1", "1")), config=listed(row))
    (changed,) = apply(plan, {"llm_models": [row]})["llm_models"]
    assert "timed_prices" not in changed


def test_the_catalogue_s_own_past_is_folded_before_it_is_compared() -> None:
    entry = ModelEntry.model_validate(
        {"name": "m", "cost_input": 1, "timed_prices": [{"valid_from": "2026-05-01", "cost_input": 2}]}
    )
    assert folded(entry, date(2026, 4, 30)) == entry
    assert folded(entry, date(2026, 5, 1)).cost_input == 2


def test_a_model_that_is_gone_stays_unless_pruned() -> None:
    plan = planned(config=listed({"name": "x"}, {"name": "y", "default": True}))
    content = {"llm_models": [{"name": "x"}, {"name": "y"}]}
    assert plan.gone == ("x", "y")
    assert apply(plan, content) == content
    assert apply(plan, content, prune=True) == {"llm_models": []}


def test_an_unknown_id_has_suggestions() -> None:
    with pytest.raises(ConfigurationError, match='no provider "acmee"') as caught:
        plan_sync(listed(), "acmee", TODAY, providers=[acme()])
    assert "Did you mean acme?" in caught.value.hint


@pytest.mark.parametrize(
    ("name", "address", "found"),
    [
        ("acme", None, "acme"),
        ("mine", "https://api.acme.example/v1", "acme"),
        ("mine", "http://127.0.0.1:8000/v1", None),
        ("mine", None, None),
    ],
)
def test_a_provider_is_known_by_name_or_address(name: str, address: str | None, found: str | None) -> None:
    assert genai_id_of(ProviderConfig(name=name, base_url=address), [acme()]) == found


# --- limits


def test_limits_come_from_litellm_s_map_only_and_stay_without_it() -> None:
    config = listed({"name": "acme", "max_output_tokens": 9, "capabilities": ["json_object", "reasoning"]})
    models = (
        model("acme", per_token("1", "2")),
        model("small", per_token("1", "2")),
        model("old", per_token("1", "2")),
    )
    plan = planned(*models, config=config, limits=LIMITS)
    limits = {field.field: field.new for change in plan.changed for field in change.fields}
    assert limits["max_input_tokens"] == 1000
    assert limits["capabilities"] == ["tools", "vision", "json_object"]
    assert "max_output_tokens" not in limits
    assert {entry.name: (entry.max_input_tokens, entry.max_output_tokens) for entry in plan.added} == {
        "small": (2000, 500),
        "old": (None, None),
    }
    without = {field.field for change in planned(*models, config=config).changed for field in change.fields}
    assert without == {"cost_input", "cost_output", "priced_on"}


@pytest.mark.parametrize("content", ["[]", "{}", '{"gpt": {"max_tokens": 1}}'])
def test_another_file_is_no_map_of_limits(tmp_path: Path, content: str) -> None:
    file = tmp_path / "map.json"
    file.write_text(content)
    with pytest.raises(ConfigurationError, match="is not LiteLLM's model map"):
        read_limits(file)


# --- the workspace's config.json


def test_other_folders_are_overridden_in_the_workspace() -> None:
    config = listed(
        {"name": "m", "cost_input": 1, "cost_output": 2, "cost_cached_input": 1, "tiers": [{"above": 1}]},
        {"name": "x"},
    )
    plan = planned(model("m", per_token("1", "3")), model("n", per_token("4", "5")), config=config)
    override = {"enabled": True, "llm_models": [{"name": "m", "default": True}, {"name": "x"}]}
    settings = {"run": {"seed": 1}, "providers": {"acme": override}}
    written = apply_to_workspace(plan, settings, prune=True)
    assert written["run"] == {"seed": 1}
    assert written["providers"]["acme"] == {
        "enabled": True,
        "llm_models": [
            {"name": "m", "default": True, "cost_output": 3, "cost_cached_input": None, "tiers": [],
             "priced_on": "2026-11-21"},
            {"name": "n", "cost_input": 4, "cost_output": 5, "priced_on": "2026-11-21"},
        ],
    }  # fmt: skip
    assert apply_to_workspace(planned(model("n", per_token("4", "5"))), {})["providers"]["acme"]["llm_models"]
