from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from llm_tester.catalogue import ModelConfig, ModelEntry, ProviderConfig, ProviderOverride, merge
from llm_tester.cost_manager import rates_of
from llm_tester.documents import parse_json, validate
from llm_tester.errors import ConfigurationError, UnknownModelError
from llm_tester.records import Message


def provider(**fields: Any) -> ProviderConfig:
    return validate(ProviderConfig, {"name": "p", **fields}, file="p/config.json")


def override(**fields: Any) -> ProviderOverride:
    return validate(ProviderOverride, fields, file="config.json")


TWO = provider(
    llm_models=[
        {"name": "small", "default": True, "cost_input": 1, "cost_output": 2, "max_input_tokens": 10},
        {"name": "large", "cost_input": 3},
    ],
    options={"a": 1, "b": 2},
    timeout=5,
)


def test_prices_are_exact_decimals() -> None:
    data = parse_json('{"name": "m", "cost_input": 0.1, "cost_output": "0.000001"}', file="f")
    entry = validate(ModelEntry, data, file="f")
    assert (entry.cost_input, entry.cost_output) == (Decimal("0.1"), Decimal("0.000001"))
    assert entry.cost_cached_input is None


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        pytest.param(
            {"cost_input": -1}, "llm_models[0].cost_input: Input should be greater than or equal to 0", id="-1"
        ),
        pytest.param({"cost_input": float("nan")}, "llm_models[0].cost_input: Input should be a finite", id="NaN"),
        pytest.param({"cost_input": float("inf")}, "llm_models[0].cost_input", id="infinite"),
        pytest.param({"cost_input": True}, "llm_models[0].cost_input: Decimal input should be", id="a truth value"),
        pytest.param(
            {"cost_input": "cheap"}, 'llm_models[0].cost_input: Input should be a valid decimal (found "ch', id="text"
        ),
        pytest.param(
            {"cost_input": 0.1234567}, "llm_models[0].cost_input: Decimal input should have no more", id="too fine"
        ),
        pytest.param({"cost_input": 1e9}, "llm_models[0].cost_input", id="beyond all prices"),
        pytest.param(
            {"cost_inptu": 1}, 'llm_models[0].cost_inptu: unknown key "cost_inptu". Did you mean cost_input', id="typo"
        ),
        pytest.param({"max_input_tokens": 0}, "llm_models[0].max_input_tokens", id="no room"),
        pytest.param({"priced_on": "yesterday"}, "llm_models[0].priced_on", id="no date"),
        pytest.param({"name": ""}, "llm_models[0].name", id="no name"),
    ],
)
def test_mistakes_in_a_model(fields: dict[str, Any], expected: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        provider(llm_models=[{"name": "m", **fields}])
    assert expected in caught.value.message


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"name": "two words"}, "name: String should match"),
        ({"name": "../up"}, "name: String should match"),
        ({"max_connections": 0}, "max_connections: "),
        ({"timeout": 0}, "timeout: "),
        ({"timeout": float("inf")}, "timeout: "),
        ({"models": []}, 'unknown key "models". Did you mean llm_models?'),
        ({"llm_models": [{"name": "a"}, {"name": "b"}, {"name": "a"}]}, "the model a is listed more than once"),
        (
            {"llm_models": [{"name": "a", "default": True}, {"name": "b", "default": True}]},
            "more than one default model: a, b",
        ),
    ],
)
def test_mistakes_in_a_provider(fields: dict[str, Any], expected: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        provider(**fields)
    assert expected in caught.value.message


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"llm_models": [{"name": "a"}, {"name": "a"}]}, "llm_models: the model a is listed more than once"),
        (
            {"llm_models": [{"name": "a", "default": True}, {"name": "b", "default": True}]},
            "llm_models: more than one default model: a, b",
        ),
        (
            {"default_model": "a", "llm_models": [{"name": "b", "default": True}]},
            "more than one default model: default_model says a, llm_models marks b",
        ),
        ({"enable": True}, 'unknown key "enable". Did you mean enabled?'),
    ],
)
def test_mistakes_in_an_override(fields: dict[str, Any], expected: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        override(**fields)
    assert expected in caught.value.message


def test_the_default_model() -> None:
    assert TWO.default_model == "small"
    assert provider(llm_models=[{"name": "first"}, {"name": "second"}]).default_model == "first"
    assert provider().default_model is None
    assert (TWO.model("large"), TWO.model("none")) == (TWO.llm_models[1], None)


def test_a_model_as_a_call_sees_it_is_a_catalogue_entry_with_more() -> None:
    config = ModelConfig(name="m", messages=(Message("user", "hi"),), tags={"task": "t"}, parameters={"n": 1})
    assert isinstance(config, ModelEntry)
    assert (config.cost_input, config.files, config.output_schema) == (None, (), None)


def test_an_override_that_says_nothing_changes_nothing() -> None:
    assert merge(TWO, override()) == TWO


def test_an_override_replaces_only_the_fields_that_it_names() -> None:
    merged = merge(TWO, override(llm_models=[{"name": "small", "cost_input": 9}], options={"b": 3}, max_connections=2))
    small = merged.model("small")
    assert small is not None
    assert (small.cost_input, small.cost_output) == (Decimal(9), Decimal(2))
    assert (small.max_input_tokens, small.default) == (10, True)
    assert merged.options == {"a": 1, "b": 3}
    assert (merged.max_connections, merged.timeout, merged.base_url) == (2, 5, None)
    assert [entry.name for entry in merged.llm_models] == ["small", "large"]


def test_an_override_can_make_a_price_unknown() -> None:
    merged = merge(TWO, override(llm_models=[{"name": "small", "cost_input": None}]))
    assert merged.llm_models[0].cost_input is None


def test_an_override_adds_models() -> None:
    merged = merge(TWO, override(llm_models=[{"name": "new", "cost_input": 1}], base_url="http://h", timeout=1))
    assert [entry.name for entry in merged.llm_models] == ["small", "large", "new"]
    assert merged.default_model == "small"
    assert (merged.base_url, merged.timeout) == ("http://h", 1)


@pytest.mark.parametrize(
    "fields",
    [{"default_model": "large"}, {"llm_models": [{"name": "large", "default": True}]}],
    ids=["named", "marked"],
)
def test_an_override_chooses_the_default_model(fields: dict[str, Any]) -> None:
    merged = merge(TWO, override(**fields))
    assert merged.default_model == "large"
    assert [entry.default for entry in merged.llm_models] == [False, True]


def test_a_default_model_that_a_closed_catalogue_does_not_have_is_no_silent_choice_of_another() -> None:
    with pytest.raises(UnknownModelError, match='p has no model "lrge"') as caught:
        merge(TWO, override(default_model="lrge"))
    assert caught.value.hint == "Did you mean large?"


def test_an_open_catalogue_takes_any_default_model() -> None:
    merged = merge(provider(open_catalogue=True, llm_models=[{"name": "a"}]), override(default_model="b"))
    assert merged.default_model == "b"
    assert merged.model("b") == ModelEntry(name="b", default=True)


def test_prices_that_the_workspace_names_are_its_own() -> None:
    listed = {"cost_input": 1, "cost_output": 2, "priced_on": "2026-11-20", "max_input_tokens": 100}
    config = ProviderConfig.model_validate({"name": "p", "llm_models": [{"name": name, **listed} for name in "abc"]})
    override = ProviderOverride.model_validate(
        {"llm_models": [{"name": "a", "cost_input": 7}, {"name": "b", "max_input_tokens": 9}]}
    )
    dear, longer, same = merge(config, override).llm_models
    assert (dear.own_prices, dear.priced_on) == (True, None)
    assert (dear.cost_input, dear.cost_output) == (Decimal(7), Decimal(2))
    assert (longer.own_prices, longer.max_input_tokens, str(longer.priced_on)) == (False, 9, "2026-11-20")
    assert not same.own_prices
    assert [rates_of(entry).source for entry in (dear, longer, same)] == ["config.json", "catalogue", "catalogue"]


@pytest.mark.parametrize("said", ["sk-abc123-xyz", "1KEY", "MY KEY", "", "KEY\n", "${KEY}"])
def test_a_key_in_place_of_its_variable_is_refused_and_not_told(said: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        provider(env_key=said)
    expected = "expected the name of an environment variable, such as ACME_API_KEY"
    assert caught.value.message == f"p/config.json: env_key: {expected}"
    assert "abc123" not in repr(caught.value) + caught.value.hint
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


@pytest.mark.parametrize("said", ["api_key", "apikey", "API_KEY", "token"])
def test_a_key_under_another_name_is_led_to_env_key(said: str) -> None:
    with pytest.raises(ConfigurationError, match='"env_key" names the environment variable') as caught:
        provider(**{said: "sk-abc123-xyz"})
    assert "abc123" not in caught.value.message


def test_a_price_of_a_single_token_is_told_the_unit() -> None:
    with pytest.raises(ConfigurationError, match=r"decimal places: USD per 1M tokens \(found 5e-07\)"):
        provider(llm_models=[{"name": "m", "cost_input": 0.0000005}])
