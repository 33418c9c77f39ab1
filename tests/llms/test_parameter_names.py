"""Parameters that look misspelt."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from llm_tester.llms.parameter_names import KNOWN, doubtful
from llm_tester.llms.provider_factory import builtin_folder


@pytest.mark.parametrize(
    ("given", "near"),
    [
        ("max_token", "max_tokens"),
        ("temprature", "temperature"),
        ("Temperature", "temperature"),
        ("maxTokens", "max_tokens"),
        ("top-p", "top_p"),
        ("reasoning_efort", "reasoning_effort"),
        ("stop_sequence", "stop_sequences"),
    ],
)
def test_a_name_near_a_known_one_is_doubtful(given: str, near: str) -> None:
    assert doubtful([given]) == [f"{given}: did you mean {near}? It is sent as it is."]


def test_known_names_and_names_of_a_server_s_own_are_not() -> None:
    assert doubtful(KNOWN) == []
    assert doubtful(["mirostat", "tfs_z", "top_n", "num_keep", "raw_mode", "best_of", "ignore_eos", "_", ""]) == []


def test_a_name_is_told_once() -> None:
    assert len(doubtful(["max_token", "max_token"])) == 1


def test_every_parameter_of_the_catalogues_is_known() -> None:
    found = set()
    for file in builtin_folder("providers").glob("*/config.json"):
        for entry in json.loads(Path(file).read_text("utf-8")).get("llm_models", ()):
            renamed = entry.get("rename_params", {})
            found |= {*entry.get("unsupported_params", ()), *renamed, *renamed.values()}
    assert found
    assert found <= KNOWN
