"""A server that answers every POST with one stream of chat chunks, made once: the client is what takes the time."""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import sys
from functools import partial

from bench.cores import SERVER_CORE, pin

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: %d\r\n\r\n"
LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)


def stream(chunks: int) -> bytes:
    """An answer as OpenAI streams it: so many chunks with a word each, the last one with the usage, and the end."""
    common = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "loopback"}
    events = [_chunk(common, {"content": " word"}) for _ in range(chunks)]
    events.append(_chunk(common, {}, "stop"))
    usage = {"prompt_tokens": 10, "completion_tokens": chunks, "total_tokens": 10 + chunks}
    events.append({**common, "choices": [], "usage": usage})
    body = b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in events) + b"data: [DONE]\n\n"
    return HEAD % len(body) + body


def _chunk(common: dict[str, object], delta: dict[str, str], finish: str | None = None) -> dict[str, object]:
    return {**common, "choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}]}


class Canned(asyncio.Protocol):
    """Answers each request once its body is there."""

    def __init__(self, answer: bytes) -> None:
        self._answer, self._came = answer, b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember whom to answer."""
        self._transport: asyncio.WriteTransport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        """Take a request out of what came."""
        self._came += data
        head, end, body = self._came.partition(b"\r\n\r\n")
        length = LENGTH.search(head)
        if end and length and len(body) >= int(length.group(1)):
            self._came = b""
            self._transport.write(self._answer)


async def main(chunks: int) -> None:
    """Serve until standard input ends."""
    server = await asyncio.get_running_loop().create_server(partial(Canned, stream(chunks)), "127.0.0.1", 0)
    sys.stdout.write(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await asyncio.to_thread(sys.stdin.read)
    server.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--chunks", type=int, default=200)
    pin(SERVER_CORE)
    asyncio.run(main(parser.parse_args().chunks))
