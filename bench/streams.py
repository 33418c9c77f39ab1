"""Many concurrent streams, by a bare aiohttp and json loop or by LLM Tester's ProviderManager."""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp

from bench.cores import CLIENT_CORE, pin
from bench.gauge import Gauge
from bench.workspace import fill
from llm_tester.config import Workspace
from llm_tester.llms.llm_registry import ProviderRegistry
from llm_tester.llms.provider_manager import ProviderManager
from llm_tester.records import Message, Request

STREAMS = 200
Read = Callable[[], Awaitable[int]]
"""Reads one stream to its end; how many pieces of text it had."""


async def with_aiohttp(url: str, stack: AsyncExitStack) -> Read:
    """Lines, json.loads, and the text."""
    session = await stack.enter_async_context(aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=STREAMS)))
    body = {"model": "loopback", "messages": [{"role": "user", "content": "Go on."}], "stream": True}

    async def read() -> int:
        texts = []
        async with session.post(f"{url}/v1/chat/completions", json=body) as reply:
            async for line in reply.content:
                if line.startswith(b"data: {"):
                    choices = json.loads(line[6:])["choices"]
                    text = choices[0]["delta"].get("content") if choices else None
                    if text:
                        texts.append(text)
        return len(texts)

    return read


async def with_ours(url: str, stack: AsyncExitStack) -> Read:
    """Slots, checks, usage and cost included."""
    root = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    fill(root, url, 1, connections=STREAMS)
    manager = ProviderManager(registry=ProviderRegistry(Workspace.open(root)))
    request = Request("loop", "loopback", (Message("user", "Go on."),))

    async def read() -> int:
        stream = manager.astream(request)
        pieces = [piece async for piece in stream]
        if stream.response.usage.total_tokens is None or stream.response.cost.usd is None:
            sys.exit("a stream without usage or cost")
        return len(pieces)

    return read


CLIENTS = {"aiohttp": with_aiohttp, "ours": with_ours}


async def measure(client: str, url: str, chunks: int) -> Gauge:
    """All streams at once, after one round that opens the connections."""
    async with AsyncExitStack() as stack:
        read = await CLIENTS[client](url, stack)
        await asyncio.gather(*[read() for _ in range(STREAMS)])
        with Gauge() as gauge:
            found = await asyncio.gather(*[read() for _ in range(STREAMS)])
        if set(found) != {chunks}:
            sys.exit(f"not {chunks} pieces in each stream: {sorted(set(found))}")
        gauge.extra["count"] = STREAMS * chunks
        return gauge


if __name__ == "__main__":
    pin(CLIENT_CORE)
    asyncio.run(measure(sys.argv[1], sys.argv[2], int(sys.argv[3]))).tell()
