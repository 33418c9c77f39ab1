"""Score against cost as an SVG, drawn with nothing but text."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from llm_tester.reporting.text import one_line

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#000000", "#E69F00", "#56B4E9")
"""Okabe and Ito's colours, which the colour-blind can tell apart; each entrant has a shape of its own too."""
SHAPES = ("circle", "square", "triangle", "diamond", "down", "cross")
LOG_FROM = 20
CHARACTER, LINE = 7.2, 15
TOP, BOTTOM, LEFT, RIGHT = 14, 50, 50, 16


@dataclass(frozen=True, slots=True)
class Point:
    """One entrant: its mean cost of a sample in USD, its score, and the score's interval."""

    name: str
    cost: float
    score: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle on the drawing."""

    x: float
    y: float
    width: float
    height: float

    def meets(self, other: Box) -> bool:
        """Whether they overlap."""
        apart = self.x + self.width <= other.x or other.x + other.width <= self.x
        return not (apart or self.y + self.height <= other.y or other.y + other.height <= self.y)


@dataclass(frozen=True, slots=True)
class Frame:
    """The drawing's size and the costs and scores that its edges stand for."""

    width: int
    height: int
    low: float
    high: float
    floor: float
    log: bool

    def x(self, cost: float) -> float:
        """Where a cost lies."""
        low, high, here = (
            (math.log10(v) for v in (self.low, self.high, cost)) if self.log else (self.low, self.high, cost)
        )
        return LEFT + (here - low) / (high - low) * (self.width - LEFT - RIGHT)

    def y(self, score: float) -> float:
        """Where a score lies."""
        return TOP + (1 - score) / (1 - self.floor) * (self.height - TOP - BOTTOM)


def pareto(points: Sequence[Point]) -> list[Point]:
    """The points that no other beats in cost or score without losing in the other, the cheapest first."""
    front: list[Point] = []
    for point in sorted(points, key=lambda p: (p.cost, -p.score)):
        if not front or point.score > front[-1].score or (point.cost, point.score) == (front[-1].cost, front[-1].score):
            front.append(point)
    return front


def scatter(points: Sequence[Point], width: int, height: int) -> str:
    """The chart as SVG; costs are on a logarithmic scale where they spread over more than a factor of 20."""
    frame = _frame(points, width, height)
    parts = [*_axes(frame), *_front(frame, pareto(points))]
    marks = [_mark_box(frame, point) for point in points]
    taken = list(marks)
    for number, point in enumerate(points):
        colour = COLOURS[number % len(COLOURS)]
        x, y = frame.x(point.cost), frame.y(point.score)
        parts += _whisker(frame, point, colour)
        parts.append(_shape(SHAPES[number % len(SHAPES)], x, y, colour))
    for number, point in enumerate(points):
        parts.append(_label(frame, point, COLOURS[number % len(COLOURS)], taken))
    head = (
        f'<svg viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img" '
        'aria-label="Score against cost per sample" font-family="inherit" font-size="13">'
    )
    return f"{head}{''.join(parts)}</svg>"


def _frame(points: Sequence[Point], width: int, height: int) -> Frame:
    costs = [point.cost for point in points]
    low, high = min(costs), max(costs)
    log = low > 0 and high / low > LOG_FROM
    if log:
        low, high = low / 1.6, high * 1.6
    else:
        low, high = 0.0, (high or 1.0) * 1.12
    lowest = min(point.low for point in points)
    return Frame(width, height, low, high, max(0.0, math.floor(lowest * 10 - 0.5) / 10), log)


def _axes(frame: Frame) -> list[str]:
    bottom, right = frame.height - BOTTOM, frame.width - RIGHT
    parts = []
    step = 0.1 if frame.floor > 0.45 else 0.2
    score = 1.0
    while score >= frame.floor - 1e-9:
        y = frame.y(score)
        parts.append(f'<line x1="{LEFT}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}" stroke="#e3e3e3"/>')
        parts.append(_text(LEFT - 8, y + 4, f"{score:.1f}", "end"))
        score -= step
    for cost in _ticks(frame):
        x = frame.x(cost)
        parts.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{bottom}" stroke="#f0f0f0"/>')
        # Centred under the last line, a long label would be cut off at the edge.
        parts.append(_text(x, bottom + 18, tick_text(cost), "end" if x > right - RIGHT else "middle"))
    parts.append(f'<line x1="{LEFT}" x2="{right}" y1="{bottom}" y2="{bottom}" stroke="#444"/>')
    scale = ", logarithmic" if frame.log else ""
    parts.append(_text((LEFT + right) / 2, frame.height - 10, f"Cost per sample, USD{scale}", "middle"))
    middle = (TOP + bottom) / 2
    parts.append(
        f'<text x="14" y="{middle:.1f}" transform="rotate(-90 14 {middle:.1f})" text-anchor="middle" '
        'fill="#222">Score</text>'
    )
    return parts


