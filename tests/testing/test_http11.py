"""Requests in whatever form a client may send them."""

from __future__ import annotations

import socket

import pytest

from llm_tester.testing import LoopbackServer, Play
from llm_tester.testing.http11 import MalformedRequestError, Request, RequestParser
from tests.testing.conftest import Talk, connect, post

HEAD = b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\n"
BODY = b'{"model": "m"}'
CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"


def parsed(*pieces: bytes) -> list[Request]:
    parser, found = RequestParser(), []
    for piece in pieces:
        parser.feed(piece)
        while request := parser.take():
            found.append(request)
    return found


def read_answer(client: socket.socket) -> bytes:
    """One answer with a Content-Length."""
    stream = client.makefile("rb")
    with stream:
        lines = list(iter(stream.readline, b"\r\n"))
        lengths = [int(line.split(b":")[1]) for line in lines if line.lower().startswith(b"content-length")]
        return lines[0] + stream.read(lengths[0])


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
@pytest.mark.parametrize(
    "raw",
    [
        HEAD + b"Content-Length: 14\r\n\r\n" + BODY,
        HEAD + CHUNKED + b"5;x=y\r\n" + BODY[:5] + b"\r\n9\r\n" + BODY[5:] + b"\r\n0\r\n\r\n",
        b"\r\n" + HEAD + CHUNKED + b"E\r\n" + BODY + b"\r\n0\r\nTrailer: 1\r\n\r\n",
    ],
)
def test_a_request_may_come_in_any_pieces(raw: bytes, size: int) -> None:
    twice = raw + raw
    found = parsed(*[twice[index : index + size] for index in range(0, len(twice), size)])
    assert [request.body for request in found] == [BODY, BODY]
    assert {request.target for request in found} == {"/v1/chat/completions"}


def test_repeated_headers_are_joined() -> None:
    (request,) = parsed(b"GET / HTTP/1.1\r\nX-One: a\r\nx-one:b\r\n\r\n")
    assert request.headers == {"x-one": "a, b"}


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"garbage\r\n\r\n", 400),
        (b"GET / HTTP/2.0\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nno colon\r\n\r\n", 400),
        (HEAD + b"Content-Length: x\r\n\r\n", 400),
        (HEAD + b"Content-Length: -1\r\n\r\n", 400),
        (HEAD + b"Content-Length: 999999999999\r\n\r\n", 413),
        (HEAD + CHUNKED + b"zz\r\n", 400),
        (HEAD + CHUNKED + b"1\r\nabc\r\n", 400),
        (b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 20_000, 431),
    ],
)
def test_what_is_no_request_is_refused(raw: bytes, status: int, talk: Talk) -> None:
    with pytest.raises(MalformedRequestError) as caught:
        parsed(raw)
    assert caught.value.status == status
    if status == 400:
        assert talk(raw).startswith(b"HTTP/1.1 400 ")


def test_chunks_may_not_sum_to_too_much(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("llm_tester.testing.http11.MAX_BODY", 4)
    with pytest.raises(MalformedRequestError, match="too large"):
        parsed(HEAD + CHUNKED + b"3\r\nabc\r\n3\r\nabc\r\n")


def test_a_connection_is_kept_for_further_requests(server: LoopbackServer) -> None:
    with connect(server) as client:
        for _ in range(3):
            client.sendall(post("/v1/chat/completions", None, "Accept: */*"))
            assert read_answer(client).startswith(b"HTTP/1.1 200 OK")
    assert (server.count, server.connections) == (3, 1)


def test_requests_that_come_at_once_are_answered_in_order(server: LoopbackServer, talk: Talk) -> None:
    plays = [Play(text="one", latency=0.02), Play(text="two", split=True), Play(text="three"), Play(text="four")]
    server.play(plays)
    raw = talk(post("/chat/completions", None, "A: b") * 3 + post())
    found = [word for word in (b"one", b"two", b"three", b"four") if b'"%b"' % word in raw]
    assert found == sorted(found, key=raw.index)
    assert len(found) == 4


def test_a_client_that_asks_is_told_to_continue(server: LoopbackServer) -> None:
    with connect(server) as client:
        client.sendall(HEAD + b"Content-Length: 14\r\nExpect: 100-continue\r\n\r\n")
        assert client.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.sendall(BODY[:4])
        client.sendall(BODY[4:])
        assert read_answer(client).startswith(b"HTTP/1.1 200 OK")
    assert server.received[0].model == "m"


def test_http_1_0_gets_no_chunks(server: LoopbackServer, talk: Talk) -> None:
    body = b'{"stream": true}'
    raw = talk(b"POST /chat/completions HTTP/1.0\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
    head, _, stream = raw.partition(b"\r\n\r\n")
    assert b"content-length" in head
    assert stream.endswith(b"data: [DONE]\n\n")


@pytest.mark.parametrize("body", [b"", b"[1]", b"{", b"\xff\xfe", b"[" * 100_000])
def test_a_body_that_is_no_object_is_refused(server: LoopbackServer, talk: Talk, body: bytes) -> None:
    raw = talk(HEAD + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
    assert raw.startswith(b"HTTP/1.1 400 Bad Request")
    assert b"no JSON object" in raw
    assert server.received[0].raw == body
