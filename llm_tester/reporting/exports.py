"""A run for programs and spreadsheets, streamed: one row is in memory at a time."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Mapping
from typing import Any, TextIO

from llm_tester.evals.results import Result
from llm_tester.records import TOKEN_CLASSES
from llm_tester.reporting.report import Report
from llm_tester.reporting.text import csv_cell

TEXT_COLUMNS = ("sample_id", "entrant", "model", "task", "outcome", "answer", "expected", "error", "note")
COLUMNS = (
    *("sample_id", "entrant", "model", "task", "epoch", "outcome", "score"),
    *(f"tokens_{name}" for name in TOKEN_CLASSES),
    *("cost_usd", "latency_ms", "attempts", "answer", "expected", "error", "note"),
)


def write_json(report: Report, rows: Iterable[Result], out: TextIO) -> None:
    """One object: what `run --json` prints, "tasks" with fields and hardest samples, and "results" with a row per
    sample and entrant."""
    head = json.dumps(report.to_json() | {"tasks": report.details()}, ensure_ascii=False, indent=2)
    out.write(f'{head.removesuffix("}").rstrip()},\n  "results": [')
    separator = "\n    "
    for row in rows:
        out.write(separator + json.dumps(row.to_json(), ensure_ascii=False))
        separator = ",\n    "
    out.write("\n  ]\n}\n")


def write_csv(rows: Iterable[Result], out: TextIO) -> None:
    """A row per sample and entrant; text that a spreadsheet could take for a formula gets a leading quote."""
    writer = csv.DictWriter(out, COLUMNS, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow(_flat(row.to_json()))


def _flat(row: Mapping[str, Any]) -> dict[str, Any]:
    flat = dict(row) | {f"tokens_{name}": row["usage"].get(name) for name in TOKEN_CLASSES}
    expected = row["expected"]
    flat["expected"] = expected if isinstance(expected, str) else json.dumps(expected, ensure_ascii=False)
    for name in TEXT_COLUMNS:
        flat[name] = csv_cell(str(flat.get(name) or ""))
    return flat
