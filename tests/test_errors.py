from __future__ import annotations

import pickle
from collections.abc import Iterator

import pytest

import llm_tester.errors as module
from llm_tester.errors import (
    AuthenticationError,
    BadRequestError,
    BadResponseError,
    ConfigurationError,
    LLMTesterError,
    OverloadedError,
    ProviderError,
    QuotaExceededError,
    RateLimitError,
    error_for_status,
    suggestion,
)
from llm_tester.records import Attempt


def family(kind: type[LLMTesterError]) -> Iterator[type[LLMTesterError]]:
    yield kind
    for child in kind.__subclasses__():
        yield from family(child)


KINDS = sorted(set(family(LLMTesterError)), key=lambda kind: kind.__name__)


@pytest.mark.parametrize("kind", KINDS)
def test_every_error_says_what_happened_and_what_to_do(kind: type[LLMTesterError]) -> None:
    error = kind("it broke", hint="Mend it.")
    assert str(error) == error.message == "it broke"
    assert error.hint == "Mend it."
    assert kind("it broke").hint == ""


@pytest.mark.parametrize("kind", KINDS)
def test_every_error_survives_pickling(kind: type[LLMTesterError]) -> None:
    error = kind("it broke", hint="Mend it.")
    if isinstance(error, ProviderError):
        error.provider, error.model, error.status, error.retry_after = "p", "m", 429, 2.5
        error.attempts = (Attempt(1, "p", "m", ok=False, status=429),)
    again = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes
    assert type(again) is kind
    assert vars(again) == vars(error)
    assert str(again) == str(error)


def test_the_tree_at_the_top_of_the_file_names_every_error() -> None:
    assert module.__doc__ is not None
    assert [kind.__name__ for kind in KINDS if kind.__name__ not in module.__doc__] == []


def test_a_configuration_error_says_where() -> None:
    error = ConfigurationError("no", file="config.json", path="run.tasks")
    assert (error.file, error.path) == ("config.json", "run.tasks")


def test_a_bad_response_has_a_reason() -> None:
    assert BadResponseError("no").reason == "unreadable"
    assert BadResponseError("no", reason="no_choices", status=200).status == 200


@pytest.mark.parametrize(
    ("status", "kind", "retryable"),
    [
        (400, BadRequestError, False),
        (401, AuthenticationError, False),
        (402, QuotaExceededError, False),
        (403, AuthenticationError, False),
        (404, BadRequestError, False),
        (408, OverloadedError, True),
        (409, OverloadedError, True),
        (413, BadRequestError, False),
        (422, BadRequestError, False),
        (429, RateLimitError, True),
        (500, OverloadedError, True),
        (503, OverloadedError, True),
        (529, OverloadedError, True),
    ],
)
def test_the_error_of_an_http_status(status: int, kind: type[ProviderError], retryable: bool) -> None:
    error = error_for_status(status, "no", retry_after=3.0)
    assert type(error) is kind
    assert (error.status, error.retryable, error.retry_after) == (status, retryable, 3.0)


@pytest.mark.parametrize(
    ("name", "known", "expected"),
    [
        pytest.param("opnai", ["openai", "groq"], "Did you mean openai?", id="near"),
        pytest.param("cost_in", ["cost_in1", "cost_in2"], "Did you mean cost_in2 or cost_in1?", id="two are near"),
        pytest.param("zzz", ["b", "a"], "Known: a, b.", id="none is near"),
        pytest.param("zzz", [], "", id="nothing is known"),
        pytest.param(
            "zzz",
            [f"a{number:02}" for number in range(14)],
            "Known: a00, a01, a02, a03, a04, a05, a06, a07, a08, a09, a10, a11 and 2 more.",
            id="many are known",
        ),
    ],
)
def test_suggestions(name: str, known: list[str], expected: str) -> None:
    assert suggestion(name, known) == expected
