"""Catalogues remade from genai-prices and LiteLLM's map, on small data made here, and `models` and `prices`."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from genai_prices.types import (
    ClauseEquals,
    ClauseOr,
    ClauseStartsWith,
    ConditionalPrice,
    ModelInfo,
    ModelPrice,
    Provider,
    StartDateConstraint,
    Tier,
    TieredPrices,
    TimeOfDateConstraint,
)

from llm_tester.catalogue import ModelEntry, PriceTier, ProviderConfig
from llm_tester.cli.main import COMMANDS, Entry, main
from llm_tester.cli.models import layout
from llm_tester.config import Workspace
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
from llm_tester.llms.provider_factory import discover

TODAY = date(2026, 11, 21)
D = Decimal
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


def model(name: str, prices: ModelPrice | list[ConditionalPrice], *aliases: str) -> ModelInfo:
    names = [ClauseEquals(alias) for alias in (name, *aliases)]
    return ModelInfo(id=name, match=ClauseOr(names), prices=prices)  # type: ignore[arg-type]


def per_token(cost_input: str, cost_output: str, **more: Any) -> ModelPrice:
    return ModelPrice(input_mtok=D(cost_input), output_mtok=D(cost_output), **more)


def from_day(year: int, month: int, day: int, prices: ModelPrice) -> ConditionalPrice:
    return ConditionalPrice(StartDateConstraint(date(year, month, day)), prices=prices)


def at_times(start: time, end: time, prices: ModelPrice) -> ConditionalPrice:
    return ConditionalPrice(TimeOfDateConstraint(start, end), prices=prices)


def acme(*models: ModelInfo, **more: Any) -> Provider:
    return Provider(id="acme", name="Acme", api_pattern=r"https://api\.acme\.example", models=list(models), **more)


def listed(*entries: dict[str, Any]) -> ProviderConfig:
    return ProviderConfig.model_validate({"name": "acme", "api": "openai", "llm_models": entries})


def planned(*models: ModelInfo, config: ProviderConfig | None = None, today: date = TODAY, **more: Any) -> SyncPlan:
    return plan_sync(config or listed(), "acme", today, providers=[acme(*models)], **more)


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


# --- the layout


def test_files_stay_readable() -> None:
    plan = planned(model("m", per_token("1", "2")), model("a-model-of-a-very-long-name" * 3, per_token("3", "4.5")))
    content = {"name": "acme", "api": "openai", "usage": {"paths": {}}, "timeout": D("60.0"), "headers": {}}
    assert layout(apply(plan, content)) == (
        "{\n"
        '  "name": "acme",\n'
        '  "api": "openai",\n'
        '  "usage": {"paths": {}},\n'
        '  "timeout": 60.0,\n'
        '  "headers": {},\n'
        '  "llm_models": [\n'
        '    {"name": "m", "cost_input": 1, "cost_output": 2, "priced_on": "2026-11-21"},\n'
        f'    {{"name": "{"a-model-of-a-very-long-name" * 3}", "cost_input": 3,\n'
        '     "cost_output": 4.5, "priced_on": "2026-11-21"}\n'
        "  ]\n"
        "}"
    )
    assert layout({}) == "{}"
    assert layout({"llm_models": [], "x": ["long" * 30, "ä"]}) == (
        '{\n  "llm_models": [],\n  "x": [\n    "' + "long" * 30 + '",\n    "ä"\n  ]\n}'
    )


def test_long_prices_stand_below_each_other() -> None:
    spans = [at_times(time(hour), time(hour + 1), per_token("1", "2", cache_read_mtok=D("0.5"))) for hour in (1, 5, 9)]
    text = layout(apply(planned(model("m", [ConditionalPrice(prices=per_token("1", "2")), *spans])), {}))
    lines = [line for line in text.splitlines() if '"from_utc"' in line]
    assert len(lines) == 3
    assert len({line.index('{"from_utc"') for line in lines}) == 1
    assert ProviderConfig.model_validate({"name": "acme", **json.loads(text)}).model("m")


# --- the commands


class Terminal(io.StringIO):
    """Standard input as a person would type it."""

    def isatty(self) -> bool:
        return True


Program = Callable[..., tuple[int, str, str]]
BIG = per_token("2", "8", cache_read_mtok=D("0.5"))


@pytest.fixture
def program(workspace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Program:
    """The program in the workspace, with genai-prices' data made here; returns exit code, output and errors."""
    models = [model("big", BIG), model("small", per_token("0.1", "0.4")), model("voice", ModelPrice(audio_hours=D(3)))]
    monkeypatch.setattr("genai_prices.data.providers", [acme(*models)])
    monkeypatch.setitem(COMMANDS, "models", Entry("models", ""))
    monkeypatch.setitem(COMMANDS, "prices", Entry("prices", ""))
    monkeypatch.chdir(workspace)

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["llm-tester", *arguments])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        printed = capsys.readouterr()
        return ended.value.code if isinstance(ended.value.code, int) else 0, printed.out, printed.err

    return run


