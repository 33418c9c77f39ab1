"""Entrants: names, contents, and what is refused."""

from __future__ import annotations

import pytest

from llm_tester.config import EntrantConfig
from llm_tester.errors import ConfigurationError
from llm_tester.evals.entrants import Entrant, make_entrants, split_model

PROVIDERS = ("groq", "mock", "openai")


@pytest.mark.parametrize(
    ("text", "provider", "model"),
    [
        ("mock:careful", "mock", "careful"),
        ("ollama:llama3:8b", "ollama", "llama3:8b"),
        ("mock/careful", "mock", "careful"),
        ("groq/openai/gpt", "groq", "openai/gpt"),
        ("router:openai/gpt", "router", "openai/gpt"),
    ],
)
def test_the_first_colon_parts_provider_and_model(text: str, provider: str, model: str) -> None:
    assert split_model(text, PROVIDERS) == (provider, model)


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("mock", "Write mock:MODEL."),
        ("mcok", "Did you mean mock?"),
        ("mock:", "Write mock:MODEL."),
        (":careful", "Known: groq, mock, openai."),
        ("", "Known: groq, mock, openai."),
        ("other/model", "Known: groq, mock, openai."),
    ],
)
def test_a_text_that_names_no_model_is_refused(text: str, hint: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        split_model(text, PROVIDERS)
    assert raised.value.message == f'"{text}" names no model: expected provider:model'
    assert raised.value.hint == hint


def test_an_entrant_is_a_model_with_parameters_and_a_prompt_under_a_name() -> None:
    config = EntrantConfig(name="mini", model="mock:careful", parameters={"temperature": 1}, prompt="b")
    plain, named = make_entrants(["mock:careful", config], PROVIDERS)
    assert plain == Entrant("mock:careful", "mock", "careful")
    assert named == Entrant("mini", "mock", "careful", {"temperature": 1}, "b")
    assert named.full_model == "mock:careful"


def test_the_hash_is_that_of_the_content() -> None:
    base = Entrant("a", "mock", "careful", {"x": 1, "y": 2}, "b")
    assert Entrant("other", "mock", "careful", {"y": 2, "x": 1}, "b").hash == base.hash
    others = [
        Entrant("a", "mok", "careful", {"x": 1, "y": 2}, "b"),
        Entrant("a", "mock", "thrifty", {"x": 1, "y": 2}, "b"),
        Entrant("a", "mock", "careful", {"x": 1, "y": 3}, "b"),
        Entrant("a", "mock", "careful", {"x": 1, "y": 2}),
    ]
    assert len({base.hash, *(entrant.hash for entrant in others)}) == 5


def test_two_of_one_name_or_of_one_content_are_refused() -> None:
    with pytest.raises(ConfigurationError, match='two entrants are called "mock:careful"'):
        make_entrants(["mock:careful", "mock:careful"], PROVIDERS)
    with pytest.raises(ConfigurationError, match='the entrants "mock:careful" and "again" are the same'):
        make_entrants(["mock:careful", EntrantConfig(name="again", model="mock/careful")], PROVIDERS)
