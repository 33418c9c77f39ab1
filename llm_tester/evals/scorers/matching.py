"""Pairing the items of two lists so that the pairs are as alike as can be."""

from __future__ import annotations

import heapq
from collections.abc import Sequence

Similarities = Sequence[Sequence[float]]
"""A row for each item of one list, in it a number of at least 0 for each item of the other."""

Pairs = list[tuple[int, int]]
"""Row and column of each pair, by row."""


def assign(similarities: Similarities) -> Pairs:
    """The pairing in any order with the greatest sum: every item of the shorter list gets one of the longer."""
    if not similarities or not similarities[0]:
        return []
    if len(similarities) > len(similarities[0]):
        transposed = list(zip(*similarities, strict=True))
        return sorted((row, column) for column, row in assign(transposed))
    best = [max(range(len(row)), key=row.__getitem__) for row in similarities]
    if len(set(best)) == len(best):
        return list(enumerate(best))
    columns = _useful_columns(similarities)
    narrowed = [[row[column] for column in columns] for row in similarities]
    return [(row, columns[column]) for row, column in enumerate(_hungarian(narrowed))]


def align(similarities: Similarities) -> Pairs:
    """The pairing with the greatest sum in which no two pairs cross; only pairs above 0 are made."""
    if not similarities:
        return []
    width = len(similarities[0])
    sums = [[0.0] * (width + 1)]
    for row in similarities:
        above, current = sums[-1], [0.0]
        for column, similarity in enumerate(row):
            current.append(max(above[column + 1], current[column], above[column] + similarity))
        sums.append(current)
    return _traced(sums, width)


def _traced(sums: list[list[float]], width: int) -> Pairs:
    pairs: Pairs = []
    row, column = len(sums) - 1, width
    while row and column:
        if sums[row][column] == sums[row - 1][column]:
            row -= 1
        elif sums[row][column] == sums[row][column - 1]:
            column -= 1
        else:
            row, column = row - 1, column - 1
            pairs.append((row, column))
    return pairs[::-1]


def _useful_columns(similarities: Similarities) -> list[int]:
    """The columns of each row's best n, n being the number of rows: the others can take n - 1 of them at most."""
    count, width = len(similarities), len(similarities[0])
    if width <= count:
        return list(range(width))
    useful: set[int] = set()
    for row in similarities:
        useful.update(heapq.nlargest(count, range(width), key=row.__getitem__))
    return sorted(useful)


def _hungarian(similarities: Similarities) -> list[int]:
    """The column of each row in the assignment of the greatest sum; there are at least as many columns as rows.

    Rows enter one by one, each by the cheapest augmenting path under potentials (Jonker and Volgenant's form).
    """
    width = len(similarities[0])
    row_potential = [0.0] * len(similarities)
    column_potential = [0.0] * width
    owner = [-1] * width
    for entering in range(len(similarities)):
        _augment(similarities, entering, row_potential, column_potential, owner)
    columns = [-1] * len(similarities)
    for column, row in enumerate(owner):
        if row >= 0:
            columns[row] = column
    return columns


def _augment(
    similarities: Similarities,
    entering: int,
    row_potential: list[float],
    column_potential: list[float],
    owner: list[int],
) -> None:
    width = len(owner)
    distance = [float("inf")] * width
    came_from = [-1] * width
    reached: list[int] = []
    waiting = set(range(width))
    row, column = entering, -1
    while True:
        base = (distance[column] if column >= 0 else 0.0) - row_potential[row]
        for other in waiting:
            step = base - similarities[row][other] - column_potential[other]
            if step < distance[other]:
                distance[other], came_from[other] = step, column
        column = min(waiting, key=distance.__getitem__)
        waiting.remove(column)
        if owner[column] < 0:
            break
        reached.append(column)
        row = owner[column]
    _shift_potentials(entering, distance[column], distance, reached, row_potential, column_potential, owner)
    while column >= 0:
        previous = came_from[column]
        owner[column] = owner[previous] if previous >= 0 else entering
        column = previous


def _shift_potentials(
    entering: int,
    length: float,
    distance: list[float],
    reached: list[int],
    row_potential: list[float],
    column_potential: list[float],
    owner: list[int],
) -> None:
    row_potential[entering] += length
    for column in reached:
        row_potential[owner[column]] += length - distance[column]
        column_potential[column] -= length - distance[column]
