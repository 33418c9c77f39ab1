from __future__ import annotations

import math
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_tester.errors import BadResponseError
from llm_tester.llms.usage import MAX_TOKENS, read_usage
from llm_tester.records import TOKEN_CLASSES, USAGE_KEYS, UsageData

ANYTHING = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.integers())


def test_good_usage_is_taken_as_it_is() -> None:
    reported = {
        "input": 10,
        "output": 5,
        "cached_input": 4,
        "reasoning": 0,
        "total_tokens": 15,
        "finish_reason": "stop",
        "served_model": "m-1",
        "latency_ms": 12.5,
        "reported_cost": 0.1,
        "raw": {"x": 1},
    }
    expected = UsageData(
        10,
        5,
        cached_input=4,
        reasoning=0,
        reported_cost=Decimal("0.1"),
        finish_reason="stop",
        served_model="m-1",
        latency_ms=12.5,
        raw={"x": 1},
    )
    assert read_usage(reported) == expected
    assert read_usage(expected) == expected


def test_both_names_of_the_wholes_are_understood() -> None:
    assert read_usage({"prompt_tokens": 1, "completion_tokens": 2}) == read_usage({"input": 1, "output": 2})
    assert read_usage({"prompt_tokens": 1, "input": 1, "output": 2}).inconsistent == ()


def test_nothing_reported_is_nothing_known() -> None:
    assert read_usage(None) == read_usage({}) == UsageData()


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        pytest.param(math.nan, "nan", id="NaN"),
        pytest.param(-1, "-1", id="negative"),
        pytest.param(1.5, "1.5", id="fraction"),
        pytest.param(3.0, "3.0", id="float"),
        pytest.param(True, "True", id="truth value"),
        pytest.param("12", "'12'", id="text"),
        pytest.param(math.inf, "inf", id="infinite"),
    ],
)
@pytest.mark.parametrize("name", ["input", "output", "cached_input", "reasoning", "audio_output"])
def test_a_count_that_cannot_be_one_is_not_reported_and_flagged(name: str, value: Any, shown: str) -> None:
    reported = {"input": 10, "output": 10, name: value}
    usage = read_usage(reported)
    assert name not in usage.counts()
    assert usage.inconsistent == (f"{name} is {shown}",)
    assert usage.raw == reported


@pytest.mark.parametrize(
    ("reported", "problem"),
    [
        ({"input": 5, "output": 1, "cached_input": 4, "audio_input": 2}, "the parts of input sum to 6, more than 5"),
        ({"input": 5, "output": 1, "reasoning": 2}, "the parts of output sum to 2, more than 1"),
        ({"input": 5, "output": 1, "total_tokens": 7}, "total_tokens is 7, input and output sum to 6"),
        ({"input": 5, "output": 1, "total_tokens": math.nan}, "total_tokens is nan, input and output sum to 6"),
        ({"input": MAX_TOKENS + 1, "output": 1}, f"input is {MAX_TOKENS + 1}"),
        ({"input": 5, "prompt_tokens": 6, "output": 1}, "input is 5, prompt_tokens is 6"),
        ({"input": 5, "output": 1, "reported_cost": -0.1}, "reported_cost is -0.1"),
        ({"input": 5, "output": 1, "reported_cost": math.nan}, "reported_cost is nan"),
        ({"input": 5, "output": 1, "reported_cost": "free"}, "reported_cost is 'free'"),
        ({"input": 5, "output": 1, "reported_cost": 1e30}, "reported_cost is 1e+30"),
        ({"input": 5, "output": 1, "finish_reason": "bored"}, "finish_reason is 'bored'"),
        ({"input": 5, "output": 1, "finish_reason": ["stop"]}, "finish_reason is ['stop']"),
        ({"input": 5, "output": 1, "latency_ms": math.nan}, "latency_ms is nan"),
        ({"input": 5, "output": 1, "latency_ms": -1}, "latency_ms is -1"),
        ({"input": 5, "output": 1, "latency_ms": "fast"}, "latency_ms is 'fast'"),
        ({"input": 5, "output": 1, "served_model": {"id": "m"}}, "served_model is {'id': 'm'}"),
    ],
)
def test_what_is_impossible_is_flagged_and_kept_raw(reported: dict[str, Any], problem: str) -> None:
    usage = read_usage(reported)
    assert usage.inconsistent == (problem,)
    assert usage.raw == reported


def test_impossible_sums_are_kept() -> None:
    usage = read_usage({"input": 5, "output": 1, "cached_input": 9})
    assert usage.counts() == {"input": 5, "output": 1, "cached_input": 9}


def test_a_total_says_nothing_without_its_parts() -> None:
    assert read_usage({"total_tokens": 12}).inconsistent == ()


def test_a_raw_object_of_the_provider_is_not_replaced() -> None:
    assert read_usage({"input": -1, "raw": "theirs"}).raw == "theirs"


def test_usage_data_is_checked_too() -> None:
    usage = read_usage(UsageData(-1, 5, inconsistent=("known before",)))
    assert (usage.prompt_tokens, usage.inconsistent) == (None, ("known before", "input is -1"))


def test_an_unknown_key_is_a_mistake_of_the_class() -> None:
    with pytest.raises(BadResponseError, match='the usage has an unknown key "promt_tokens"') as caught:
        read_usage({"promt_tokens": 1})
    assert caught.value.reason == "bad_usage"
    assert caught.value.hint.startswith("Did you mean prompt_tokens")


@pytest.mark.parametrize("reported", [[], 3, "usage"])
def test_usage_of_another_type_is_a_mistake_of_the_class(reported: Any) -> None:
    with pytest.raises(BadResponseError, match="usage must be a dict or UsageData") as caught:
        read_usage(reported)
    assert caught.value.reason == "bad_usage"


@given(st.dictionaries(st.sampled_from(sorted(USAGE_KEYS)), ANYTHING))
def test_whatever_is_reported_counts_are_counts(reported: dict[str, Any]) -> None:
    usage = read_usage(reported)
    for name in TOKEN_CLASSES:
        count = getattr(usage, name)
        assert count is None or (type(count) is int and count >= 0)
    assert usage.latency_ms is None or 0 <= usage.latency_ms < math.inf
    assert usage.reported_cost is None or usage.reported_cost >= 0


@pytest.mark.parametrize(
    ("key", "meant"), [("output_tokens", "output"), ("input_tokens", "input"), ("cost", "reported_cost")]
)
def test_a_key_as_services_write_it_leads_to_ours(key: str, meant: str) -> None:
    with pytest.raises(BadResponseError) as caught:
        read_usage({key: 3})
    assert caught.value.hint == f"Did you mean {meant}?"
