"""Mahalanobis distance of the means of two groups, with an upper confidence limit."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from scipy.optimize import brentq
from scipy.stats import f as central_f
from scipy.stats import ncf

__all__ = ["GroupMoments", "distance_of_means", "nearly_constant"]

ROUNDING = 1e-6
"""A unit is constant if it varies by less than this share of its root mean square."""

TOLERANCE = 1e-10
"""Smallest eigenvalue of a correlation matrix, relative to the largest, that counts."""


@dataclass(frozen=True)
class GroupMoments:
    """Moments of the units in the samples of a group.

    Attributes
    ----------
    n : int
        Number of samples.
    mean, low, high : ndarray of shape (n_units,)
        Mean, smallest and largest number of each unit.
    squares : ndarray of shape (n_units,)
        Sum of the squares of each unit.
    centred : ndarray of shape (n_samples, n_units)
        The samples minus their mean.
    covariance : ndarray of shape (n_units, n_units)
        NaN with fewer than two samples.
    """

    n: int
    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray
    squares: np.ndarray
    centred: np.ndarray
    covariance: np.ndarray

    @classmethod
    def of(cls, samples: np.ndarray) -> Self:
        """Compute the moments of samples, shape (n_samples, n_units)."""
        n, n_units = samples.shape
        if n < 2:
            unknown = np.full((n_units, n_units), np.nan)
            none = unknown[0]
            return cls(n, none, none, none, none, samples, unknown)
        mean = samples.mean(0)
        centred = samples - mean
        covariance = centred.T @ centred / (n - 1)
        low, high = samples.min(0), samples.max(0)
        return cls(n, mean, low, high, np.square(samples).sum(0), centred, covariance)


def distance_of_means(
    a: GroupMoments, b: GroupMoments, delta: float
) -> tuple[float, float, np.ndarray]:
    """Distance of the means of two groups, and its upper confidence limit.

    The docstring of `certified_mean_difference` describes the limit.

    Parameters
    ----------
    a, b : GroupMoments
        Of each group.
    delta : float
        Probability with which the limit may fail.

    Returns
    -------
    distance : float
        NaN with fewer than two samples of a group.
    limit : float
        Infinite if there is none.
    covariance : ndarray of shape (n_units, n_units)
        Pooled over the groups; NaN with fewer than two samples of one.
    """
    if min(a.n, b.n) < 2:
        return np.nan, np.inf, np.full_like(a.covariance, np.nan)
    size = a.n * b.n / (a.n + b.n)
    freedom = a.n + b.n - 2
    difference = a.mean - b.mean
    mean_square = (a.squares + b.squares) / (a.n + b.n)
    pooled = ((a.n - 1) * a.covariance + (b.n - 1) * b.covariance) / freedom

    # A basis of the directions in which the samples of both groups vary. It is that of
    # the total covariance, and not of `pooled`: a direction without variation inside
    # the groups counts if the groups differ in it.
    ratio = size / freedom
    basis = _whitener(pooled + ratio * np.outer(difference, difference), mean_square)
    rank = basis.shape[1]
    shift = basis.T @ difference
    within = 1 - ratio * (shift @ shift)  # smallest eigenvalue of the pooled covariance
    if freedom <= rank or within <= TOLERANCE:
        return np.inf, np.inf, pooled
    square = shift @ shift / within
    if rank == 0:  # constant units
        return 0.0, 0.0, pooled

    # Moments of the covariance of the difference of means, relative to `pooled`.
    inverse = np.eye(rank) + ratio / within * np.outer(shift, shift)
    of_difference = size * (a.covariance / a.n + b.covariance / b.n)
    relative = inverse @ (basis.T @ of_difference @ basis)
    first, second = np.trace(relative), np.sum(relative * relative.T)
    excess = second / first
    if square > 0:
        # The delta method: the influence of each sample on the squared distance.
        scores_a, scores_b = (
            group.centred @ basis @ shift / within for group in (a, b)
        )
        influence_a = 2 * scores_a / a.n - scores_a**2 / freedom
        influence_b = -2 * scores_b / b.n - scores_b**2 / freedom
        variance = a.n * influence_a.var() + b.n * influence_b.var()
        normal = 4 * square / size + 2 * square**2 / freedom
        excess = max(excess, variance / normal)
    limit = _upper_limit(
        square * size / excess, first / excess, freedom, freedom - rank + 1, delta
    )
    return float(np.sqrt(square)), float(np.sqrt(limit * excess / size)), pooled


def nearly_constant(a: GroupMoments, b: GroupMoments) -> np.ndarray:
    """Whether units count as constant in two groups although they vary, (n_units,)."""
    if min(a.n, b.n) < 2:
        return np.zeros(len(a.mean), dtype=bool)
    varies = np.maximum(a.high, b.high) > np.minimum(a.low, b.low)
    within = sum((group.n - 1) * np.diag(group.covariance) for group in (a, b))
    between = a.n * b.n / (a.n + b.n) * np.square(a.mean - b.mean)
    scale = np.sqrt((within + between) / (a.n + b.n - 2))
    return varies & ~_is_live(scale, (a.squares + b.squares) / (a.n + b.n))


def _is_live(scale: np.ndarray, mean_square: np.ndarray) -> np.ndarray:
    """Whether units vary by more than rounding, given their standard deviations."""
    return scale > ROUNDING * np.sqrt(mean_square)


def _whitener(total: np.ndarray, mean_square: np.ndarray) -> np.ndarray:
    """Return a basis in which this covariance is the identity, without its null space.

    The shape is (n_units, rank).
    """
    scale = np.sqrt(np.diag(total))
    live = _is_live(scale, mean_square)
    basis = np.zeros((len(scale), live.sum()))
    if not live.any():
        return basis
    correlation = total[np.ix_(live, live)] / np.outer(scale[live], scale[live])
    values, vectors = np.linalg.eigh(correlation)
    kept = values > TOLERANCE * values[-1]
    basis[live] = vectors / scale[live, None]
    return basis[:, kept] / np.sqrt(values[kept])


def _upper_limit(
    statistic: float, dfn: float, freedom: int, dfd: int, delta: float
) -> float:
    """Upper confidence limit of the noncentrality of a squared distance.

    `statistic` is the squared distance in units of its standard error. In these units
    ``dfd / (freedom * dfn)`` times it has a noncentral F distribution.
    """
    ratio = statistic * dfd / (freedom * dfn)
    ratio = max(ratio, central_f.median(dfn, dfd))

    def surplus(noncentrality: float) -> float:
        return ncf.cdf(ratio, dfn, dfd, noncentrality) - delta

    high = 1.0
    while surplus(high) > 0:
        high *= 2
    if np.isnan(surplus(high)):  # too large for scipy: the groups hardly overlap
        return np.inf
    return brentq(surplus, 0, high) if surplus(0) > 0 else 0.0
