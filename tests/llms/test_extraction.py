"""Token counts by declared paths: nothing counted twice, nothing guessed."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from llm_tester.catalogue import UsageConfig
from llm_tester.llms.extraction import ANTHROPIC_PATHS, OPENAI_PATHS


@pytest.mark.parametrize(
    ("usage", "counts"),
    [
        pytest.param({"prompt_tokens": 10, "completion_tokens": 3}, {"input": 10, "output": 3}, id="plain"),
        pytest.param(
            {
                "prompt_tokens": 100,
                "completion_tokens": 30,
                "total_tokens": 130,
                "prompt_tokens_details": {"cached_tokens": 40, "cache_write_tokens": 5, "audio_tokens": 2},
                "completion_tokens_details": {"reasoning_tokens": 20, "audio_tokens": 1},
            },
            {
                "input": 100,
                "cached_input": 40,
                "cache_write_5m": 5,
                "audio_input": 2,
                "output": 30,
                "reasoning": 20,
                "audio_output": 1,
            },
            id="all details, inside",
        ),
        pytest.param({"prompt_tokens": 10, "completion_tokens": None}, {"input": 10}, id="a null is not reported"),
        pytest.param({"prompt_tokens": 10, "prompt_tokens_details": None}, {"input": 10}, id="null details"),
    ],
)
def test_openai_counts(usage: dict[str, Any], counts: dict[str, int]) -> None:
    found = OPENAI_PATHS.extract({"usage": usage})
    assert found.counts() == counts
    assert found.raw == usage
    assert not found.inconsistent


@pytest.mark.parametrize(
    ("usage", "counts"),
    [
        pytest.param({"input_tokens": 10, "output_tokens": 3}, {"input": 10, "output": 3}, id="plain"),
        pytest.param(
            {
                "input_tokens": 10,
                "output_tokens": 3,
                "cache_read_input_tokens": 40,
                "cache_creation_input_tokens": 30,
                "cache_creation": {"ephemeral_5m_input_tokens": 10, "ephemeral_1h_input_tokens": 20},
            },
            {"input": 80, "cached_input": 40, "cache_write_5m": 10, "cache_write_1h": 20, "output": 3},
            id="beside, by kind",
        ),
        pytest.param(
            {"input_tokens": 10, "output_tokens": 3, "cache_creation_input_tokens": 30},
            {"input": 40, "cache_write_5m": 30, "output": 3},
            id="writes only as a sum",
        ),
        pytest.param(
            {"input_tokens": 10, "output_tokens": 9, "output_tokens_details": {"thinking_tokens": 6}},
            {"input": 10, "output": 9, "reasoning": 6},
            id="thinking inside",
        ),
    ],
)
def test_anthropic_counts(usage: dict[str, Any], counts: dict[str, int]) -> None:
    found = ANTHROPIC_PATHS.extract({"usage": usage})
    assert found.counts() == counts
    assert not found.inconsistent


def test_a_config_says_what_an_odd_server_does() -> None:
    config = UsageConfig.model_validate(
        {
            "paths": {
                "cached_input": ["prompt_tokens_details.cached_tokens", "num_cached_tokens"],
                "input": "tokens.in",
            },
            "cached_in_input": False,
            "reasoning_in_output": False,
            "reported_cost": "cost.total",
        }
    )
    paths = OPENAI_PATHS.with_config(config)
    usage = {
        "tokens": {"in": 10},
        "num_cached_tokens": 4,
        "completion_tokens": 3,
        "completion_tokens_details": {"reasoning_tokens": 5},
        "cost": {"total": 0.00125},
    }
    found = paths.extract({"usage": usage})
    assert found.counts() == {"input": 14, "cached_input": 4, "output": 8, "reasoning": 5}
    assert found.reported_cost == Decimal("0.00125")


@pytest.mark.parametrize("usage", [None, [], "many", 7])
def test_no_usage_is_no_count(usage: Any) -> None:
    assert OPENAI_PATHS.extract({"usage": usage}).counts() == {}


def test_groq_tells_in_a_field_of_its_own() -> None:
    body = {"x_groq": {"usage": {"prompt_tokens": 1, "completion_tokens": 2}}}
    assert OPENAI_PATHS.extract(body).counts() == {"input": 1, "output": 2}


@pytest.mark.parametrize("count", [float("nan"), -1, 2.5, "7", True])
def test_a_count_that_is_none_is_named(count: Any) -> None:
    found = OPENAI_PATHS.extract({"usage": {"prompt_tokens": count, "completion_tokens": 3}})
    assert found.input is None
    assert len(found.inconsistent) == 1


def test_parts_above_their_whole_are_kept_and_named() -> None:
    usage = {"prompt_tokens": 5, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 9}}
    found = OPENAI_PATHS.extract({"usage": usage})
    assert found.cached_input == 9
    assert found.inconsistent
