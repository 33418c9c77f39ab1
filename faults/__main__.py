"""`python -m faults`: every row, or those of `--only`, in a table; exit code 1 when one is not held."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from faults import answers, limits, network, process
from faults.table import render

KILLS = 200


def main() -> int:
    """Run the rows and print them."""
    parser = argparse.ArgumentParser(prog="python -m faults", description=__doc__)
    parser.add_argument("--only", nargs="*", default=(), metavar="ROW", help="rows or groups, such as N X2")
    parser.add_argument("--kills", type=int, default=KILLS, help=f"how often X2 kills, {KILLS} where not given")
    given = parser.parse_args()
    chosen, rows = given.only, {**network.ROWS, **answers.ROWS, **limits.ROWS, **process.rows(given.kills)}
    findings = []
    for number, row in rows.items():
        if chosen and not (number in chosen or number.rstrip("0123456789") in chosen):
            continue
        with tempfile.TemporaryDirectory(prefix=f"fault-{number}-") as folder:
            finding = row(Path(folder) / "room")
        findings.append(finding)
        sys.stderr.write(f"{finding.number} {finding.verdict}: {finding.counted}\n")
    sys.stdout.write(render(findings))
    return 1 if any(finding.held is False for finding in findings) else 0


if __name__ == "__main__":
    sys.exit(main())
