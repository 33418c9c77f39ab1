from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats as reference  # type: ignore[import-untyped]

from llm_tester.evals.stats import Moments, interval, paired_difference, percentile, t_quantile

Draw = Callable[[np.random.Generator, tuple[int, int]], Any]
SIZES = (25, 50, 200, 1319)
REPEATS = 200

SCORES = st.lists(st.floats(0, 1), min_size=1, max_size=60)


def holds(limits: tuple[float, float] | None, truth: float) -> bool:
    assert limits is not None
    return limits[0] - 1e-12 <= truth <= limits[1] + 1e-12


@pytest.mark.parametrize("n", [1, 2, 3, 25, 200, 1319])
def test_right_or_wrong_scores_have_the_wilson_interval(n: int) -> None:
    for right in {0, 1, n // 3, n // 2, n - 1, n}:
        expected = reference.binomtest(right, n).proportion_ci(method="wilson")
        assert interval([1.0] * right + [0.0] * (n - right)) == pytest.approx(tuple(expected), abs=1e-9)


def test_the_coverage_for_right_or_wrong_scores_is_that_of_wilson() -> None:
    """Exact sums; Wilson's own low is 0.911, at p = 0.02 with n = 25 and at p = 0.99 with n = 50."""
    coverage = {}
    for n in SIZES:
        limits = [Moments(n, right, right).interval() for right in range(n + 1)]
        for p in (0.02, 0.1, 0.5, 0.9, 0.99):
            weights = reference.binom.pmf(range(n + 1), n, p)
            coverage[p, n] = sum(w for w, limit in zip(weights, limits, strict=True) if holds(limit, p))
    assert min(coverage.values()) >= 0.91
    assert sorted(key for key, value in coverage.items() if value < 0.92) == [(0.02, 25), (0.99, 50)]
    assert np.mean(list(coverage.values())) >= 0.94


def three_valued(ones: float, middle: float, value: float) -> Draw:
    def draw(random: np.random.Generator, size: tuple[int, int]) -> Any:
        place = random.random(size)
        return np.where(place < ones, 1.0, np.where(place < ones + middle, value, 0.0))

    return draw


def leaves(k: int, p: float, whole: float = 0.0) -> Draw:
    def draw(random: np.random.Generator, size: tuple[int, int]) -> Any:
        return np.where(random.random(size) < whole, 1.0, random.binomial(k, p, size) / k)

    return draw


def jitter(low: float, zeros: float) -> Draw:
    def draw(random: np.random.Generator, size: tuple[int, int]) -> Any:
        return np.where(random.random(size) < zeros, 0.0, random.uniform(low, 1, size))

    return draw


# Each with its mean.
FRACTIONAL: dict[str, tuple[Draw, float]] = {
    "0, 1 and halves": (three_valued(0.4, 0.3, 0.5), 0.55),
    "eight leaves": (leaves(8, 0.5), 0.5),
    "eight leaves, nearly all right": (leaves(8, 0.95), 0.95),
    "mostly whole, else leaves": (leaves(8, 0.8, whole=0.8), 0.96),
    "four leaves, nearly all wrong": (leaves(4, 0.1), 0.1),
    "mostly 1, rare 0": (three_valued(0.97, 0.02, 0.75), 0.985),
    "mostly 1, some 0.75, rare 0": (three_valued(0.9, 0.09, 0.75), 0.9675),
    "0.75 to 1": (jitter(0.75, 0.0), 0.875),
    "0.75 to 1, rare 0": (jitter(0.75, 0.02), 0.8575),
    "0.95 to 1, rare 0": (jitter(0.95, 0.01), 0.96525),
}


def test_the_coverage_for_fractional_scores() -> None:
    random = np.random.default_rng(20240607)
    coverage = {}
    for name, (draw, truth) in FRACTIONAL.items():
        for n in SIZES:
            runs = draw(random, (REPEATS, n)).tolist()
            coverage[name, n] = sum(holds(interval(run), truth) for run in runs) / REPEATS
    assert min(coverage.values()) >= 0.92, coverage
    assert np.mean(list(coverage.values())) >= 0.94


def test_the_interval_narrows_to_the_plain_one() -> None:
    scores = leaves(8, 0.8)(np.random.default_rng(1), (1, 20_000))[0]
    low, high = interval(scores.tolist()) or (0.0, 1.0)
    assert high - low == pytest.approx(2 * 1.96 * scores.std() / 20_000**0.5, rel=0.03)


@given(SCORES)
def test_the_interval_is_bounded_and_contains_the_mean(scores: list[float]) -> None:
    moments = Moments()
    for score in scores:
        moments.add(score)
    low, high = interval(scores) or (2.0, -1.0)
    assert (low, high) == moments.interval()
    assert 0 <= low <= (moments.mean or 0.0) <= high <= 1
    assert moments.n == len(scores)
    assert moments.mean == pytest.approx(np.mean(scores))
    assert moments.binary == all(score in (0, 1) for score in scores)


@given(SCORES)
def test_the_interval_mirrors(scores: list[float]) -> None:
    low, high = interval(scores) or (2.0, -1.0)
    assert interval([1 - score for score in scores]) == pytest.approx((1 - high, 1 - low), abs=1e-6)


def test_no_scores_have_no_interval() -> None:
    assert interval([]) is None
    assert Moments().mean is None


@pytest.mark.parametrize("score", [-0.1, 1.1, float("nan")])
def test_a_score_out_of_range_is_refused(score: float) -> None:
    with pytest.raises(ValueError, match="0 to 1"):
        interval([0.5, score])


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=40), st.floats(0, 100))
def test_percentiles_are_those_of_numpy(values: list[float], q: float) -> None:
    assert percentile(values, q) == pytest.approx(np.percentile(values, q), rel=1e-9, abs=1e-6)


