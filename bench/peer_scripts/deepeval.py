"""The batch with deepeval, in its own environment: answers by its OpenAI-shaped custom model, exact match."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
import time

# This folder holds a file of the package's name.
sys.path = [entry for entry in sys.path if not entry.endswith("peer_scripts")]
os.sched_setaffinity(0, {sorted(os.sched_getaffinity(0))[0]})

import openai  # noqa: E402
from deepeval import evaluate  # noqa: E402
from deepeval.evaluate import AsyncConfig, CacheConfig, DisplayConfig  # noqa: E402
from deepeval.metrics import ExactMatchMetric  # noqa: E402
from deepeval.test_case import LLMTestCase  # noqa: E402


async def answers(url: str, count: int) -> list[str]:
    """deepeval scores answers that the user's code brings: here the official client's."""
    slots = asyncio.Semaphore(100)

    async with openai.AsyncOpenAI(api_key="none", base_url=f"{url}/v1") as client:

        async def ask(number: int) -> str:
            turns = [{"role": "user", "content": f"Say ok, number {number}."}]
            async with slots:
                reply = await client.chat.completions.create(model="loopback", messages=turns, max_tokens=5)
            return reply.choices[0].message.content

        return await asyncio.gather(*[ask(number) for number in range(count)])


def main(url: str, count: int, *, cached: bool) -> None:
    """One run; its cache of results, which is on where nobody says otherwise, is written anew for every case."""
    os.chdir(tempfile.mkdtemp())
    begun = time.perf_counter()
    texts = asyncio.run(answers(url, count))
    cases = [
        LLMTestCase(input=f"Say ok, number {n}.", actual_output=text, expected_output="ok")
        for n, text in enumerate(texts)
    ]
    found = evaluate(
        cases,
        [ExactMatchMetric()],
        cache_config=CacheConfig(write_cache=cached),
        async_config=AsyncConfig(max_concurrent=100),
        display_config=DisplayConfig(show_indicator=False, print_results=False),
    )
    if not all(result.success for result in found.test_results):
        sys.exit("a wrong score")
    sys.stdout.write("\n" + json.dumps({"count": count, "seconds": time.perf_counter() - begun}) + "\n")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), cached="_uncached" not in sys.argv)
