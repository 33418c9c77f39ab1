"""Pairing list items: optimal, in any order and in the given order."""

from __future__ import annotations

from itertools import combinations, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment  # type: ignore[import-untyped]

from llm_tester.evals.scorers.matching import Pairs, align, assign

Matrix = list[list[float]]


@st.composite
def matrices(draw: st.DrawFn, most: int = 8) -> Matrix:
    rows, columns = draw(st.integers(1, most)), draw(st.integers(1, most))
    # Few different values make many ties.
    value = st.sampled_from([0.0, 0.25, 1 / 3, 0.5, 1.0]) | st.floats(0, 1)
    return draw(st.lists(st.lists(value, min_size=columns, max_size=columns), min_size=rows, max_size=rows))


def total(matrix: Matrix, pairs: Pairs) -> float:
    return sum(matrix[row][column] for row, column in pairs)


@settings(deadline=None)
@given(matrices())
def test_assignment_is_as_good_as_scipys(matrix: Matrix) -> None:
    pairs = assign(matrix)
    rows, columns = linear_sum_assignment(matrix, maximize=True)
    assert total(matrix, pairs) == pytest.approx(sum(matrix[r][c] for r, c in zip(rows, columns, strict=True)))
    assert len(pairs) == min(len(matrix), len(matrix[0]))
    assert len({row for row, _ in pairs}) == len({column for _, column in pairs}) == len(pairs)


@settings(deadline=None)
@given(matrices(most=5))
def test_alignment_is_as_good_as_trying_all(matrix: Matrix) -> None:
    pairs = align(matrix)
    rows, columns = range(len(matrix)), range(len(matrix[0]))
    best = max(
        sum(matrix[r][c] for r, c in zip(chosen, others, strict=True))
        for size in range(min(len(rows), len(columns)) + 1)
        for chosen in combinations(rows, size)
        for others in combinations(columns, size)
    )
    assert total(matrix, pairs) == pytest.approx(best)
    assert all(one[0] < two[0] and one[1] < two[1] for one, two in pairwise(pairs))


@settings(deadline=None)
@given(matrices())
def test_keeping_the_order_is_never_better(matrix: Matrix) -> None:
    assert total(matrix, align(matrix)) <= total(matrix, assign(matrix)) + 1e-9


def test_the_greedy_choice_is_not_taken_when_it_costs_more() -> None:
    assert assign([[0.9, 0.8], [0.8, 0.0]]) == [(0, 1), (1, 0)]


@pytest.mark.parametrize("matrix", [[], [[]], [[], []]])
def test_nothing_pairs_with_nothing(matrix: Matrix) -> None:
    assert assign(matrix) == []
    assert align(matrix) == []


def test_many_columns_are_matched() -> None:
    matrix = [[(row * 7 + column * 13) % 101 / 101 for column in range(20_000)] for row in range(5)]
    assert total(matrix, assign(matrix)) == pytest.approx(5 * 100 / 101)
