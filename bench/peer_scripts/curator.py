"""The batch with curator, in its own environment: 100 connections, its own responses file kept, exact match."""

from __future__ import annotations

import importlib.util
import json
import os
import sys
import tempfile
import time
from pathlib import Path

# This folder holds files of packages' names.
sys.path = [entry for entry in sys.path if not entry.endswith("peer_scripts")]
os.sched_setaffinity(0, {sorted(os.sched_getaffinity(0))[0]})
FOLDER = tempfile.TemporaryDirectory()
os.environ |= {"CURATOR_CACHE_DIR": FOLDER.name, "CURATOR_DISABLE_RICH_DISPLAY": "1", "OPENAI_API_KEY": "none"}
# It counts tokens with a vocabulary that it would fetch; LiteLLM, which it brings, has that file with it.
litellm = Path(importlib.util.find_spec("litellm").origin).parent
os.environ["TIKTOKEN_CACHE_DIR"] = str(litellm / "litellm_core_utils" / "tokenizers")

from bespokelabs import curator  # noqa: E402
from datasets import Dataset  # noqa: E402


class Ask(curator.LLM):
    """One question, and whether its answer is right."""

    def prompt(self, row: dict) -> str:
        """The prompt."""
        return row["input"]

    def parse(self, row: dict, response: str) -> dict:
        """The row with its score."""
        return {"input": row["input"], "answer": response, "score": float(response == "ok")}


def main(url: str, count: int) -> None:
    """One run."""
    rows = Dataset.from_list([{"input": f"Say ok, number {n}."} for n in range(count)])
    limits = {"max_requests_per_minute": 10**7, "max_tokens_per_minute": 10**9, "max_concurrent_requests": 100}
    model = Ask(
        model_name="loopback",
        backend="openai",
        generation_params={"max_tokens": 5},
        backend_params={"base_url": f"{url}/v1", **limits},
    )
    begun = time.perf_counter()
    found = model(rows).dataset
    seconds = time.perf_counter() - begun
    if sum(found["score"]) != count:
        sys.exit("a wrong score")
    sys.stdout.write("\n" + json.dumps({"count": count, "seconds": seconds}) + "\n")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