@pytest.fixture
def own(add_provider: Callable[..., Path]) -> Path:
    """The config.json of a provider of the workspace's own."""
    models = [{"name": "big", "default": True, "cost_input": 3, "cost_output": 8}, {"name": "x", "cost_input": 1}]
    return add_provider("acme", api="openai", base_url="https://api.acme.example/v1", llm_models=models) / "config.json"


def test_sync_writes_into_the_workspace_s_own_folder(program: Program, own: Path, workspace: Path) -> None:
    code, out, _ = program("models", "sync", "acme", "--all", "--yes")
    assert code == 0
    flat = " ".join(out.split())
    assert "big cost_input 3 2" in flat
    assert "big cost_cached_input – 0.5" in flat
    assert "small 0.1 0.4" in flat
    assert "Not in genai-prices: x" in out
    assert "Not expressed: no price per token, only audio_hours: voice" in out
    assert out.endswith(f"wrote {own}\n")
    config = ProviderConfig.model_validate_json(own.read_text())
    assert [(entry.name, entry.cost_input) for entry in config.llm_models] == [
        ("big", 2),
        ("x", 1),
        ("small", D("0.1")),
    ]
    assert config.default_model == "big"
    assert (workspace / "config.json").read_text() == "{}"
    assert list(own.parent.iterdir()) == [own]
    before = own.read_bytes()
    code, out, _ = program("models", "sync", "acme", "--all", "acme", "--yes")
    assert (code, own.read_bytes()) == (0, before)
    assert "wrote" not in out
    assert program("models", "sync", "acme", "--all", "--yes", "--prune")[0] == 0
    assert ProviderConfig.model_validate_json(own.read_text()).model("x") is None
    assert program("models", "sync", "acme", "--all", "--yes")[1] == "acme: as in genai-prices\n"


def test_sync_can_leave_the_choice_of_models_alone(program: Program, own: Path) -> None:
    code, out, _ = program("models", "sync", "acme", "--yes")
    assert code == 0
    assert "voice" not in out
    assert [entry["name"] for entry in json.loads(own.read_text())["llm_models"]] == ["big", "x"]


def test_the_workspace_s_words_do_not_get_into_the_folder(program: Program, own: Path, workspace: Path) -> None:
    settings = {"providers": {"acme": {"llm_models": [{"name": "big", "max_input_tokens": 77}]}}}
    (workspace / "config.json").write_text(json.dumps(settings))
    assert program("models", "sync", "acme", "--all", "--yes")[0] == 0
    assert "77" not in own.read_text()


