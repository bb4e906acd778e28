"""How much a metric is too large because the groups' values are noisy."""

import numpy as np

from fairtask.metrics._comparison import Comparison
from fairtask.metrics._resampling import standard_errors
from fairtask.metrics._share_limits import FEW

__all__ = ["expected_excess"]


def expected_excess(
    comparison: Comparison,
    observed: np.ndarray,
    resampled: np.ndarray,
    n_effective: np.ndarray,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the cost of likely values of the groups, and the costs with their noise.

    NOTE: The groups that seem best and worst owe it to chance in part, so that the
    groups' values in the data differ more than the true ones. Noise that is added to
    them, as resamples do, tells a small part of the excess only. Therefore it is added
    to values that are shrunk towards each other, those of small groups most.
    """
    last = observed.shape[-1] - comparison.has_reference
    values, noise = observed[:, :last], resampled[..., :last] - observed[:, :last]
    errors = standard_errors(noise)
    n = n_effective[:, :last]
    # Few samples have few values, such as 1 in all resamples.
    with np.errstate(invalid="ignore", divide="ignore"):
        uncertain = (n < FEW) | ~(errors > 0)
        known = np.where(np.isfinite(values) & ~np.isnan(errors), n, 0)
        per_sample = np.sum(known * n * np.nan_to_num(errors) ** 2, -1, keepdims=True)
        per_sample /= known.sum(-1, keepdims=True)
        errors = np.where(uncertain, np.sqrt(per_sample / n), errors)
    drawn = errors * rng.standard_normal(noise.shape)
    noise = np.where(uncertain, drawn, noise)
    centres = observed.copy()
    centres[:, :last] = _shrink(values, errors)
    noisy = resampled - observed + centres
    noisy[..., :last] = centres[:, :last] + noise
    return comparison.cost(centres), comparison.cost(noisy)


def _shrink(values: np.ndarray, errors: np.ndarray) -> np.ndarray:
    """Return means of the true values, given values with errors of groups.

    The variance between the groups is that of the values less that of their errors.
    """
    known = np.isfinite(values) & np.isfinite(errors)
    n_groups = np.maximum(known.sum(-1, keepdims=True), 2)

    def mean(numbers: np.ndarray) -> np.ndarray:
        return np.where(known, numbers, 0).sum(-1, keepdims=True) / n_groups

    squares = errors**2
    between = mean((values - mean(values)) ** 2) * n_groups / (n_groups - 1)
    between = np.maximum(between - mean(squares), 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        weights = np.where(known, 1 / (between + squares), 0)
        centre = np.where(known, weights * values, 0).sum(-1, keepdims=True)
        centre /= weights.sum(-1, keepdims=True)
        shrunk = centre + between / (between + squares) * (values - centre)
    return np.where(np.isfinite(shrunk), shrunk, values)
