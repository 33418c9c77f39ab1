"""What the loopback server does wrong on purpose, seen from bare sockets and from requests."""

from __future__ import annotations

import gc
import json
import math
import socket
import threading
import time
from typing import Any

import anthropic
import openai
import pytest
import requests

from llm_tester.testing import LoopbackServer, Play
from tests.testing.conftest import Talk, connect, post

STREAM = {"model": "m", "messages": [], "stream": True}
WHOLE = {"model": "m", "messages": []}


def answer_of(server: LoopbackServer, body: Any = None, **options: Any) -> requests.Response:
    path = server.url + "/v1/chat/completions"
    return requests.post(path, json=body or WHOLE, timeout=options.pop("timeout", 5), **options)


def test_reset_is_a_reset(server: LoopbackServer) -> None:
    server.play(Play(fault="reset"))
    with connect(server) as client:
        client.sendall(post())
        with pytest.raises(ConnectionResetError):
            client.recv(1)


def test_close_is_an_end_without_answer(server: LoopbackServer, talk: Talk) -> None:
    server.play(Play(fault="close"))
    assert talk(post()) == b""
    assert (server.count, server.by_status) == (1, {})


def test_garbage_is_no_http(server: LoopbackServer, talk: Talk) -> None:
    server.play(Play(fault="garbage"))
    assert not talk(post()).startswith(b"HTTP")
    with pytest.raises(requests.ConnectionError):
        answer_of(server)


@pytest.mark.parametrize("body", [WHOLE, STREAM])
def test_bad_chunk_breaks_a_body_after_its_half(server: LoopbackServer, talk: Talk, body: Any) -> None:
    server.play(Play(fault="bad_chunk"))
    raw = talk(post(body=body))
    assert raw.startswith(b"HTTP/1.1 200 ")
    assert raw.endswith(b"zz\r\nnot a size\r\n")
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        answer_of(server, body)


def test_hang_never_answers_until_the_client_leaves(server: LoopbackServer, talk: Talk) -> None:
    server.play(Play(fault="hang"))
    assert talk(post(), seconds=0.1) == b""
    server.play(Play())
    assert answer_of(server).status_code == 200
    assert (server.count, server.by_status) == (2, {200: 1})


@pytest.mark.parametrize(("fault", "most"), [("dribble_headers", b"HTTP/1.1"), ("dribble_body", b'{"id":')])
def test_dribble_sends_a_byte_at_a_time(server: LoopbackServer, talk: Talk, fault: Any, most: bytes) -> None:
    server.play(Play(fault=fault))
    raw = talk(post(), seconds=0.04)
    slow = raw if fault == "dribble_headers" else raw.partition(b"\r\n\r\n")[2]
    assert most.startswith(slow)
    assert len(slow) <= 2


def test_latency_comes_before_the_answer(server: LoopbackServer) -> None:
    server.play(Play(latency=0.08))
    start = time.monotonic()
    assert answer_of(server).status_code == 200
    assert 0.07 < time.monotonic() - start < 2


def test_an_answer_that_nobody_waits_for_is_not_sent(server: LoopbackServer, talk: Talk) -> None:
    server.play(Play(latency=0.1))
    talk(post(), seconds=0.02)
    time.sleep(0.15)
    assert (server.count, server.by_status, server.sent) == (1, {}, {})


def test_pace_spreads_the_events_of_a_stream(server: LoopbackServer) -> None:
    server.play(Play(text="abcd", chunks=4, pace=0.01))
    start = time.monotonic()
    assert answer_of(server, STREAM).text.endswith("data: [DONE]\n\n")
    assert time.monotonic() - start > 0.07


@pytest.mark.parametrize("body", [WHOLE, STREAM])
def test_cut_stream_breaks_off_and_closes(server: LoopbackServer, talk: Talk, body: Any) -> None:
    server.play(Play(text="abcdef", fault="cut_stream"))
    raw = talk(post(body=body))
    assert raw.startswith(b"HTTP/1.1 200 ")
    assert b'"chatcmpl' in raw
    assert b"finish_reason" not in raw.rpartition(b"data: ")[2]
    assert b"[DONE]" not in raw
    with pytest.raises((requests.exceptions.ChunkedEncodingError, requests.ConnectionError)):
        answer_of(server, body)
    assert server.by_status == {}


