"""The statistics of a leaderboard: intervals of means of scores in [0, 1], percentiles, and paired differences."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist

CONFIDENCE = 0.95
_TAIL = 1 - (1 - CONFIDENCE) / 2
_Z = NormalDist().inv_cdf(_TAIL)


@dataclass(slots=True)
class Moments:
    """What an interval needs of a stream of scores in [0, 1]; `binary` holds while each of them was 0 or 1."""

    n: int = 0
    total: float = 0.0
    squares: float = 0.0
    binary: bool = True

    def add(self, score: float) -> None:
        """Count one score; ValueError when it is not in [0, 1]."""
        if not 0 <= score <= 1:
            raise ValueError(f"a score is 0 to 1, not {score}")
        self.n += 1
        self.total += score
        self.squares += score * score
        self.binary = self.binary and score in (0, 1)

    @property
    def mean(self) -> float | None:
        """The mean score; None when there is none."""
        return min(self.total / self.n, 1.0) if self.n else None

    def interval(self) -> tuple[float, float] | None:
        """The 95 % interval of the mean: the score interval of Wilson (1927), widened to fractional scores.

        Each limit is the mean that is just not refuted when the seen distribution is mixed with an unseen mass of
        zeros (lower limit) or ones (upper limit). For scores that are all 0 or 1 this is Wilson's interval exactly.
        """
        mean = self.mean
        if mean is None:
            return None
        upper_mean = 1 - mean
        variance = min(max(self.squares / self.n - mean * mean, 0.0), mean * upper_mean)
        low = _lower_limit(mean, variance, self.n)
        high = 1 - _lower_limit(upper_mean, variance, self.n)
        return min(low, mean), max(high, mean)


def _lower_limit(mean: float, variance: float, n: int) -> float:
    """The lower root of n (mean - m)^2 = z^2 m (variance / mean + mean - m).

    The right side is z^2 times the variance of the mixture of mean m; with variance = mean (1 - mean), as of 0 and 1,
    it is z^2 m (1 - m), which is Wilson's equation.
    """
    if mean <= 0:
        return 0.0
    a = n + _Z * _Z
    b = 2 * n * mean + _Z * _Z * (variance / mean + mean)
    c = n * mean * mean
    return 2 * c / (b + math.sqrt(max(b * b - 4 * a * c, 0.0)))


def interval(scores: Sequence[float]) -> tuple[float, float] | None:
    """The 95 % interval of the mean of `scores` in [0, 1] (see `Moments.interval`); None for no scores."""
    moments = Moments()
    for score in scores:
        moments.add(score)
    return moments.interval()


def clustered(clusters: Sequence[Sequence[float]]) -> tuple[float, float, float] | None:
    """The mean over samples of each one's mean score over its epochs, and its 95 % interval; None for no scores.

    Samples are independent and epochs of one sample are not, so each sample counts once, however often it was asked:
    with one epoch this is `interval`. Clusters without scores are left out.
    """
    moments = Moments()
    for scores in clusters:
        if any(not 0 <= score <= 1 for score in scores):
            raise ValueError("a score is 0 to 1")
        if scores:
            moments.add(min(math.fsum(scores) / len(scores), 1.0))
    mean, limits = moments.mean, moments.interval()
    return None if mean is None or limits is None else (mean, *limits)


def percentile(values: Sequence[float], q: float) -> float | None:
    """The value below which `q` (0 to 100) percent of `values` lie; None for no values.

    Linear between order statistics: number 7 of Hyndman and Fan (1996), the default of numpy.
    """
    if not 0 <= q <= 100:
        raise ValueError(f"a percentile is 0 to 100, not {q}")
    if not values:
        return None
    ordered = sorted(values)
    place = q / 100 * (len(ordered) - 1)
    below = math.floor(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (place - below) * (ordered[above] - ordered[below])


def paired_difference(a: Sequence[float], b: Sequence[float]) -> tuple[float, float, float]:
    """The mean of a - b over paired scores in [0, 1], and its 95 % interval; ValueError when there are no pairs.

    The interval is that of Bonett and Price (2012), which adds a win and a loss to the pairs, with the variance of the
    differences in place of that of counts, so that it holds for fractional scores too, and Student's t in place of z.
    """
    differences = [x - y for x, y in zip(a, b, strict=True)]
    n = len(differences)
    if not n:
        raise ValueError("no pairs to compare")
    total = math.fsum(differences)
    centre = total / (n + 2)
    variance = (math.fsum(d * d for d in differences) + 2) / (n + 2) - centre * centre
    reach = t_quantile(_TAIL, n + 1) * math.sqrt(variance / (n + 2))
    mean = total / n
    return mean, max(min(centre - reach, mean), -1.0), min(max(centre + reach, mean), 1.0)


@lru_cache(maxsize=4096)
def t_quantile(probability: float, df: int) -> float:
    """The quantile of Student's t with whole `df` >= 1, to about 1e-7.

    Abramowitz and Stegun (1964) 26.7.5, refined by Newton steps on 26.7.3 and 26.7.4 where df is small.
    """
    if not 0 < probability < 1 or df < 1:
        raise ValueError(f"no t quantile of {probability} with {df} degrees of freedom")
    if probability < 0.5:
        return -t_quantile(1 - probability, df)
    if df == 1:
        return math.tan(math.pi * (probability - 0.5))
    if df == 2:
        return (2 * probability - 1) * math.sqrt(2 / (4 * probability * (1 - probability)))
    guess = _t_expansion(NormalDist().inv_cdf(probability), df)
    if df > 60:
        return guess
    for _ in range(30):
        step = (_t_cdf(guess, df) - probability) / _t_density(guess, df)
        guess -= step
        if abs(step) < 1e-12 * (1 + abs(guess)):
            break
    return guess


def _t_expansion(z: float, df: int) -> float:
    z2 = z * z
    terms = (
        z * (z2 + 1) / 4,
        z * ((5 * z2 + 16) * z2 + 3) / 96,
        z * (((3 * z2 + 19) * z2 + 17) * z2 - 15) / 384,
        z * ((((79 * z2 + 776) * z2 + 1482) * z2 - 1920) * z2 - 945) / 92160,
    )
    return z + sum(term / float(df) ** power for power, term in enumerate(terms, 1))


def _t_cdf(t: float, df: int) -> float:
    angle = math.atan(t / math.sqrt(df))
    cosine2 = df / (df + t * t)
    term = math.cos(angle) if df % 2 else 1.0
    total = term if df > 1 else 0.0
    for k in range(3 if df % 2 else 2, df - 1, 2):
        term *= cosine2 * (k - 1) / k
        total += term
    within = 2 / math.pi * (angle + math.sin(angle) * total) if df % 2 else math.sin(angle) * total
    return 0.5 + within / 2


def _t_density(t: float, df: int) -> float:
    log_scale = math.lgamma((df + 1) / 2) - math.lgamma(df / 2) - math.log(df * math.pi) / 2
    return math.exp(log_scale - (df + 1) / 2 * math.log1p(t * t / df))
