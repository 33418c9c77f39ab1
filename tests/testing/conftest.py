"""A server for each test, and a bare socket to talk to it."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest

from llm_tester.testing import LoopbackServer

Talk = Callable[..., bytes]


@pytest.fixture
def server() -> Iterator[LoopbackServer]:
    """A running server that answers "ok"."""
    with LoopbackServer() as running:
        yield running


def connect(server: LoopbackServer, timeout: float = 2.0) -> socket.socket:
    """A socket that is connected to the server."""
    address = urlsplit(server.url)
    return socket.create_connection((str(address.hostname), int(address.port or 0)), timeout)


def post(path: str = "/v1/chat/completions", body: Any = None, *headers: str) -> bytes:
    """The bytes of a request with a body of JSON; it closes the connection unless a header says otherwise."""
    data = json.dumps(body if body is not None else {"model": "m", "messages": []}).encode()
    lines = [f"POST {path} HTTP/1.1", "Host: x", f"Content-Length: {len(data)}", *(headers or ("Connection: close",))]
    return "\r\n".join([*lines, "", ""]).encode() + data


@pytest.fixture
def talk(server: LoopbackServer) -> Talk:
    """Sends pieces of bytes, and gives what comes until the server closes, or until `seconds` have passed."""

    def exchange(*pieces: bytes, seconds: float = 2.0) -> bytes:
        answer = b""
        with connect(server, seconds) as client:
            for piece in pieces:
                client.sendall(piece)
            try:
                while data := client.recv(65536):
                    answer += data
            except TimeoutError:
                pass
        return answer

    return exchange