def test_openai_meets_an_error_within_a_stream(server: LoopbackServer) -> None:
    server.play(Play(text="abc", fault="error_in_stream", error={"message": "Overloaded."}))
    texts: list[str | None] = []
    with (
        openai.OpenAI(base_url=server.url, api_key="k", max_retries=0) as client,
        client.chat.completions.create(model="m", messages=[], stream=True) as stream,
        pytest.raises(openai.APIError, match=r"Overloaded\."),
    ):
        texts.extend(chunk.choices[0].delta.content for chunk in stream)
    assert "".join(text or "" for text in texts) == "ab"


def test_anthropic_meets_an_error_within_a_stream(server: LoopbackServer) -> None:
    server.play(Play(text="abc", fault="error_in_stream"))
    seen: list[str] = []
    with (
        anthropic.Anthropic(base_url=server.url, api_key="k", max_retries=0) as client,
        client.messages.create(model="m", max_tokens=9, messages=[], stream=True) as stream,
        pytest.raises(anthropic.APIStatusError, match="overloaded_error"),
    ):
        seen.extend(event.type for event in stream)
    assert seen[0] == "message_start"
    assert "content_block_delta" in seen
    assert "message_stop" not in seen


def test_an_error_within_a_stream_that_is_none_is_an_error_in_a_200(server: LoopbackServer) -> None:
    server.play([Play(fault="error_in_stream"), Play(error={"message": "No.", "code": 502})])
    assert answer_of(server).json()["error"]["type"] == "server_error"
    second = answer_of(server, STREAM)
    assert (second.status_code, second.json()["error"]["code"]) == (200, 502)
    assert server.sent == {}


@pytest.mark.parametrize(("status", "seen"), [(200, 307), (302, 302)])
def test_redirect_goes_elsewhere(server: LoopbackServer, status: int, seen: int) -> None:
    server.play(Play(fault="redirect", status=status, location="http://127.0.0.1:9/x"))
    answer = answer_of(server, allow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (seen, "http://127.0.0.1:9/x")


@pytest.mark.parametrize(
    ("raw", "kind"), [(b"<html>", "text/html"), (b'{"choices": [', "application/json"), (b"[]", "application/json")]
)
def test_a_raw_body_is_sent_verbatim(server: LoopbackServer, raw: bytes, kind: str) -> None:
    server.play(Play(raw=raw, content_type=kind, status=203, headers={"X-Own": "1"}))
    answer = answer_of(server)
    assert (answer.content, answer.headers["content-type"], answer.status_code) == (raw, kind, 203)
    assert answer.headers["x-own"] == "1"


def test_a_raw_usage_may_be_anything(server: LoopbackServer) -> None:
    server.play([Play(raw_usage={"prompt_tokens": math.nan, "completion_tokens": -1}), Play(raw_usage=None)])
    usage = answer_of(server).json()["usage"]
    assert math.isnan(usage["prompt_tokens"])
    assert usage["completion_tokens"] == -1
    assert answer_of(server).json()["usage"] is None


def test_a_lone_surrogate_reaches_the_client(server: LoopbackServer) -> None:
    server.play(Play(text="a\ud800b"))
    assert json.loads(answer_of(server).content)["choices"][0]["message"]["content"] == "a\ud800b"


def test_a_split_body_arrives_whole(server: LoopbackServer) -> None:
    server.play(Play(text="Grüße", split=True))
    assert answer_of(server).json()["choices"][0]["message"]["content"] == "Grüße"


def test_it_listens_on_this_machine_only(server: LoopbackServer) -> None:
    port = int(server.url.rpartition(":")[2])
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as other:
        other.bind(("127.0.0.2", port))


@pytest.mark.parametrize("play", [Play(fault="hang"), Play(fault="dribble_body"), Play(latency=60)])
def test_it_stops_while_clients_hang(play: Play) -> None:
    with LoopbackServer(play) as server:
        clients = [connect(server) for _ in range(5)]
        for client in clients[1:]:
            client.sendall(post())
        assert server.wait_for(4)
        start = time.monotonic()
    assert time.monotonic() - start < 1
    assert "loopback-server" not in [thread.name for thread in threading.enumerate()]
    for client in clients:
        client.close()
    gc.collect()


def test_waiting_for_requests_that_do_not_come_ends(server: LoopbackServer) -> None:
    assert not server.wait_for(1, timeout=0.01)
