"""A run that is killed at random instants and resumed, over real sockets; `make faults` does it 200 times."""

from __future__ import annotations

import secrets
from pathlib import Path

from faults.kills import kills


def test_five_kills_lose_nothing(tmp_path: Path) -> None:
    seed = secrets.randbits(32)
    found = kills(tmp_path, 5, seed)
    assert [kill.damage for kill in found] == [0] * 5, f"seed {seed}: {found}"
    assert sum(kill.alive for kill in found) >= 3
