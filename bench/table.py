"""The table: what was compared, the ratio, the target, and whether it held."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Row:
    """One line; `value` None means that it was not measured, `note` says why or against what."""

    what: str
    value: float | None
    target: float
    at_least: bool
    unit: str = "x"
    note: str = ""

    @property
    def verdict(self) -> str:
        """held, not held, or not measured."""
        if self.value is None:
            return "not measured"
        held = self.value >= self.target if self.at_least else self.value <= self.target
        return "held" if held else "NOT HELD"

    def cells(self) -> tuple[str, ...]:
        """The line as it is printed."""
        value = "-" if self.value is None else f"{self.value:.3g} {self.unit}"
        return (
            self.what,
            value,
            f"{'>=' if self.at_least else '<='} {self.target:g} {self.unit}",
            self.verdict,
            self.note,
        )


def ratio(over: float | None, under: float | None) -> float | None:
    """over / under, None where either was not measured."""
    return over / under if over is not None and under else None


def render(rows: list[Row]) -> str:
    """A Markdown table."""
    head = ("What", "Measured", "Target", "", "Against")
    lines = [head, *(row.cells() for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    drawn = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |" for line in lines
    ]
    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return "\n".join([drawn[0], rule, *drawn[1:]]) + "\n"
