"""Intervals of means over epochs: samples are independent, epochs of one sample are not."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_tester.evals.stats import clustered, interval

REPEATS = 500
SCORES = st.lists(st.floats(0, 1), min_size=1, max_size=30)


@given(SCORES)
def test_one_epoch_has_the_plain_interval(scores: list[float]) -> None:
    found = clustered([[score] for score in scores])
    assert found is not None
    assert found[1:] == interval(scores)


@given(SCORES, st.integers(1, 4))
def test_asking_again_without_variation_narrows_nothing(scores: list[float], epochs: int) -> None:
    assert clustered([[score] * epochs for score in scores]) == pytest.approx(clustered([[one] for one in scores]))


def coverage(n: int, epochs: int, a: float, b: float) -> float:
    """How often the interval holds the truth when each sample has a Beta(a, b) chance of its own."""
    random = np.random.default_rng(n * 100 + epochs)
    held = 0
    for _ in range(REPEATS):
        chances = random.beta(a, b, n)
        _, low, high = clustered((random.random((n, epochs)) < chances[:, None]).astype(float).tolist()) or (0, 2, -1)
        held += low <= a / (a + b) <= high
    return held / REPEATS


@pytest.mark.parametrize(("a", "b"), [(0.2, 0.2), (1, 1), (4, 1), (8, 8)])
def test_the_coverage_over_epochs(a: float, b: float) -> None:
    found = {(n, epochs): coverage(n, epochs, a, b) for n in (8, 25, 100) for epochs in (2, 3, 5)}
    assert min(found.values()) >= 0.93, found


def test_scores_pooled_as_if_independent_would_be_too_sure() -> None:
    clusters = [[float(place % 2)] * 5 for place in range(40)]
    _, low, high = clustered(clusters) or (0.0, 0.0, 0.0)
    pooled = interval([score for scores in clusters for score in scores]) or (0.0, 0.0)
    assert high - low > 2 * (pooled[1] - pooled[0])


def test_samples_without_scores_do_not_count() -> None:
    assert clustered([]) is None
    assert clustered([[], []]) is None
    assert clustered([[], [1.0, 0.0]]) == clustered([[0.5]])


@pytest.mark.parametrize("wrong", [[1.5, 0.1], [float("nan")], [-0.1]])
def test_a_score_outside_of_0_to_1_is_refused(wrong: list[float]) -> None:
    with pytest.raises(ValueError, match="0 to 1"):
        clustered([wrong])
