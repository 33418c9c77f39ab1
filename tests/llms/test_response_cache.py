"""The response cache around a manager's calls, over the loopback server."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from llm_tester import ProviderManager, ProviderRegistry, Request, Response
from llm_tester.config import Workspace
from llm_tester.errors import ConfigurationError, OverloadedError
from llm_tester.llms.chained import links_of
from llm_tester.llms.response_cache import ResponseCache, cache_key
from llm_tester.records import Message, chat
from llm_tester.testing import LoopbackServer, Play

Ask = Callable[..., Response]


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def server() -> Iterator[LoopbackServer]:
    with LoopbackServer() as running:
        running.play(Play("four", usage={"input": 10, "output": 5}))
        yield running


def registry_of(workspace: Path, server: LoopbackServer, **provider: Any) -> ProviderRegistry:
    models = [{"name": name, "cost_input": 1, "cost_output": 2} for name in ("m", "n")]
    there = {"base_url": f"{server.url}/v1", "llm_models": models, **provider}
    chains = {"safe": ["openai:m", "openai:n"]}
    config = {"providers": {"openai": there}, "retry": {"max_retries": 0}, "fallback": {"chains": chains}}
    (workspace / "config.json").write_text(json.dumps(config))
    return ProviderRegistry(Workspace.open(workspace, {"OPENAI_API_KEY": "k"}))


@pytest.fixture
def manager(workspace: Path, server: LoopbackServer) -> ProviderManager:
    return ProviderManager(registry=registry_of(workspace, server), cache=ResponseCache())


ASKED = Request("openai", "m", chat("2 + 2?"), {"temperature": 0}, call_id="one")


def test_the_same_question_is_bought_once(manager: ProviderManager, server: LoopbackServer, ask: Ask) -> None:
    bought = ask(manager, ASKED)
    again = ask(manager, replace(ASKED, call_id="two"))
    assert len(server.received) == 1
    assert (bought.cached, again.cached, again.cached_from, again.call_id) == (False, True, "one", "two")
    # What it cost, and how long it took, when it was bought.
    assert (again.text, again.cost, again.usage, again.latency_ms) == (
        bought.text,
        bought.cost,
        bought.usage,
        bought.latency_ms,
    )
    assert again.attempts == ()
    assert ask(manager, ASKED).cached_from == "one"


@pytest.mark.parametrize(
    "other",
    [
        replace(ASKED, model="n"),
        replace(ASKED, messages=chat("2 + 3?")),
        replace(ASKED, messages=(Message("system", "2 + 2?"),)),
        replace(ASKED, parameters={"temperature": 1}),
        replace(ASKED, parameters={}),
        replace(ASKED, output_schema={"type": "object"}),
        replace(ASKED, tags={"epoch": 2}),
        replace(ASKED, transport="sdk"),
        replace(ASKED, provider="chain", model="safe"),
    ],
)
def test_another_question_is_another_answer(manager: ProviderManager, server: LoopbackServer, other: Request) -> None:
    manager.respond(ASKED)
    assert not manager.respond(other).cached
    assert len(server.received) == 2
    assert manager.respond(other).cached


def test_what_says_nothing_of_the_answer_is_not_in_the_key(manager: ProviderManager, server: LoopbackServer) -> None:
    manager.respond(ASKED)
    same = replace(ASKED, call_id="x", project="p", tags={"sample_id": "s"}, timeout=3, purpose="judge")
    assert manager.respond(same).cached
    assert len(server.received) == 1


def test_the_key_holds_the_host_and_the_content_of_files(workspace: Path, server: LoopbackServer) -> None:
    file = workspace / "picture.png"
    file.write_bytes(b"one")
    asked = replace(ASKED, files=(str(file), "no such file"))

    def key(**provider: Any) -> str:
        return cache_key(links_of(registry_of(workspace, server, **provider).get("openai"), "m"), asked)

    before = key()
    assert key() == before
    assert key(base_url="http://127.0.0.1:1/v1") != before
    file.write_bytes(b"two")
    assert key() != before


@pytest.mark.parametrize(
    "play",
    [Play("cut", finish="length"), Play(""), Play("no", finish="content_filter")],
    ids=["cut", "empty", "filtered"],
)
def test_only_good_answers_are_kept(manager: ProviderManager, server: LoopbackServer, play: Play) -> None:
    server.play(play)
    for _ in range(2):
        assert not manager.respond(ASKED).cached
    assert len(server.received) == 2


def test_a_failure_is_not_kept(manager: ProviderManager, server: LoopbackServer) -> None:
    server.play(Play(status=503))
    with pytest.raises(OverloadedError):
        manager.respond(ASKED)
    server.play(Play("four"))
    assert not manager.respond(ASKED).cached


def test_simulated_answers_and_streams_pass_by(manager: ProviderManager, server: LoopbackServer) -> None:
    made_up = manager.provider("mock").request("hi", "careful")
    assert [manager.respond(made_up).cached for _ in range(2)] == [False, False]
    for _ in range(2):
        assert "".join(manager.stream(ASKED)) == "four"
    assert len(server.received) == 2


def test_many_at_once_buy_one(manager: ProviderManager, server: LoopbackServer) -> None:
    server.play(Play("four", latency=0.05))

    async def many() -> list[Response]:
        return await asyncio.gather(*(manager.arespond(ASKED) for _ in range(30)))

    assert sorted(response.cached for response in asyncio.run(many())) == [False] + [True] * 29
    assert len(server.received) == 1


def test_where_the_first_of_many_fails_the_next_one_asks(manager: ProviderManager, server: LoopbackServer) -> None:
    server.play(lambda received: Play(status=400, latency=0.02) if received.number == 1 else Play("four"))

    async def many() -> list[Response | BaseException]:
        return await asyncio.gather(*(manager.arespond(ASKED) for _ in range(5)), return_exceptions=True)

    found = asyncio.run(many())
    assert sum(isinstance(one, BaseException) for one in found) == 1
    assert sorted(one.cached for one in found if isinstance(one, Response)) == [False, True, True, True]
    assert len(server.received) == 2


def test_who_waits_may_be_cancelled(manager: ProviderManager, server: LoopbackServer) -> None:
    server.play(Play("four", latency=0.05))

    async def some() -> Response:
        first = asyncio.create_task(manager.arespond(ASKED))
        second = asyncio.create_task(manager.arespond(ASKED))
        await asyncio.sleep(0.01)
        second.cancel()
        return await first

    assert not asyncio.run(some()).cached
    assert manager.respond(ASKED).cached


def test_an_answer_holds_for_its_time(workspace: Path, server: LoopbackServer) -> None:
    clock = Clock()
    manager = ProviderManager(registry=registry_of(workspace, server), cache=ResponseCache(60, clock=clock))
    manager.respond(ASKED)
    clock.now = 59.9
    assert manager.respond(ASKED).cached
    clock.now = 60
    assert not manager.respond(ASKED).cached
    assert len(server.received) == 2


def test_get_and_set(manager: ProviderManager) -> None:
    cache, answer = ResponseCache(most=2), manager.respond(ASKED)

    async def use() -> list[bool]:
        for key in ("a", "b"):
            await cache.set(key, answer)
        await cache.get("a")
        await cache.set("c", answer)
        await cache.set("d", replace(answer, text=" "))
        return [await cache.get(key) is not None for key in "abcd"]

    # The one that was used least lately made room.
    assert asyncio.run(use()) == [True, False, True, False]
    assert cache.ttl < 3600 or ResponseCache().ttl == 3600
    with pytest.raises(ConfigurationError, match="ttl > 0"):
        ResponseCache(0)
