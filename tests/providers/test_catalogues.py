"""The shipped catalogues: that they load, and that their prices are genai-prices' to the last digit."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from importlib.metadata import version
from pathlib import Path

import pytest
from genai_prices import Usage, calc_price

from llm_tester.catalogue import ProviderConfig
from llm_tester.cli.models import layout
from llm_tester.config import Workspace
from llm_tester.cost_manager import cost_of, rates_of
from llm_tester.llms.catalogue_sync import COSTS, genai_id_of, plan_sync, read_exact
from llm_tester.llms.extraction import ANTHROPIC_PATHS, OPENAI_PATHS
from llm_tester.llms.provider_factory import DiscoveredProvider, builtin_folder, discover, instantiate
from llm_tester.records import UsageData

MADE_WITH = "0.2.3"
as_made = pytest.mark.skipif(
    version("genai-prices") != MADE_WITH,
    reason=f"the catalogues were made with genai-prices {MADE_WITH}; `prices check` compares them with another",
)
SYNCED = ("anthropic", "azure", "deepseek", "groq", "mistral", "openai", "openrouter", "together", "xai")
LOCAL = ("lmstudio", "vllm")
NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
PEAK = datetime(2026, 11, 21, 3, 59, tzinfo=UTC)
CONFIGS = {
    name: ProviderConfig.model_validate_json((builtin_folder("providers") / name / "config.json").read_text("utf-8"))
    for name in (*SYNCED, *LOCAL)
}
MODELS = [(name, entry.name) for name in SYNCED for entry in CONFIGS[name].llm_models]
SPOTS = [
    ("openai", "gpt-6.1-terra"),
    ("openai", "gpt-5.6-luna"),
    ("openai", "gpt-4o-mini"),
    ("openai", "o3"),
    ("anthropic", "claude-sonnet-5-5"),
    ("anthropic", "claude-haiku-5-5"),
    ("anthropic", "claude-sonnet-4-5"),
    ("groq", "openai/gpt-oss-120b"),
    ("together", "moonshotai/Kimi-K3"),
    ("openrouter", "anthropic/claude-haiku-4.5"),
    ("openrouter", "google/gemini-2.5-pro"),
    ("mistral", "mistral-large-4"),
    ("deepseek", "deepseek-v4-pro"),
    ("xai", "grok-4.7"),
    ("azure", "gpt-5.4"),
]


@pytest.fixture
def found(workspace: Path) -> dict[str, DiscoveredProvider]:
    """What an empty workspace sees."""
    return discover(Workspace.open(workspace))


def priced(provider: str, model: str, usage: UsageData, moment: datetime) -> tuple[Decimal | None, bool]:
    cost = cost_of(usage, rates_of(CONFIGS[provider].model(model), moment), moment)
    return cost.usd, cost.complete


def theirs(provider: str, model: str, moment: datetime, **usage: int) -> Decimal:
    genai_id = genai_id_of(CONFIGS[provider])
    calculated = calc_price(Usage(**usage), model, provider_id=genai_id, genai_request_timestamp=moment)
    return calculated.total_price


@pytest.mark.parametrize("name", [*SYNCED, *LOCAL])
def test_it_loads_in_an_empty_workspace(name: str, workspace: Path, found: dict[str, DiscoveredProvider]) -> None:
    provider = found[name]
    assert provider.problem is None
    assert provider.source == "built in"
    config = instantiate(provider, Workspace.open(workspace)).config
    assert config.description
    assert len(config.llm_models) <= 30
    assert sum(entry.default for entry in config.llm_models) == bool(config.llm_models)


@pytest.mark.parametrize("name", LOCAL)
def test_local_servers_need_no_key_and_take_any_model(name: str) -> None:
    config = CONFIGS[name]
    assert (config.env_key, config.llm_models, config.open_catalogue) == (None, (), True)
    assert (config.base_url or "").startswith("http://127.0.0.1:")


def test_who_has_more_models_than_are_listed_takes_them() -> None:
    assert {name for name, config in CONFIGS.items() if config.open_catalogue} == {
        "azure", "lmstudio", "openrouter", "together", "vllm"
    }  # fmt: skip


@as_made
@pytest.mark.parametrize(("provider", "model"), MODELS)
def test_every_price_has_its_date_and_can_price_an_answer(provider: str, model: str) -> None:
    entry = CONFIGS[provider].model(model)
    assert entry is not None
    assert entry.priced_on is not None
    assert entry.priced_on <= NOON.date()
    assert any(getattr(entry, cost) is not None for cost in COSTS)
    output = 0 if entry.cost_output is None else 10
    usage = UsageData(1000, output)
    assert priced(provider, model, usage, NOON) == (
        theirs(provider, model, NOON, input_tokens=1000, output_tokens=output),
        True,
    )


@as_made
@pytest.mark.parametrize("moment", [NOON, PEAK], ids=["noon", "peak"])
@pytest.mark.parametrize("tokens", [1_000_000, 300_001, 272_000, 199_999, 100_001, 100_000, 7])
@pytest.mark.parametrize(("provider", "model"), SPOTS)
def test_prices_are_genai_prices_to_the_last_digit(provider: str, model: str, tokens: int, moment: datetime) -> None:
    plain = theirs(provider, model, moment, input_tokens=tokens, output_tokens=tokens)
    assert priced(provider, model, UsageData(tokens, tokens), moment) == (plain, True)
    assert priced(provider, model, UsageData(tokens, tokens, reasoning=tokens // 2), moment) == (plain, True)


@as_made
@pytest.mark.parametrize("tokens", [1_000_000, 150_001, 9])
@pytest.mark.parametrize(("provider", "model"), SPOTS)
def test_cached_tokens_too(provider: str, model: str, tokens: int) -> None:
    entry = CONFIGS[provider].model(model)
    assert entry is not None
    read = tokens // 3
    written = tokens // 4 if entry.cost_cache_write_5m is not None else 0
    longer = tokens // 5 if entry.cost_cache_write_1h is not None else 0
    usage = UsageData(tokens, 5, cached_input=read, cache_write_5m=written, cache_write_1h=longer)
    expected = theirs(
        provider,
        model,
        PEAK,
        input_tokens=tokens,
        output_tokens=5,
        cache_read_tokens=read,
        cache_write_tokens=written + longer,
        cache_write_1h_tokens=longer,
    )
    assert priced(provider, model, usage, PEAK) == (expected, True)


@as_made
@pytest.mark.parametrize("name", SYNCED)
def test_a_sync_on_the_day_of_making_changes_nothing(name: str) -> None:
    plan = plan_sync(CONFIGS[name], genai_id_of(CONFIGS[name]) or "", NOON.date())
    assert [change for change in plan.changed if change.prices] == []
    assert plan.gone == ()


@pytest.mark.parametrize("name", [*SYNCED, *LOCAL])
def test_a_sync_leaves_the_layout_alone(name: str) -> None:
    file = builtin_folder("providers") / name / "config.json"
    assert layout(read_exact(file)) + "\n" == file.read_text("utf-8")


# --- what the files say of each API


@pytest.mark.parametrize("model", ["gpt-6.1-sol", "gpt-5.6-luna", "gpt-5.4", "gpt-5-mini", "o3"])
@pytest.mark.parametrize("provider", ["openai", "azure"])
def test_reasoning_models_of_openai_know_max_tokens_by_its_new_name(provider: str, model: str) -> None:
    entry = CONFIGS[provider].model(model)
    assert entry is not None
    assert entry.rename_params == {"max_tokens": "max_completion_tokens"}
    assert ("temperature" in entry.unsupported_params) is (model != "gpt-5.4")


def test_newer_claude_models_refuse_sampling_parameters() -> None:
    refusing = {entry.name for entry in CONFIGS["anthropic"].llm_models if entry.unsupported_params}
    assert {"claude-opus-4-7", "claude-sonnet-5-5", "claude-haiku-5-5"} <= refusing
    assert {"claude-opus-4-6", "claude-sonnet-4-5", "claude-haiku-4-5"}.isdisjoint(refusing)
    assert all(
        entry.unsupported_params in (frozenset(), {"temperature", "top_k", "top_p"})
        for entry in CONFIGS["anthropic"].llm_models
    )


@pytest.mark.parametrize(
    ("provider", "usage", "cached"),
    [
        ("mistral", {"num_cached_tokens": 7}, 7),
        ("mistral", {"prompt_tokens_details": {"cached_tokens": 7}}, 7),
        ("deepseek", {"prompt_cache_hit_tokens": 7, "prompt_cache_miss_tokens": 93}, 7),
        ("deepseek", {"prompt_tokens_details": {"cached_tokens": 7}, "prompt_cache_hit_tokens": 7}, 7),
        ("together", {"cached_tokens": 7}, 7),
        ("openai", {"prompt_tokens_details": {"cached_tokens": 7}}, 7),
    ],
)
def test_cached_tokens_are_found_in_every_shape(provider: str, usage: dict[str, object], cached: int) -> None:
    paths = OPENAI_PATHS.with_config(CONFIGS[provider].usage)
    found = paths.extract({"usage": {"prompt_tokens": 100, "completion_tokens": 5, **usage}})
    assert (found.input, found.cached_input, found.inconsistent) == (100, cached, ())


def test_xai_counts_reasoning_beside_the_answer() -> None:
    details = {"completion_tokens_details": {"reasoning_tokens": 386}}
    paths = OPENAI_PATHS.with_config(CONFIGS["xai"].usage)
    usage = paths.extract({"usage": {"prompt_tokens": 12, "completion_tokens": 1, "total_tokens": 399, **details}})
    assert (usage.output, usage.total_tokens, usage.inconsistent) == (387, 399, ())


def test_openrouter_reports_its_own_cost() -> None:
    paths = OPENAI_PATHS.with_config(CONFIGS["openrouter"].usage)
    usage = paths.extract({"usage": {"prompt_tokens": 1, "completion_tokens": 1, "cost": 0.00014}})
    assert usage.reported_cost == Decimal("0.00014")


def test_anthropic_counts_the_cache_beside_the_input() -> None:
    paths = ANTHROPIC_PATHS.with_config(CONFIGS["anthropic"].usage)
    counts = {"input_tokens": 10, "cache_read_input_tokens": 20, "cache_creation_input_tokens": 30, "output_tokens": 1}
    assert paths.extract({"usage": counts}).input == 60
