"""What is written down in a run's settings after it began."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from typing import Any

from llm_tester.evals.ledger import Ledger
from llm_tester.evals.ledger_writes import to_json
from llm_tester.evals.run_records import RunRecord


def note(ledger: Ledger, run: RunRecord, changes: Mapping[str, Any]) -> None:
    """Write changes into the run's settings; None takes an entry out."""

    def write(connection: sqlite3.Connection) -> None:
        row = connection.execute("SELECT settings FROM runs WHERE run = ?", (run.key,)).fetchone()
        settings = {**json.loads(row["settings"]), **changes}
        kept = {key: value for key, value in settings.items() if key not in changes or value is not None}
        connection.execute("UPDATE runs SET settings = ? WHERE run = ?", (to_json(kept), run.key))

    ledger.store.write(write)
