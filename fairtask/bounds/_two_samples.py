"""Tests of the difference between the expected losses of two groups."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from math import log, sqrt

import numpy as np
from scipy.optimize import brentq
from scipy.special import betaincinv, gammaln, ndtri

__all__ = ["BettingTest", "DifferenceTest", "ExactTest", "approximate_limits"]

ACCURACY = 1e-6
"""A limit may be too large by this, and is never too small."""

NUISANCE_SHARE = 0.02
"""Share of `delta` that is spent on the interval of the second group's rate."""

CELLS = (8, 128)
"""Numbers of parts of that interval: few for a quick look, many for a narrow limit."""

LARGEST_BET = 0.9
"""Share of the capital that a single pair may cost."""

PRIOR_VARIANCE = 0.25
"""Variance of the differences that counts as much as one of them."""


def approximate_limits(
    means: np.ndarray, sizes: np.ndarray, delta: float
) -> np.ndarray:
    """Upper limits of the differences between rates by Agresti and Caffo [1]_.

    They are valid for many samples, and increase with the rate of the first group and
    decrease with that of the second.

    Parameters
    ----------
    means, sizes : ndarray of shape (..., n_groups)
        Share of the samples with a loss, or mean loss, and number of samples.
    delta : float

    Returns
    -------
    limits : ndarray of shape (..., n_groups, n_groups)
        Limit of the rate of the first index minus that of the second.

    References
    ----------
    .. [1] A. Agresti and B. Caffo. "Simple and effective confidence intervals for
       proportions and differences of proportions result from adding two successes and
       two failures". The American Statistician 54, 2000.
    """
    z = -ndtri(delta)
    rates, variances = _shrunk(means * sizes, sizes, z)
    slack = z * np.sqrt(variances[..., :, None] + variances[..., None, :])
    return rates[..., :, None] - rates[..., None, :] + slack


class DifferenceTest(ABC):
    """Test of the hypothesis that the difference is at least a number in [0, 1].

    If it is true, it is rejected with probability `delta` at most. A number above a
    rejected one is rejected as well.
    """

    @abstractmethod
    def doubt(self, difference: float) -> float:
        """Return a number that falls; it is 0 or less if the difference is rejected."""

    def rejects(self, difference: float) -> bool:
        """Return whether the difference cannot be as large as this."""
        return self.doubt(difference) <= 0

    def limit(self, low: float) -> float:
        """Return the smallest rejected number, at most `ACCURACY` too large, or 1.

        `low` is not rejected.
        """
        if self.doubt(1.0) > 0:
            return 1.0
        root = brentq(self.doubt, low, 1.0, xtol=ACCURACY / 2)
        return min(root + ACCURACY / 2, 1.0)


class ExactTest(DifferenceTest):
    r"""Exact unconditional test for 0-1 losses.

    The p-value of a difference d is the probability of a table of counts whose
    `approximate_limits` is at most the observed one, the largest over all pairs of
    rates :math:`(q + d, q)`. That is Buehler's limit [1]_. As Berger and Boos [2]_
    proposed, only the q in a confidence interval count, and the probability with which
    it may fail is subtracted from `delta`.

    The largest value over an interval is not searched on a grid. The probability falls
    with the first rate and rises with the second, so that its value for the smallest
    first and the largest second rate bounds it in a part of the interval.

    Parameters
    ----------
    events, sizes : iterable of two int
        Number of samples with a loss of 1, and of all samples, of each group.
    deltas : sequence of float
        The test with several of them rejects only numbers that the test with each of
        them rejects.

    Notes
    -----
    The order depends on `delta`, which makes limits narrow. Therefore a limit may rise
    a little where `delta` grows.

    References
    ----------
    .. [1] R. J. Buehler. "Confidence intervals for the product of two binomial
       parameters". Journal of the American Statistical Association 52, 1957.
    .. [2] R. L. Berger and D. D. Boos. "P values maximized over a confidence set for
       the nuisance parameter". Journal of the American Statistical Association 89,
       1994.
    """

    def __init__(
        self, events: Iterable[int], sizes: Iterable[int], deltas: Sequence[float]
    ) -> None:
        counts, sizes = tuple(map(int, events)), tuple(map(int, sizes))
        if sizes[0] > sizes[1]:  # the second rate should be the one known well
            counts = sizes[1] - counts[1], sizes[0] - counts[0]
            sizes = sizes[::-1]
        self.n_first, n = sizes
        smallest = min(deltas)
        self.level = smallest * (1 - NUISANCE_SHARE)
        self.low, self.high = _clopper_pearson(counts[1], n, smallest * NUISANCE_SHARE)
        self.second = _likely_counts(n, self.low, self.high)
        self.n_second = n
        # Each delta orders the tables anew: count those that are low by any of these.
        self.largest = _largest_counts(counts, sizes, self.second, deltas).max(axis=0)
        # A larger delta has a shorter interval with other parts, each at most as wide.
        # With the overlap every one lies within one of these parts, so that this test
        # rejects nothing that the test with the larger delta does not.
        self.overlap = (self.high - self.low) / CELLS[-1] if len(deltas) > 1 else 0.0

    def rejects(self, difference: float) -> bool:
        """Return whether the difference cannot be as large as this."""
        return any(self.doubt(difference, cells) <= 0 for cells in CELLS)

    def doubt(self, difference: float, n_cells: int = CELLS[-1]) -> float:
        """Return how much the p-value is above the level."""
        width = (self.high - self.low) / n_cells
        first = self.low + width * np.arange(n_cells) + difference
        first = first[first <= 1]  # no rate is larger
        if not len(first):
            return -self.level
        second = first - difference + width + self.overlap
        weights = _probabilities(self.second, self.n_second, second)
        # Counts that are hardly possible are left out; each counts as in the tail.
        left_out = 1 - weights.sum(axis=1)
        counts = _likely_counts(self.n_first, first[0], first[-1])
        tails = _probabilities(counts, self.n_first, first).cumsum(axis=1)
        tails += 1 - tails[:, -1:]
        # Of a count below all likely ones, the tail is at most that of the first.
        at = (self.largest - counts[0]).clip(0, len(counts) - 1)
        tails = tails[:, at] * (self.largest >= 0)
        return float(((weights * tails).sum(axis=1) + left_out).max()) - self.level


