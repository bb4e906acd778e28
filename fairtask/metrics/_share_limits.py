"""Confidence limits of shares of few or many samples."""

import numpy as np
from scipy.stats import beta, norm

__all__ = ["FEW", "exact_limit", "largest_number", "n_of_share", "wilson_limit"]

FEW = 15
"""With fewer samples than this, limits that approximate are not relied on."""


def wilson_limit(values: np.ndarray, n: np.ndarray, z: float) -> np.ndarray:
    """Wilson's limit [1]_ of shares of n samples, which is valid at 0 and 1 as well.

    References
    ----------
    .. [1] E. B. Wilson. "Probable inference, the law of succession, and statistical
       inference". Journal of the American Statistical Association 22, 1927.
    """
    with np.errstate(invalid="ignore", divide="ignore"):  # NaN without samples
        half = z * np.sqrt(values * (1 - values) / n + z**2 / (4 * n**2))
        return (values + z**2 / (2 * n) + half) / (1 + z**2 / n)


def exact_limit(values: np.ndarray, n: np.ndarray, z: float) -> np.ndarray:
    """Limit of Clopper and Pearson [1]_ of shares of n samples.

    It fails no more often than its level says, for any number of samples and any level.
    Wilson's fails several times as often as it says where a level is high and a share
    near 0 or 1. The numbers of samples need not be integers.

    References
    ----------
    .. [1] C. J. Clopper and E. S. Pearson. "The use of confidence or fiducial limits
       illustrated in the case of the binomial". Biometrika 26, 1934.
    """
    if z > 0:
        return 1 - exact_limit(1 - values, n, -z)
    counted = np.where(np.isinf(n), np.nan, n)
    found = values * counted
    # The quantile is not defined where no sample counts, and there the limit is 0.
    limits = beta.ppf(
        norm.cdf(z), np.where(found > 0, found, np.nan), counted - found + 1
    )
    limits = np.where(found > 0, limits, np.where(counted > 0, 0.0, np.nan))
    return np.where(np.isinf(n), values, limits)


def n_of_share(
    values: np.ndarray,
    errors: np.ndarray,
    n: np.ndarray,
    *,
    largest: np.ndarray | None = None,
) -> np.ndarray:
    """Return the numbers of samples of shares that have these standard errors.

    A share v of m samples has the squared error v (1 - v) / m. The number is at most
    `largest`, by default what n samples can tell of it, and n without an error. It is
    NaN if the error is.
    """
    if largest is None:
        largest = largest_number(n)
    with np.errstate(invalid="ignore", divide="ignore"):
        m = np.fmin(values * (1 - values) / errors**2, largest)
    return np.where(np.isnan(errors), np.nan, np.where(errors > 0, m, n))


def largest_number(n: np.ndarray) -> np.ndarray:
    """Return the largest number that is derived from the standard error of n samples.

    A few samples can have a very small error by chance.
    """
    return n * np.maximum(n / 10, 1)
