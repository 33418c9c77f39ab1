from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from llm_tester import BaseLLM, ModelConfig, ProviderConfig, ProviderManager, ProviderRegistry, Response, RetryPolicy
from llm_tester.config import Workspace
from llm_tester.documents import validate
from llm_tester.errors import ConfigurationError, OverloadedError, ProviderError, UnknownModelError
from llm_tester.llms.flow import Session
from llm_tester.records import Attempt, UsageData

Ask = Callable[..., Response]


class Crowd(BaseLLM):
    """Counts how many calls are inside at once; each waits until `expected` have come in."""

    def __init__(self, expected: int, **fields: Any) -> None:
        super().__init__(validate(ProviderConfig, {"name": "crowd", "llm_models": [{"name": "m"}], **fields}, file="c"))
        self.barrier = threading.Barrier(expected)
        self.inside = self.most = 0
        self.lock = threading.Lock()

    def _call_llm_api(
        self, prompt: str, system_prompt: str, model_name: str, model_config: ModelConfig
    ) -> tuple[str, UsageData]:
        with self.lock:
            self.inside += 1
            self.most = max(self.most, self.inside)
        self.barrier.wait(10)
        with self.lock:
            self.inside -= 1
        return prompt, UsageData(1, 1)


class Busy(BaseLLM):
    calls = 0

    def _call_llm_api(self, *_: Any) -> tuple[str, UsageData]:
        self.calls += 1
        raise OverloadedError("busy")


def manager_of(provider: BaseLLM, **options: Any) -> ProviderManager:
    registry = ProviderRegistry(Workspace(None))
    registry.add(provider)
    return ProviderManager(registry=registry, **options)


def test_a_call_through_the_manager(workspace: Path, ask: Ask) -> None:
    with ProviderManager(registry=ProviderRegistry(Workspace.open(workspace, {}))) as manager:
        response = ask(manager, manager.provider("mock").request("hi", "thrifty"))
        assert (response.provider, response.model, response.simulated) == ("mock", "thrifty", True)
        assert response.cost.source == "catalogue"
        assert response.cost.usd is not None
        assert response.cost.usd > 0
        text, usage = manager.get_response("stub", "Summarise.", "A text.")
        assert text == manager.get_response("stub", "Summarise.\n\nA text.")[0]
        assert usage.output == 3


def test_a_manager_has_only_the_providers_that_it_was_given(workspace: Path) -> None:
    manager = ProviderManager(["stub", "null"], registry=ProviderRegistry(Workspace.open(workspace, {})))
    assert manager.provider("null").name == "null"
    with pytest.raises(ConfigurationError, match='not given the provider "mock"') as caught:
        manager.provider("mock")
    assert caught.value.hint == "It has: stub, null."


def test_without_a_registry_the_default_one_is_used() -> None:
    assert ProviderManager().provider("stub") is ProviderManager().provider("stub")


def test_an_unknown_model_is_refused_before_any_call(workspace: Path, ask: Ask) -> None:
    manager = ProviderManager(registry=ProviderRegistry(Workspace.open(workspace, {})))
    with pytest.raises(UnknownModelError) as caught:
        ask(manager, manager.provider("mock").request("hi", "thrify"))
    assert caught.value.hint == "Did you mean thrifty?"


def test_prices_are_resolved_once() -> None:
    provider = Busy(ProviderConfig.model_validate({"name": "b", "llm_models": [{"name": "m", "cost_input": 1}]}))
    manager = manager_of(provider)
    assert manager.rates(provider, "m") is manager.rates(provider, "m")
    assert manager.rates(provider, "m").by_class == {"input": Decimal(1)}


def test_retries_are_those_of_config_json(workspace: Path, ask: Ask) -> None:
    (workspace / "config.json").write_text('{"retry": {"max_retries": 2, "jitter": false, "initial_delay": 8}}')
    registry = ProviderRegistry(Workspace.open(workspace, {}))
    provider = Busy()
    registry.add(provider)
    waits: list[float] = []

    async def asleep(seconds: float) -> None:
        waits.append(seconds)

    manager = ProviderManager(registry=registry, session=Session(sleep=waits.append, asleep=asleep))
    with pytest.raises(OverloadedError):
        ask(manager, provider.request("hi", "m"))
    assert waits == [8, 16]
    with pytest.raises(OverloadedError):
        ask(ProviderManager(registry=registry, retry=RetryPolicy(0)), provider.request("hi", "m"))
    assert (provider.calls, len(waits)) == (4, 2)


@pytest.mark.parametrize(("own", "given", "most"), [(3, None, 3), (8, 2, 2), (2, 4, 4)])
def test_no_more_calls_are_in_flight_than_allowed(own: int, given: int | None, most: int) -> None:
    provider = Crowd(most, max_connections=own)
    manager = manager_of(provider, max_connections=given)

    async def many() -> None:
        await asyncio.gather(*(manager.arespond(provider.request("hi")) for _ in range(4 * most)))

    asyncio.run(many())
    assert provider.most == most


def test_threads_share_the_same_slots() -> None:
    provider = Crowd(2, max_connections=2)
    manager = manager_of(provider)
    threads = [threading.Thread(target=lambda: manager.respond(provider.request("hi"))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert provider.most == 2


def test_a_journal_is_kept(ask: Ask, workspace: Path) -> None:
    steps: list[str] = []

    class Diary:
        def _note(self, step: str) -> Future[Any]:
            steps.append(step)
            future: Future[Any] = Future()
            future.set_result(None)
            return future

        def claim(self) -> Future[Any]:
            return self._note("claim")

        def answered(self, response: Response) -> Future[Any]:
            return self._note(f"answered {response.call_id}")

        def failed(self, error: ProviderError) -> Future[Any]:
            return self._note("failed")

        def deferred(self, attempts: tuple[Attempt, ...]) -> Future[Any]:
            return self._note("deferred")

    class Journalled(ProviderManager):
        def respond(self, request: Any, journal: Any = None) -> Response:
            return super().respond(request, Diary())

        async def arespond(self, request: Any, journal: Any = None, rates: Any = None) -> Response:
            return await super().arespond(request, Diary())

    manager = Journalled(registry=ProviderRegistry(Workspace.open(workspace, {})))
    ask(manager, manager.provider("stub").request("hi", call_id="c1"))
    assert steps == ["claim", "answered c1"]
