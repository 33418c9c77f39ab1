"""Answers whose JSON is odd: cut, too deep, keys twice or unknown. A bounded error or a fine answer, never a crash."""

from __future__ import annotations

import gc
import json
import pickle
from collections.abc import Callable, Iterator

import pytest

from llm_tester import BadResponseError, ProviderError
from llm_tester.errors import BadRequestError
from llm_tester.testing import LoopbackServer, Play
from tests.llms.wire_calls import KEY, Ask, provider

GOOD = {
    "openai": '"choices": [{"message": {"content": "x"}, "finish_reason": "stop"}]',
    "anthropic": '"content": [{"type": "text", "text": "x"}], "stop_reason": "end_turn"',
}
PLACES: dict[str, Callable[[str, str], str]] = {
    "the body": lambda good, deep: deep,
    "an unknown key": lambda good, deep: f'{{{good}, "surprise": {deep}}}',
    "the usage": lambda good, deep: f'{{{good}, "usage": {{"prompt_tokens": 1, "x": {deep}}}}}',
    "an error": lambda good, deep: f'{{"error": {{"message": {deep}}}}}',
}


@pytest.fixture(autouse=True)
def no_collection() -> Iterator[None]:
    """Hypothesis listens to the garbage collector: its listener fails when one begins at the end of the stack."""
    gc.disable()
    yield
    gc.enable()


def nested(levels: int) -> str:
    return '{"a": [' * (levels // 2) + "]}" * (levels // 2)


@pytest.mark.parametrize("api", GOOD)
@pytest.mark.parametrize("levels", [102, 900, 10_000, 200_000])
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("status", [200, 400])
def test_nesting_is_a_bounded_error(api: str, levels: int, place: str, status: int, ask_wire: Ask) -> None:
    body = PLACES[place](GOOD[api], nested(levels)).encode()
    with LoopbackServer(Play(raw=body, status=status)) as server, pytest.raises(ProviderError) as caught:
        ask_wire(provider(api, server.url))
    error = caught.value
    assert len(error.message) < 700
    assert isinstance(error, BadRequestError if status == 400 else BadResponseError)
    assert status == 400 or getattr(error, "reason", "") == "too_deep"
    assert pickle.loads(pickle.dumps(error)).raw == error.raw == body.decode()[:16_000]  # noqa: S301 - our own bytes


@pytest.mark.parametrize("api", GOOD)
@pytest.mark.parametrize("place", ["an unknown key", "the usage"])
def test_what_is_less_deep_is_an_answer_that_can_be_kept(api: str, place: str, ask_wire: Ask) -> None:
    with LoopbackServer(Play(raw=PLACES[place](GOOD[api], nested(94)).encode())) as server:
        response = ask_wire(provider(api, server.url))
    assert response.text == "x"
    assert pickle.loads(pickle.dumps(response)) == response  # noqa: S301 - our own bytes
    assert json.dumps(response.usage.raw)


@pytest.mark.parametrize("api", GOOD)
def test_many_brackets_beside_each_other_are_not_deep(api: str, ask_wire: Ask) -> None:
    body = f'{{{GOOD[api]}, "wide": {json.dumps([[{}]] * 500)}, "text": "{"[" * 500}"}}'
    with LoopbackServer(Play(raw=body.encode())) as server:
        assert ask_wire(provider(api, server.url)).text == "x"


@pytest.mark.parametrize("api", GOOD)
@pytest.mark.parametrize("twice", ["content", "choices", "k" * 100_000])
def test_a_key_that_stands_twice_is_a_bounded_error(api: str, twice: str, ask_wire: Ask) -> None:
    # So many that to compare each key with each other one would not end.
    many = ", ".join(f'"k{number}": 1' for number in range(200_000))
    body = f'{{{GOOD[api]}, {many}, "{twice}": 1, "{twice}": 2}}'
    with LoopbackServer(Play(raw=body.encode())) as server, pytest.raises(BadResponseError) as caught:
        ask_wire(provider(api, server.url))
    assert caught.value.reason == "bad_json"
    assert f'the key "{twice[:80]}" stands twice' in caught.value.message
    assert len(caught.value.message) < 700


@pytest.mark.parametrize("api", GOOD)
def test_unknown_keys_are_fine(api: str, ask_wire: Ask) -> None:
    body = f'{{{GOOD[api]}, "surprise": {{"a": [1, null, {{"b": true}}]}}, "__class__": "x", "": 0}}'
    with LoopbackServer(Play(raw=body.encode())) as server:
        assert ask_wire(provider(api, server.url)).text == "x"


@pytest.mark.parametrize("api", GOOD)
def test_what_came_of_a_cut_answer_is_kept_up_to_a_cap_without_the_key(api: str, ask_wire: Ask) -> None:
    body = f'{{{GOOD[api]}, "said": "{"a" * 15_990}{KEY}{"b" * 50_000}'
    with LoopbackServer(Play(raw=body.encode())) as server, pytest.raises(BadResponseError) as caught:
        ask_wire(provider(api, server.url))
    error = caught.value
    assert error.reason == "bad_json"
    assert body.startswith(error.raw[:15_000])
    assert len(error.raw) == 16_000
    assert KEY[:4] not in error.raw
    assert pickle.loads(pickle.dumps(error)).raw == error.raw  # noqa: S301 - our own bytes


@pytest.mark.parametrize("data", [nested(10_000), '{"choices": [], "choices": []}', '{"choices": [{"delta'])
def test_an_odd_event_of_a_stream_is_an_error_that_keeps_it(data: str) -> None:
    first = 'data: {"choices": [{"delta": {"content": "so far"}}]}\n\n'
    play = Play(raw=f"{first}data: {data}\n\n".encode(), content_type="text/event-stream")
    with LoopbackServer(play) as server:
        stream = provider("openai", server.url).stream("hi")
        with pytest.raises(BadResponseError) as caught:
            list(stream)
    assert caught.value.reason in ("too_deep", "bad_json")
    assert caught.value.text == "so far"
    assert caught.value.raw == data[:16_000]
