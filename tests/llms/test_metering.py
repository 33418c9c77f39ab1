"""What a provider says of tokens, room, prices and retries, and what it was made with."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import pytest

from llm_tester import BaseLLM, ModelEntry, ProviderConfig, RetryPolicy, Workspace, create_provider
from llm_tester.errors import OverloadedError
from llm_tester.testing import LoopbackServer, Play


class Quiet(BaseLLM):
    """A class that fails as often as it is told to."""

    failures = 0

    def _call_llm_api(self, *_: Any) -> tuple[str, dict[str, Any]]:
        self.failures -= 1
        if self.failures >= 0:
            raise OverloadedError("busy", status=503)
        return "done", {}


def quiet(**fields: Any) -> Quiet:
    return Quiet(ProviderConfig(name="q", llm_models=(ModelEntry(name="m", **fields),)))


def test_the_methods_that_every_provider_has() -> None:
    asynchronous = ("generate", "acomplete", "aembed", "aembeddings", "embed_batch")
    assert all(inspect.iscoroutinefunction(getattr(BaseLLM, name)) for name in asynchronous)
    plain = ("complete", "embed", "embeddings", "count_tokens", "stream", "generate_stream", "list_models")
    assert all(callable(getattr(BaseLLM, name)) for name in plain)
    assert isinstance(BaseLLM.max_context_size, property)
    assert isinstance(BaseLLM.cost_per_1k_tokens, property)


def test_room_and_prices_are_those_of_the_default_model() -> None:
    full = quiet(max_input_tokens=128_000, cost_input=2.5, cost_output=10)
    assert full.max_context_size == 128_000
    assert full.cost_per_1k_tokens == {"input": 0.0025, "output": 0.01}
    used = (2000 / 1000) * (full.cost_per_1k_tokens["input"] or 0)
    assert used == 0.005


def test_what_is_not_known_is_none_and_not_nothing() -> None:
    assert quiet().max_context_size is None
    assert quiet().cost_per_1k_tokens == {"input": None, "output": None}
    assert quiet(cost_input=1).cost_per_1k_tokens == {"input": 0.001, "output": None}
    none = Quiet(ProviderConfig(name="q"))
    assert (none.max_context_size, none.cost_per_1k_tokens) == (None, {"input": None, "output": None})


def test_the_prices_of_a_built_in_provider() -> None:
    openai = create_provider("openai", Workspace(None))
    assert openai.max_context_size == 922_000
    assert openai.cost_per_1k_tokens == {"input": 0.0002, "output": 0.0012}


# --- made with


def test_its_own_retries_hold_for_its_calls() -> None:
    waiting = Quiet(retry=RetryPolicy(max_retries=1, initial_delay=0))
    waiting.failures = 1
    assert waiting.complete("hi", model="m") == "done"
    waiting.failures = 2
    with pytest.raises(OverloadedError):
        waiting.complete("hi", model="m")


def test_those_of_config_json_hold_where_it_has_none(workspace: Path) -> None:
    (workspace / "config.json").write_text('{"retry": {"max_retries": 0}}')
    with LoopbackServer(Play(status=503)) as server:
        variables = {"OPENAI_API_KEY": "k", "OPENAI_BASE_URL": server.url}
        with pytest.raises(OverloadedError):
            create_provider("openai", Workspace.open(workspace, variables)).complete("hi")
        assert server.count == 1


def test_its_decorator_tries_any_function_again() -> None:
    made = Quiet(retry=RetryPolicy(max_retries=2, initial_delay=0))
    tried = []

    @made.get_retry_decorator((KeyError,))
    def work() -> str:
        tried.append(1)
        if len(tried) < 3:
            raise KeyError
        return "done"

    assert (work(), len(tried)) == ("done", 3)