def test_nothing_is_written_unasked(program: Program, own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = own.read_bytes()
    code, out, err = program("models", "sync", "acme", "--all")
    assert (code, err) == (1, "Nothing was written; --yes writes without asking.\n")
    assert "cost_input" in out
    monkeypatch.setattr("llm_tester.cli.models.sys.stdout.isatty", lambda: True)
    monkeypatch.setattr(sys, "stdin", Terminal("n\n"))
    assert program("models", "sync", "acme", "--all")[0] == 1
    assert own.read_bytes() == before
    monkeypatch.setattr(sys, "stdin", Terminal("y\n"))
    code, out, _ = program("models", "sync", "acme", "--all")
    assert (code, f"Write {own}?" in out) == (0, True)
    assert own.read_bytes() != before


def test_an_installed_folder_is_never_written_into(
    program: Program, workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "installed" / "acme"
    folder.mkdir(parents=True)
    listing = {"name": "acme", "api": "openai", "llm_models": [{"name": "big", "cost_input": 3}, {"name": "x"}]}
    (folder / "config.json").write_text(json.dumps(listing))
    monkeypatch.setattr("llm_tester.llms.provider_factory.builtin_folder", lambda name: tmp_path / "installed")
    (workspace / "config.json").write_text('{"run": {"seed": 3}, "providers": {"acme": {"timeout": 60.0}}}')
    code, out, _ = program("models", "sync", "acme", "--all", "--yes")
    assert code == 0
    assert out.endswith(f"wrote {workspace / 'config.json'}\n")
    assert json.loads((folder / "config.json").read_text()) == listing
    text = (workspace / "config.json").read_text()
    assert '"timeout": 60.0' in text
    assert '\n        {"name": "small", "cost_input": 0.1, "cost_output": 0.4, "priced_on": "' in text
    config = discover(Workspace.open(workspace))["acme"].config
    assert config is not None
    assert [(entry.name, entry.cost_input) for entry in config.llm_models] == [
        ("big", 2),
        ("x", None),
        ("small", D("0.1")),
    ]
    assert program("models", "sync", "acme", "--all")[0] == 0


def test_limits_are_read_from_the_file_that_is_named(program: Program, own: Path, tmp_path: Path) -> None:
    file = tmp_path / "map.json"
    file.write_text(json.dumps({"acme/big": {"litellm_provider": "acme", "max_input_tokens": 4096}}))
    assert program("models", "sync", "acme", "--all", "--yes", "--limits", str(file))[0] == 0
    assert json.loads(own.read_text())["llm_models"][0]["max_input_tokens"] == 4096
    assert program("models", "sync", "acme", "--all", "--yes")[0] == 0
    assert json.loads(own.read_text())["llm_models"][0]["max_input_tokens"] == 4096


def test_mistakes_end_with_one_clear_error(
    program: Program, own: Path, workspace: Path, add_provider: Callable[..., Path], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    add_provider("local", api="openai", base_url="http://127.0.0.1:1/v1")
    add_provider("broken", api="nope")
    assert 'genai-prices has no prices for "local"' in program("models", "sync", "local")[2]
    assert "Did you mean acme?" in program("models", "sync", "acmee")[2]
    assert 'there is no built-in "nope"' in program("prices", "check", "broken")[2]
    assert (
        "is not LiteLLM's model map"
        in program("models", "sync", "acme", "--all", "--limits", str(workspace / "config.json"))[2]
    )
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    monkeypatch.setattr("llm_tester.llms.provider_factory.builtin_folder", lambda name: workspace / "providers")
    code, _, err = program("models", "sync", "acme", "--all", "--yes")
    assert code == 2
    assert "this is not a workspace" in err


def test_models_are_listed_with_prices_and_limits(program: Program, own: Path, workspace: Path) -> None:
    tiers = [{"above": 10, "cost_input": 4}]
    row = {
        "name": "big",
        "cost_cached_input": 0.25,
        "tiers": tiers,
        "max_input_tokens": 128000,
        "priced_on": "2026-11-09",
    }
    (workspace / "config.json").write_text(json.dumps({"providers": {"acme": {"llm_models": [row]}}}))
    code, out, _ = program("models", "list", "acme")
    assert code == 0
    lines = [" ".join(line.split()) for line in out.splitlines()]
    assert "acme:big * 3+ 0.25+ 8+ 128,000 – 2026-11-09" in lines
    assert "acme:x 1 – – – – –" in lines
    code, out, _ = program("models", "list", "--json")
    rows = [entry for entry in json.loads(out) if entry["provider"] == "acme"]
    assert rows[0] == {
        "provider": "acme", "default": True, "cost_input": 3, "cost_output": 8, **row
    }  # fmt: skip
    assert program("models", "list", "acme", "--json")[1] == json.dumps(rows, indent=2) + "\n"
    assert "Did you mean acme?" in program("models", "list", "acmee")[2]


def test_a_check_ends_with_1_where_prices_differ(program: Program, own: Path) -> None:
    code, out, _ = program("prices", "check")
    assert code == 1
    flat = " ".join(out.split())
    assert "big cost_input 3 2" in flat
    assert "priced_on" not in flat
    assert "small" not in flat
    assert program("models", "sync", "acme", "--all", "--yes", "--prune")[0] == 0
    assert program("prices", "check") == (0, "acme: 2 models as in genai-prices\n", "")
    assert program("prices", "check", "acme")[0] == 0


def test_a_check_tells_prices_that_nobody_confirms(program: Program, own: Path) -> None:
    content = {"name": "acme", "api": "openai", "llm_models": [{"name": "free"}]}
    own.write_text(json.dumps(content))
    assert program("prices", "check", "acme")[0] == 0
    content["llm_models"] = [{"name": "free"}, {"name": "x", "cost_input": 1}]
    own.write_text(json.dumps(content))
    code, out, _ = program("prices", "check", "acme")
    assert code == 1
    assert "Priced here, not in genai-prices: x\n" in out
