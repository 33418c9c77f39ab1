"""The table of faults: how each was injected, what is required, what was counted, and whether it held."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """One line; `held` None means that it could not be tried here, `counted` then says why."""

    number: str
    fault: str
    injected: str
    required: str
    counted: str
    held: bool | None

    @property
    def verdict(self) -> str:
        """held, NOT HELD or not run."""
        return "not run" if self.held is None else "held" if self.held else "NOT HELD"


def render(findings: Sequence[Finding]) -> str:
    """A Markdown table."""
    head = ("", "Fault", "Injected", "Required", "Counted", "")
    lines = [head, *((f.number, f.fault, f.injected, f.required, f.counted, f.verdict) for f in findings)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    drawn = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |" for line in lines
    ]
    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return "\n".join([drawn[0], rule, *drawn[1:]]) + "\n"
