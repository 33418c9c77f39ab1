"""`python -m bench`: all rows in one run, as ratios."""

from __future__ import annotations

import argparse
import os
import platform
import sys
from collections.abc import Sequence

from bench.rig import ROOT, Figures, cpu_of, figures, interleaved, median, script, server, server_of
from bench.table import Row, ratio, render

LITELLM = ROOT / "bench" / ".venvs" / "litellm" / "bin" / "python"
CHUNKS = 200
PYDANTIC = [sys.executable, "-c", "from pydantic import BaseModel"]


def batch_rows(url: str, rounds: int, small: int, large: int) -> list[Row]:
    """A batch of two sizes, ours and the bare script's."""
    taken = interleaved(
        {
            "ours": script("ours", url, small),
            "bare": script("reference", url, small),
            "off": script("ours", url, small, "--synchronous", "OFF"),
        },
        rounds,
    )
    big = interleaved(
        {"ours": script("ours", url, large), "bare": script("reference", url, large)}, max(1, rounds // 2)
    )
    rows = []
    for count, measured in ((small, taken), (large, big)):
        ours, bare = measured["ours"], measured["bare"]
        rows += [
            Row(f"{count:,} samples: samples/s", _over(bare, ours, "seconds"), 0.6, True, note="bare script"),
            Row(f"{count:,} samples: CPU per sample", _over(ours, bare, "cpu"), 2.5, False, note="bare script"),
        ]
    peak = [median(measured["ours"], "peak_mb") for measured in (taken, big)]
    more = None if None in peak else (peak[1] - peak[0]) / (large - small) * 10_000  # type: ignore[operator]
    per_sample = ratio(median(big["ours"], "seconds"), median(taken["ours"], "seconds"))
    disk = median(big["ours"], "disk")
    return [
        *rows,
        Row(f"{large:,} samples: peak memory", peak[1], 100, False, "MB"),
        Row("memory per further 10,000 samples", more, 5, False, "MB"),
        Row("time per sample, large batch", per_sample and per_sample * small / large, 1.1, False, note="small batch"),
        Row("disk per sample", disk and disk / large / 1000, 1, False, "kB"),
        Row("samples/s at synchronous=FULL", _over(taken["off"], taken["ours"], "seconds"), 0.8, True, note="OFF"),
    ]


def call_rows(url: str, rounds: int, count: int) -> list[Row]:
    """256 concurrent calls by each client; the slow ones make fewer."""
    commands = {name: script("calls", name, url, count) for name in ("aiohttp", "ours")}
    commands["openai"] = script("calls", "openai", url, count // 4)
    if LITELLM.exists():
        commands["litellm"] = [str(LITELLM), "bench/calls.py", "litellm", url, str(count // 8)]
    taken = interleaved(commands, rounds)
    rate = {name: _rate(found) for name, found in taken.items()}
    ours = rate["ours"]
    return [
        Row("256 concurrent calls: calls/s", ratio(ours, rate["aiohttp"]), 0.5, True, note="raw aiohttp"),
        Row("256 concurrent calls: calls/s", ratio(ours, rate["openai"]), 5, True, note="openai SDK"),
        Row("256 concurrent calls: calls/s", ratio(ours, rate.get("litellm")), 7, True, note="LiteLLM"),
    ]


def start_rows(rounds: int) -> list[Row]:
    """Start-up, in CPU time."""
    run = "import sys; sys.argv = ['llm-tester', '--help']; from llm_tester.cli.main import main; main()"
    commands = {"help": [sys.executable, "-c", run], "import": [sys.executable, "-c", "import llm_tester"]}
    taken: dict[str, list[Figures]] = {name: [] for name in (*commands, "pydantic")}
    for _ in range(2 * rounds + 1):
        for name, command in {**commands, "pydantic": PYDANTIC}.items():
            taken[name].append({"cpu": cpu_of(command)})
    return [
        Row("llm-tester --help: CPU time", _over(taken["help"], taken["pydantic"], "cpu"), 2, False, note="pydantic"),
        Row(
            "import llm_tester: CPU time", _over(taken["import"], taken["pydantic"], "cpu"), 1.2, False, note="pydantic"
        ),
    ]


def small_rows(rounds: int, calls: int) -> list[Row]:
    """Discovery, the cost of a call, the bill."""
    commands = {"discovery": script("small", "discovery", 1000), "cost": script("small", "cost", 50_000)}
    if LITELLM.exists():
        commands["litellm"] = [str(LITELLM), "bench/litellm_cost.py", "2000"]
    found = interleaved(commands, rounds)
    bill = figures(script("small", "bill", calls))
    ours, theirs = (
        ratio(median(taken, "count"), median(taken, "cpu")) for taken in (found["cost"], found.get("litellm", []))
    )
    return [
        Row("1,000 provider folders discovered", median(found["discovery"], "seconds"), 1, False, "s"),
        Row("cost of a call: calls per CPU second", ratio(ours, theirs), 50, True, note="LiteLLM"),
        Row(f"the bill over {calls:,} calls", bill["query_ms"] if bill else None, 50, False, "ms"),
    ]


def stream_rows(url: str, rounds: int) -> list[Row]:
    """200 concurrent streams of a server that has nothing to do for them."""
    taken = interleaved({name: script("streams", name, url, CHUNKS) for name in ("ours", "aiohttp")}, rounds)
    rate = ratio(_rate(taken["ours"]), _rate(taken["aiohttp"]))
    return [Row(f"200 streams of {CHUNKS} chunks: chunks/s", rate, 0.6, True, note="bare SSE loop")]


def _over(over: Sequence[Figures], under: Sequence[Figures], name: str) -> float | None:
    return ratio(median(over, name), median(under, name))


def _rate(taken: Sequence[Figures]) -> float | None:
    return ratio(median(taken, "count"), median(taken, "seconds"))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="smaller batches, for a look only")
    chosen = parser.parse_args()
    small, large, calls, bill = (500, 2_000, 2_000, 100_000) if chosen.quick else (2_000, 20_000, 8_000, 1_000_000)
    sys.stdout.write(
        f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}; client on one core, server"
        f" on another; medians of {chosen.rounds} interleaved rounds; load at the start {os.getloadavg()[0]:.1f}\n\n"
    )
    rows: list[Row] = []

    def told(measured: list[Row]) -> None:
        # Each part as it is done: the whole takes minutes.
        rows.extend(measured)
        sys.stderr.write(render(measured))

    with server(0.05) as url:
        told(batch_rows(url, chosen.rounds, small, large))
    with server(0) as url:
        told(call_rows(url, chosen.rounds, calls))
    with server_of("canned", "--chunks", CHUNKS) as url:
        told(stream_rows(url, chosen.rounds))
    told(start_rows(chosen.rounds))
    told(small_rows(chosen.rounds, bill))
    sys.stdout.write(render(rows))


if __name__ == "__main__":
    main()
