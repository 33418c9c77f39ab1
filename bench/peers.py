"""The same batch with other tools, each in an environment of its own: `python -m bench.peers inspect_ai deepeval`."""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from bench.rig import ROOT, figures, median, script, server
from bench.table import Row, ratio, render

VENVS = ROOT / "bench" / ".venvs"
PINNED = {
    "inspect_ai": ["inspect_ai==0.3.285", "openai==3.52.0"],
    "deepeval": ["deepeval==4.3.1", "openai==3.52.0"],
    "litellm": ["litellm==1.106.2"],
}
TARGETS = {"inspect_ai": 20.0, "deepeval": 5.0, "deepeval_uncached": 5.0}


def python_of(peer: str) -> Path | None:
    """The Python of a peer's environment, made where it is missing; None where it cannot be installed."""
    python = VENVS / peer / "bin" / "python"
    done = VENVS / peer / ".installed"
    if done.exists() and done.read_text() == " ".join(PINNED[peer]):
        return python
    install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *PINNED[peer]]
    try:
        subprocess.run([sys.executable, "-m", "venv", str(VENVS / peer)], check=True, timeout=120)
        subprocess.run(install, check=True, timeout=900)
    except (OSError, subprocess.SubprocessError) as error:
        sys.stderr.write(f"{peer}: {error}\n")
        return None
    done.write_text(" ".join(PINNED[peer]))
    return python


def peer_row(peer: str, url: str, rounds: int, count: int) -> Row:
    """Samples per second of ours over the peer's, from the first sample to the last score, imports left out of both."""
    what, target = f"{count:,} samples: samples/s", TARGETS.get(peer, 1.0)
    name, off, _ = peer.partition("_uncached")
    program = ROOT / "bench" / "peer_scripts" / f"{name}.py"
    python = python_of(name) if name in PINNED and program.exists() else None
    if python is None:
        return Row(what, None, target, True, note=f"{peer}, which could not be installed")
    ours, theirs = [], []
    for _ in range(rounds):
        ours.append(figures(script("ours", url, count)))
        theirs.append(figures([str(python), str(program), url, str(count), *([off] if off else [])], timeout=1200))
    mine, other = (median([one for one in taken if one], "seconds") for taken in (ours, theirs))
    return Row(what, ratio(other, mine), target, True, note=" ".join(PINNED[name]) + (", its cache off" if off else ""))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.peers", description=__doc__)
    parser.add_argument("peers", nargs="*", default=["inspect_ai", "deepeval"])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--count", type=int, default=2_000)
    chosen = parser.parse_args()
    if "litellm" in chosen.peers:
        # Measured by `python -m bench`, which finds its environment.
        python_of("litellm")
    with server(0.05) as url:
        rows = [peer_row(peer, url, chosen.rounds, chosen.count) for peer in chosen.peers if peer != "litellm"]
    sys.stdout.write(render(rows))


if __name__ == "__main__":
    main()
