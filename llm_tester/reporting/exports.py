"""A run for programs and spreadsheets, streamed: one row is in memory at a time."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any, TextIO

from llm_tester.cost_manager import usd_text
from llm_tester.evals.evidence import Evidence
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
EVIDENCE_COLUMNS = (
    *("run", "project", "task", "task_hash", "sample_id", "sample_hash", "epoch", "entrant", "provider", "model"),
    *("served_model", "simulated", "prompt", "parameters", "target", "answer", "finish_reason", "outcome", "score"),
    *("fields", "violations", "note"),
    *(f"tokens_{name}" for name in TOKEN_CLASSES),
    *(
        "billed",
        "cost_usd",
        "cost_known",
        "retried_usd",
        "earlier_usd",
        "unknown_calls",
        "price_source",
        "priced_on",
        "rates",
    ),
    *("latency_ms", "attempts", "error", "not_applied", "sent_at", "call_id"),
)
# Within JSON text these stand in strings only; a terminal obeys some of them, and some readers end a line at others.
_UNSEEN = re.compile(r"[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


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


def write_evidence_jsonl(rows: Iterable[Evidence], out: TextIO) -> None:
    """An object per line; control characters are escaped, so that nothing is lost and no terminal obeys them."""
    for row in rows:
        text = json.dumps(row.to_json(), ensure_ascii=False)
        out.write(_UNSEEN.sub(lambda found: f"\\u{ord(found[0]):04x}", text) + "\n")


def write_evidence_csv(rows: Iterable[Evidence], out: TextIO) -> None:
    """A row per sample, entrant and epoch without its prompt; numbers are plain, objects JSON, texts no formulas."""
    writer = csv.DictWriter(out, EVIDENCE_COLUMNS, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    for row in rows:
        found = row.to_json()
        flat = found | {f"tokens_{name}": found["usage"].get(name) for name in TOKEN_CLASSES}
        writer.writerow({name: _cell(flat[name]) for name in EVIDENCE_COLUMNS})


def _cell(value: Any) -> str | int:
    """A value for a cell: numbers as plain decimals, nothing for none, all else as text that is no formula."""
    if value is None or value in ([], {}):
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return usd_text(Decimal(repr(value)))
    if isinstance(value, int):
        return value
    return csv_cell(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
