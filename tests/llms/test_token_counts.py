"""Numbers of tokens: exact with a vocabulary, else an estimate that says so."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import pytest

from llm_tester import Workspace, create_provider
from llm_tester.llms.token_counts import TokenCount, count, encoding_of, estimated


class Letters:
    """A vocabulary in which every letter is a token."""

    name = "letters"

    def encode(self, text: str, *, disallowed_special: Any = "all") -> list[int]:
        assert disallowed_special == (), "a text that quotes a special token would be refused"
        return [ord(letter) for letter in text]


def test_exact_with_a_vocabulary() -> None:
    assert count("<|endoftext|>", Letters()) == TokenCount(13, "tiktoken:letters")
    assert count("a", Letters()).exact


@pytest.mark.parametrize(
    ("text", "tokens"), [("", 0), ("a", 1), ("four", 1), ("four!", 2), ("x" * 4000, 1000), ("你好", 2)]
)
def test_estimated_without_one(text: str, tokens: int) -> None:
    assert count(text) == TokenCount(tokens, "estimate")
    assert estimated(text) == tokens
    assert not count(text).exact


@pytest.mark.parametrize("error", [KeyError("no such model"), OSError("no network"), ValueError("bad data")])
def test_a_vocabulary_that_cannot_be_had_is_no_error(error: Exception) -> None:
    def find(model: str) -> Any:
        raise error

    assert encoding_of("m", find) is None
    assert encoding_of("m", lambda model: Letters()) is not None


@pytest.mark.skipif(find_spec("tiktoken") is not None, reason="the extra `tokens` is installed")
def test_without_the_extra_a_provider_estimates() -> None:
    provider = create_provider("openai", Workspace(None))
    assert provider.count_tokens("12345678") == 2
    assert provider.token_count("12345678", "gpt-4o").method == "estimate"


def test_a_vocabulary_is_looked_for_once() -> None:
    provider = create_provider("stub", Workspace(None))
    provider.encodings["m"] = Letters()
    assert provider.token_count("12345678", "m") == TokenCount(8, "tiktoken:letters")
    provider.encodings["m"] = None
    assert provider.token_count("12345678", "m") == TokenCount(2, "estimate")


def test_where_providers_are_forbidden_no_vocabulary_is_fetched() -> None:
    off = Workspace(None, environment={"LLM_TESTER_DISABLE_PROVIDERS": "1"})
    assert create_provider("stub", off).token_count("12345678", "gpt-4o") == TokenCount(2, "estimate")
