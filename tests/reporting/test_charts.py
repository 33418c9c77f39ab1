"""The chart: who is on the front, and that nothing is drawn over or outside."""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

import pytest

from llm_tester.reporting.charts import Point, pareto, scatter, tick_text


def point(name: str, cost: float, score: float) -> Point:
    return Point(name, cost, score, max(0.0, score - 0.1), min(1.0, score + 0.1))


def test_the_front_holds_whom_nobody_beats_in_both() -> None:
    points = [point("dear", 9, 0.9), point("beaten", 5, 0.6), point("cheap", 1, 0.7), point("twin", 1, 0.7)]
    assert [found.name for found in pareto(points)] == ["cheap", "twin", "dear"]


@pytest.mark.parametrize(("highest", "log"), [(19, False), (21, True)])
def test_a_wide_spread_of_costs_gets_a_logarithmic_scale(highest: float, log: bool) -> None:
    drawn = scatter([point("a", 0.001, 0.5), point("b", 0.001 * highest, 0.6)], 960, 420)
    assert ("logarithmic" in drawn) is log


@pytest.mark.parametrize("width", [960, 358])
def test_names_lie_inside_and_not_on_one_another(width: int) -> None:
    points = [point(f"provider:model-{n}", 0.001 * (1 + n / 50), 0.6 + n / 100) for n in range(6)]
    drawn = scatter(points, width, 420)
    ET.fromstring(drawn)  # noqa: S314 - our own drawing
    labels = re.findall(r'<text x="([\d.-]+)" y="([\d.-]+)" textLength="([\d.]+)"', drawn)
    assert len(labels) == 6
    boxes = [(float(x), float(y), float(length)) for x, y, length in labels]
    assert all(x >= 0 and x + length <= width for x, _, length in boxes)
    assert all(
        abs(y - other) >= 14 or x + length <= left or left + wide <= x
        for number, (x, y, length) in enumerate(boxes)
        for left, other, wide in boxes[number + 1 :]
    )


def test_a_name_is_escaped_and_a_cost_of_nothing_is_drawn() -> None:
    drawn = scatter([point("<b>&", 0.0, 1.0)], 358, 380)
    assert "&lt;b&gt;&amp;" in drawn
    assert "<b>" not in drawn


@pytest.mark.parametrize(("cost", "text"), [(0, "$0"), (0.00005, "$0.00005"), (0.0025, "$0.0025"), (20.0, "$20")])
def test_costs_at_the_axis(cost: float, text: str) -> None:
    assert tick_text(cost) == text