def _ticks(frame: Frame) -> list[float]:
    wanted = max(2, frame.width // 140)
    if frame.log:
        first, last = math.floor(math.log10(frame.low)), math.ceil(math.log10(frame.high))
        found = [m * 10.0**power for power in range(first, last + 1) for m in (1, 2, 5)]
        found = [cost for cost in found if frame.low <= cost <= frame.high]
        decades = [cost for cost in found if round(math.log10(cost), 9).is_integer()]
        return decades if len(found) > wanted + 2 and len(decades) > 1 else found
    rough = frame.high / wanted
    size = 10.0 ** math.floor(math.log10(rough))
    step = next(size * factor for factor in (1, 2, 5, 10) if size * factor >= rough)
    return [step * number for number in range(int(frame.high / step) + 1)]


def tick_text(cost: float) -> str:
    """A cost at an axis."""
    if cost == 0:
        return "$0"
    digits = max(0, 1 - math.floor(math.log10(cost)))
    return f"${cost:.{digits}f}".rstrip("0").rstrip(".") if digits else f"${cost:,.0f}"


def _front(frame: Frame, front: Sequence[Point]) -> list[str]:
    if len(front) < 2:
        return []
    path = f"M{frame.x(front[0].cost):.1f} {frame.y(front[0].score):.1f}"
    for point in front[1:]:
        path += f"H{frame.x(point.cost):.1f}V{frame.y(point.score):.1f}"
    return [f'<path d="{path}" fill="none" stroke="#777" stroke-width="1.5" stroke-dasharray="5 4"/>']


def _whisker(frame: Frame, point: Point, colour: str) -> list[str]:
    x, low, high = frame.x(point.cost), frame.y(point.low), frame.y(point.high)
    line = f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{low:.1f}" y2="{high:.1f}" stroke="{colour}" stroke-width="1.5"/>'
    caps = [
        f'<line x1="{x - 4:.1f}" x2="{x + 4:.1f}" y1="{y:.1f}" y2="{y:.1f}" stroke="{colour}" stroke-width="1.5"/>'
        for y in (low, high)
    ]
    return [line, *caps]


def _shape(shape: str, x: float, y: float, colour: str) -> str:
    paths = {
        "square": "M-6-6H6V6H-6Z",
        "triangle": "M0-7.5L7 6H-7Z",
        "diamond": "M0-8L8 0L0 8L-8 0Z",
        "down": "M0 7.5L7-6H-7Z",
        "cross": "M-7-3H-3V-7H3V-3H7V3H3V7H-3V3H-7Z",
    }
    look = f'fill="{colour}" stroke="#fff" stroke-width="1"'
    if shape == "circle":
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="6.5" {look}/>'
    return f'<path transform="translate({x:.1f} {y:.1f})" d="{paths[shape]}" {look}/>'


def _mark_box(frame: Frame, point: Point) -> Box:
    return Box(frame.x(point.cost) - 8, frame.y(point.score) - 8, 16, 16)


def _label(frame: Frame, point: Point, colour: str, taken: list[Box]) -> str:
    """The name beside its mark, at the first place where it covers nothing."""
    text = one_line(point.name, max(12, int(frame.width / 2 / CHARACTER)))
    x, y, width = frame.x(point.cost), frame.y(point.score), len(text) * CHARACTER
    sides = [side for step in range(10) for side in _places(x, y, width, step * LINE)]
    inside = [box for box in sides if _fits(frame, box)]
    place = next((box for box in inside if not any(map(box.meets, taken))), inside[0] if inside else sides[0])
    taken.append(place)
    middle = place.y + LINE / 2
    leader = ""
    if abs(middle - y) > 2 * LINE:
        anchor = place.x if place.x > x else place.x + width
        leader = f'<line x1="{x:.1f}" y1="{y:.1f}" x2="{anchor:.1f}" y2="{middle:.1f}" stroke="{colour}" opacity=".5"/>'
    halo = 'paint-order="stroke" stroke="#fff" stroke-width="4"'
    return (
        f'{leader}<text x="{place.x:.1f}" y="{place.y + 12:.1f}" textLength="{width:.1f}" '
        f'lengthAdjust="spacingAndGlyphs" {halo} fill="#111">{escape(text)}</text>'
    )


def _places(x: float, y: float, width: float, away: float) -> list[Box]:
    rows = [y - LINE / 2 + away, y - LINE / 2 - away] if away else [y - LINE / 2]
    return [Box(left, row, width, LINE) for row in rows for left in (x + 12, x - 12 - width)]


def _fits(frame: Frame, box: Box) -> bool:
    across = box.x >= LEFT and box.x + box.width <= frame.width - 2
    return across and box.y >= 0 and box.y + LINE <= frame.height - BOTTOM


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="#222">{escape(text)}</text>'
