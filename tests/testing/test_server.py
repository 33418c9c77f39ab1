"""How the loopback server answers, what it counts, and how it starts and stops."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import pytest
import requests

from llm_tester.errors import ConfigurationError
from llm_tester.testing import LoopbackServer, Play, Rate, Received
from llm_tester.testing.traffic import TokenBucket

HELLO: Any = [{"role": "user", "content": "Hello"}]
ASKED: Any = {"model": "gpt", "messages": HELLO}


def post(server: LoopbackServer, body: Any = ASKED, **headers: str) -> requests.Response:
    return requests.post(server.url + "/chat/completions", json=body, headers=headers, timeout=5)


def test_a_function_answers_by_the_request(server: LoopbackServer) -> None:
    server.play(lambda received: Play(text=f"{received.number} {received.model} {received.call_id}"))
    for number in (1, 2):
        answer = post(server, ASKED, **{"X-Client-Request-Id": "c7"})
        assert answer.json()["choices"][0]["message"]["content"] == f"{number} gpt c7"
    assert server.by_call == {"c7": 2}


def test_a_list_is_played_in_order_and_its_last_repeats(server: LoopbackServer) -> None:
    server.play([Play(status=500), Play(status=429), lambda _: Play()])
    assert [post(server).status_code for _ in range(4)] == [500, 429, 200, 200]
    assert server.by_status == {500: 1, 429: 1, 200: 2}


def test_requests_are_kept_as_they_came(server: LoopbackServer) -> None:
    before = time.monotonic()
    post(server, ASKED | {"stream": True}, Authorization="Bearer k")
    received = server.received[0]
    assert (received.number, received.method, received.path) == (1, "POST", "/chat/completions")
    assert (received.api, received.model, received.stream) == ("openai", "gpt", True)
    assert received.headers["authorization"] == "Bearer k"
    assert received.body["messages"] == HELLO
    assert b'"messages"' in received.raw
    assert before <= received.at <= time.monotonic()


def test_only_whole_good_answers_count_as_sent(server: LoopbackServer) -> None:
    usage: dict[str, int | None] = {"input": 3, "output": 2, "reasoning": None}
    good = Play(usage=usage)
    unread = [Play(status=500), Play(raw=b"{}"), Play(raw_usage=None), Play(usage=None), Play(fault="cut_stream")]
    server.play([good, *unread, good])
    for _ in range(len(unread) + 2):
        with suppress(requests.RequestException):
            post(server)
    assert server.count == 7
    assert server.sent == {"gpt": {"input": 6, "output": 4}}


def test_reset_forgets_and_begins_again(server: LoopbackServer) -> None:
    server.play(Play(status=500))
    post(server)
    server.reset()
    assert (server.count, server.received, server.connections, server.sent) == (0, [], 0, {})
    assert post(server).status_code == 200
    assert server.received[0].number == 1


def test_counts_go_on_where_requests_are_not_kept() -> None:
    with LoopbackServer(keep=False) as server:
        for _ in range(3):
            post(server)
        assert (server.count, server.connections, server.received) == (3, 3, [])


def test_above_the_limit_is_429_and_takes_no_play() -> None:
    asked: list[Received] = []

    def note(received: Received) -> Play:
        asked.append(received)
        return Play()

    with LoopbackServer(note, limit=Rate(per_second=0.01, burst=2)) as server:
        answers = [post(server) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert 0 < float(answers[2].headers["retry-after"]) <= 100
    assert len(asked) == 2


def test_a_bucket_fills_with_time() -> None:
    now = 0.0
    bucket = TokenBucket(Rate(per_second=4), lambda: now)
    assert [bucket.take() for _ in range(5)] == [0, 0, 0, 0, 0.25]
    now = 0.125
    assert bucket.take() == 0.125
    now = 0.25
    assert bucket.take() == 0
    now = 60
    assert [bucket.take() for _ in range(5)].count(0) == 4


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 404),
        ("GET", "/v1/chat/completions", 404),
        ("POST", "/v1/completions", 404),
        ("POST", "/v1/chat/completions", 400),
        ("HEAD", "/v1/models", 404),
        ("GET", "/v1/models/", 200),
    ],
)
def test_what_is_no_call_is_answered_without_a_play(
    server: LoopbackServer, method: str, path: str, status: int
) -> None:
    answer = requests.request(method, server.url + path, timeout=5)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/json"
    if method == "HEAD":
        assert answer.content == b""
    elif status != 200:
        assert answer.json()["error"]["type"] == "invalid_request_error"


def test_what_a_function_raises_is_raised_when_the_with_ends() -> None:
    def fail(received: Received) -> Play:
        raise LookupError(received.model)

    def session(error: Exception | None) -> None:
        with LoopbackServer(fail) as server:
            with pytest.raises(requests.ConnectionError):
                post(server)
            if error:
                raise error

    with pytest.raises(LookupError, match="gpt"):
        session(None)
    with pytest.raises(RuntimeError, match="mine") as caught:
        session(RuntimeError("mine"))
    assert "LookupError('gpt')" in caught.value.__notes__[0]


def test_many_threads_are_counted_right(server: LoopbackServer) -> None:
    with ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(lambda _: post(server).status_code, range(80)))
    assert statuses == [200] * 80
    assert server.count == len(server.received) == 80
    assert server.sent == {"gpt": {"input": 800, "output": 400}}
    assert sorted(received.number for received in server.received) == list(range(1, 81))


def test_it_starts_and_stops_cleanly() -> None:
    server = LoopbackServer()
    with pytest.raises(ConfigurationError, match="does not run"):
        _ = server.url
    server.stop()
    with server:
        assert server.url.startswith("http://127.0.0.1:")
        with pytest.raises(ConfigurationError, match="already"):
            server.start()
    with server:
        assert post(server).status_code == 200
    assert "loopback-server" not in [thread.name for thread in threading.enumerate()]


@pytest.mark.parametrize(
    ("fields", "hint"),
    [
        ({"fault": "hangs"}, "hang"),
        ({"in_stream": "never"}, "always"),
        ({"usage": {"outputs": 1}}, "output"),
        ({"fault": "redirect"}, "location"),
    ],
)
def test_a_play_that_cannot_be_is_refused(fields: dict[str, Any], hint: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Play(**fields)
    assert hint in caught.value.hint


def test_an_empty_list_and_a_rate_of_nothing_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="empty"):
        LoopbackServer([])
    with pytest.raises(ConfigurationError, match="nothing"):
        Rate(0)
