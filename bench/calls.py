"""Many concurrent calls, by one client: raw aiohttp, LLM Tester's ProviderManager, the openai SDK, or LiteLLM."""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench.cores import CLIENT_CORE, pin
from bench.gauge import Gauge

CONCURRENT = 256
Ask = Callable[[], Awaitable[str]]
MESSAGES: list[Any] = [{"role": "user", "content": "Say ok."}]


async def with_aiohttp(url: str, stack: AsyncExitStack) -> Ask:
    """No more than a POST and json.loads."""
    import aiohttp

    session = await stack.enter_async_context(aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=CONCURRENT)))

    async def ask() -> str:
        body = {"model": "loopback", "messages": MESSAGES, "max_tokens": 5}
        async with session.post(f"{url}/v1/chat/completions", json=body) as reply:
            found: str = json.loads(await reply.read())["choices"][0]["message"]["content"]
            return found

    return ask


async def with_ours(url: str, stack: AsyncExitStack) -> Ask:
    """Slots, retries, usage and cost included."""
    from bench.workspace import fill
    from llm_tester.config import Workspace
    from llm_tester.llms.llm_registry import ProviderRegistry
    from llm_tester.llms.provider_manager import ProviderManager
    from llm_tester.records import Message, Request

    root = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    fill(root, url, 1, connections=CONCURRENT)
    manager = ProviderManager(registry=ProviderRegistry(Workspace.open(root)))
    request = Request("loop", "loopback", (Message("user", "Say ok."),), {"max_tokens": 5})

    async def ask() -> str:
        return (await manager.arespond(request)).text

    return ask


async def with_openai(url: str, stack: AsyncExitStack) -> Ask:
    """The official client."""
    import openai

    client = openai.AsyncOpenAI(api_key="none", base_url=f"{url}/v1", max_retries=2)
    stack.push_async_callback(client.close)

    async def ask() -> str:
        reply = await client.chat.completions.create(model="loopback", messages=MESSAGES, max_tokens=5)
        return reply.choices[0].message.content or ""

    return ask


async def with_litellm(url: str, _: AsyncExitStack) -> Ask:
    """LiteLLM's acompletion."""
    import litellm  # type: ignore[import-not-found, unused-ignore]

    async def ask() -> str:
        reply = await litellm.acompletion(
            model="openai/loopback", messages=MESSAGES, max_tokens=5, api_base=f"{url}/v1", api_key="none"
        )
        found: str = reply.choices[0].message.content
        return found

    return ask


CLIENTS = {"aiohttp": with_aiohttp, "ours": with_ours, "openai": with_openai, "litellm": with_litellm}


async def measure(client: str, url: str, count: int) -> Gauge:
    """So many calls after one round that opens the connections."""
    async with AsyncExitStack() as stack:
        ask = await CLIENTS[client](url, stack)
        await asyncio.gather(*[ask() for _ in range(CONCURRENT)])
        left = iter(range(count))

        async def worker() -> None:
            for _ in left:
                if await ask() != "ok":
                    sys.exit("a wrong answer")

        with Gauge() as gauge:
            await asyncio.gather(*[worker() for _ in range(CONCURRENT)])
        gauge.extra["count"] = count
        return gauge


if __name__ == "__main__":
    pin(CLIENT_CORE)
    asyncio.run(measure(sys.argv[1], sys.argv[2], int(sys.argv[3]))).tell()