def test_percentile_limits() -> None:
    assert percentile([], 50) is None
    assert percentile([3.0, 1.0, 2.0], 50) == 2.0
    assert (percentile([1.0, 2.0], 0), percentile([1.0, 2.0], 100)) == (1.0, 2.0)
    with pytest.raises(ValueError, match="0 to 100"):
        percentile([1.0], 101)


def joint(p_a: float, p_b: float, shared: float) -> tuple[Draw, float]:
    """Differences of two right-or-wrong entrants that share a part of their luck."""

    def draw(random: np.random.Generator, size: tuple[int, int]) -> Any:
        luck = random.random(size)
        other = np.where(random.random(size) < shared, luck, random.random(size))
        return (luck < p_a).astype(float) - (other < p_b)

    return draw, p_a - p_b


def minus(first: tuple[Draw, float], second: tuple[Draw, float]) -> tuple[Draw, float]:
    return lambda random, size: first[0](random, size) - second[0](random, size), first[1] - second[1]


PAIRS: dict[str, tuple[Draw, float]] = {
    "0.9 to 0.8": joint(0.9, 0.8, 0.0),
    "0.9 to 0.1": joint(0.9, 0.1, 0.0),
    "0.5 to 0.5": joint(0.5, 0.5, 0.5),
    "0.95 to 0.9, alike": joint(0.95, 0.9, 0.9),
    "0.98 to 0.96, nested": joint(0.98, 0.96, 1.0),
    "leaves": minus(FRACTIONAL["eight leaves, nearly all right"], FRACTIONAL["mostly whole, else leaves"]),
    "rare zeros": minus(FRACTIONAL["0.75 to 1"], FRACTIONAL["0.75 to 1, rare 0"]),
    "rarer zeros": minus(FRACTIONAL["0.95 to 1, rare 0"], (jitter(0.95, 0.0), 0.975)),
}


def test_the_coverage_of_paired_differences() -> None:
    random = np.random.default_rng(20240608)
    coverage = {}
    for name, (draw, truth) in PAIRS.items():
        for n in SIZES:
            differences = draw(random, (REPEATS, n))
            firsts, seconds = np.maximum(differences, 0).tolist(), np.maximum(-differences, 0).tolist()
            limits = [paired_difference(a, b)[1:] for a, b in zip(firsts, seconds, strict=True)]
            coverage[name, n] = sum(holds(limit, truth) for limit in limits) / REPEATS
    assert min(coverage.values()) >= 0.92, coverage
    assert np.mean(list(coverage.values())) >= 0.94


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=40))
def test_a_paired_difference_is_bounded_and_mirrors(pairs: list[tuple[float, float]]) -> None:
    a, b = [x for x, _ in pairs], [y for _, y in pairs]
    mean, low, high = paired_difference(a, b)
    assert -1 <= low <= mean <= high <= 1
    assert mean == pytest.approx(np.mean(a) - np.mean(b), abs=1e-9)
    assert paired_difference(b, a) == pytest.approx((-mean, -high, -low))


def test_entrants_that_never_differ_are_not_surely_equal() -> None:
    mean, low, high = paired_difference([1.0] * 25, [1.0] * 25)
    assert mean == 0
    assert low == pytest.approx(-high)
    assert 0.05 < high < 0.15


def test_paired_scores_must_be_pairs() -> None:
    with pytest.raises(ValueError, match="no pairs"):
        paired_difference([], [])
    with pytest.raises(ValueError, match="shorter"):
        paired_difference([1.0, 0.0], [1.0])


@pytest.mark.parametrize("df", [*range(1, 65), 100, 1318, 100_000])
def test_t_quantiles(df: int) -> None:
    for probability in (0.025, 0.3, 0.5, 0.6, 0.9, 0.975, 0.995, 0.999):
        expected = reference.t.ppf(probability, df)
        assert t_quantile(probability, df) == pytest.approx(expected, rel=1e-7, abs=1e-9)


@pytest.mark.parametrize(("probability", "df"), [(0.0, 5), (1.0, 5), (0.9, 0)])
def test_t_quantiles_have_limits(probability: float, df: int) -> None:
    with pytest.raises(ValueError, match="no t quantile"):
        t_quantile(probability, df)
