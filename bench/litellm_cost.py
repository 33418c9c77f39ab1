"""LiteLLM's cost of a call, so many times; runs in LiteLLM's own environment."""

from __future__ import annotations

import sys
from pathlib import Path

import litellm

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench.cores import CLIENT_CORE, pin
from bench.gauge import Gauge


def main(count: int) -> None:
    """Measure."""
    usage = litellm.Usage(prompt_tokens=1000, completion_tokens=500, total_tokens=1500)
    answer = litellm.ModelResponse(model="gpt-4o-mini", usage=usage)
    litellm.completion_cost(completion_response=answer)
    with Gauge() as gauge:
        for _ in range(count):
            litellm.completion_cost(completion_response=answer)
    gauge.extra["count"] = count
    gauge.tell()


if __name__ == "__main__":
    pin(CLIENT_CORE)
    main(int(sys.argv[1]))