class BettingTest(DifferenceTest):
    r"""Test by betting [1]_ for losses between 0 and 1.

    The samples of the larger group are divided into as many blocks as the other one has
    samples. The difference :math:`Z_i` between a sample and the mean of a block has the
    expectation of the difference between the groups. If that is at least d, a player
    who bets that :math:`Z_i < d` has the capital

    .. math:: \prod_i \left(1 + \lambda_i (d - Z_i)\right)

    whose expectation is at most 1, so that it is :math:`1 / \delta` or more with
    probability :math:`\delta` at most. The bet :math:`\lambda_i` may depend on d and on
    the differences before :math:`Z_i`.

    Parameters
    ----------
    first, second : ndarray of shape (n_samples,)
        Losses of each group, in random order.
    delta : float

    References
    ----------
    .. [1] I. Waudby-Smith and A. Ramdas. "Estimating means of bounded random variables
       by betting". Journal of the Royal Statistical Society, Series B 86, 2024.
    """

    def __init__(self, first: np.ndarray, second: np.ndarray, delta: float) -> None:
        n = min(len(first), len(second))
        self.differences = _block_means(first, n) - _block_means(second, n)
        number = np.arange(1, n + 1)
        means = self.differences.cumsum() / number
        squares = (self.differences - means) ** 2
        squares_before = np.concatenate([[0], squares[:-1].cumsum()])
        variances = (PRIOR_VARIANCE + squares_before) / number
        self.goal = -log(delta)
        self.bets = np.sqrt(2 * self.goal / (n * variances))

    def doubt(self, difference: float) -> float:
        """Return the logarithm of the factor by which the capital is too small."""
        # No Z is above 1: at worst this share of the capital is lost.
        largest = LARGEST_BET / max(1 - difference, ACCURACY)
        bets = np.minimum(self.bets, largest)
        return self.goal - float(np.log1p(bets * (difference - self.differences)).sum())


def _shrunk(
    counts: np.ndarray, sizes: np.ndarray | int, z: float | np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Rates with pseudo-counts, and their variances."""
    larger = sizes + z**2 / 2
    rates = (counts + z**2 / 4) / larger
    return rates, rates * (1 - rates) / larger


def _largest_counts(
    counts: Sequence[int],
    sizes: Sequence[int],
    second: np.ndarray,
    deltas: Sequence[float],
) -> np.ndarray:
    """Largest count of the first group in a table with at most the observed limit.

    For each delta and count of the second group, shape (n_deltas, n_counts); -1 where
    there is none.
    """
    z = -ndtri(np.array(deltas))[:, None]
    observed, variances = _shrunk(np.array(counts), np.array(sizes), z)
    # Rounding must not exclude the observed table.
    slack = z * np.sqrt(variances.sum(axis=1, keepdims=True))
    limit = observed[:, :1] - observed[:, 1:] + slack + 1e-9
    rates, variances = _shrunk(second, sizes[1], z)
    # NOTE: the rate p of the first group solves p + z sqrt(p (1 - p) / n + v) = t, with
    # the variance v of the second rate and the size n with pseudo-counts.
    t, n = limit + rates, sizes[0] + z**2 / 2
    c = z**2 / n
    root = np.sqrt(np.maximum((4 * t * (1 - t) + c) / n + 4 * variances * (1 + c), 0))
    p = (2 * t + c - z * root) / (2 + 2 * c)
    largest = np.floor(p * n - z**2 / 4 + 1e-9)
    return largest.clip(-1, sizes[0]).astype(np.int64)


def _likely_counts(n: int, low: float, high: float) -> np.ndarray:
    """Counts of n samples that are not very unlikely for rates in an interval."""
    first = n * low - 6 * sqrt(n * low * (1 - low)) - 10
    last = n * high + 6 * sqrt(n * high * (1 - high)) + 10
    return np.arange(max(0, int(first)), min(n, int(last)) + 1)


def _probabilities(counts: np.ndarray, n: int, rates: np.ndarray) -> np.ndarray:
    """Binomial probabilities of counts, shape (n_rates, n_counts)."""
    # Zero times minus infinity would be NaN.
    rates = rates.clip(1e-300, 1 - 1e-16)[:, None]
    ways = gammaln(n + 1) - gammaln(counts + 1) - gammaln(n - counts + 1)
    return np.exp(ways + counts * np.log(rates) + (n - counts) * np.log1p(-rates))


def _clopper_pearson(count: int, n: int, delta: float) -> tuple[float, float]:
    """Limits of a rate, which fail with probability delta at most."""
    low = betaincinv(count, n - count + 1, delta / 2) if count > 0 else 0.0
    high = betaincinv(count + 1, n - count, 1 - delta / 2) if count < n else 1.0
    return float(low), float(high)


def _block_means(losses: np.ndarray, n: int) -> np.ndarray:
    """Means of n blocks of about the same size."""
    edges = np.arange(n + 1) * len(losses) // n
    return np.add.reduceat(losses, edges[:-1]) / np.diff(edges)
