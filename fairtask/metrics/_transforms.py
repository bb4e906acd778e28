"""How the values of groups become one number: difference, ratio or worst group.

The *cost* of a comparison is the number if less of it is better, and else minus the
number. The largest cost is the worst, whether over pairs of groups, rates, classes or
attributes.
"""

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from fairtask.metrics._statistics import Statistic

__all__ = [
    "DIFFERENCE",
    "GROUP_MAX",
    "GROUP_MIN",
    "RATIO",
    "TRANSFORMS",
    "Transform",
    "joint_error",
    "nan_max",
    "nan_mean",
    "nan_min",
]


@dataclass(frozen=True)
class Transform:
    """Differences of pairs, of which the largest counts.

    A pair consists of two groups, or of a group and a reference: the value of all
    groups together, or 0 if the value of a group counts by itself.

    Attributes
    ----------
    name : str
        As in fairlearn.
    formula : str
        Of the values of the groups, in TeX.
    greater_is_better : bool
    high, low : bool
        Whether a group costs something above the reference, and below it.
    """

    name: str
    formula: str
    greater_is_better: bool = False
    high: bool = True
    low: bool = True

    @property
    def compares_groups(self) -> bool:
        """Whether groups are compared, which takes two of them."""
        return self.high and self.low

    @property
    def smallest_number(self) -> int:
        """Smallest number of groups that there must be."""
        return 2 if self.compares_groups else 1

    @property
    def takes(self) -> str:
        """Groups that a number needs to be defined."""
        return "two groups" if self.compares_groups else "a group"

    def suits(self, statistic: Statistic) -> bool:
        """Whether the number makes sense for a statistic.

        The value of the best group says nothing about the worst.
        """
        better = statistic.greater_is_better
        return self.compares_groups or better in (None, self.greater_is_better)

    def value(self, cost: Any) -> Any:
        """Return the number that has this cost, or the other way round."""
        return 0.0 - cost if self.greater_is_better else cost

    def largest(self, statistic: Statistic) -> float:
        """Return the largest possible number."""
        return float(statistic.largest)

    def costs(
        self, values: np.ndarray, reference: np.ndarray | None = None
    ) -> np.ndarray:
        """Find the largest cost over the last axis, the groups.

        It is NaN where too few groups have a value. `reference` has no last axis.
        """
        highest, lowest = nan_max(values), nan_min(values)
        if reference is None:
            costs = self.cost(highest, lowest)
        elif not self.low:
            costs = self.cost(highest, reference)
        elif not self.high:
            costs = self.cost(reference, lowest)
        else:
            costs = np.maximum(
                self.cost(highest, reference), self.cost(reference, lowest)
            )
        too_few = np.isfinite(values).sum(-1) < self.smallest_number
        return np.where(too_few, np.nan, costs)

    def cost(self, high: np.ndarray, low: np.ndarray) -> np.ndarray:
        """Compute the cost of pairs from their higher and lower values."""
        return high - low

    def slopes(self, values: np.ndarray) -> np.ndarray:
        """Weights of the errors of higher values, for errors of lower ones.

        A pair's cost has an error in proportion to that of slope * high - low. From
        shape (n_groups,) to shape (n_groups, n_groups), the higher value first.
        """
        return np.ones((len(values), len(values)))

    def pair_limits(
        self,
        values: np.ndarray,
        below: np.ndarray,
        above: np.ndarray,
        correlations: np.ndarray | None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Compute limits of the cost of each ordered pair, the higher value first.

        `below` and `above` are distances of the limits of each value, `correlations`
        those of the values; None if they are independent.
        """
        costs = values[:, None] - values
        return (
            costs - joint_error(below[:, None], above, correlations),
            costs + joint_error(above[:, None], below, correlations),
        )


class _Ratio(Transform):
    """Ratios of pairs, the lower value to the higher, of which the smallest counts."""

    @property
    def takes(self) -> str:
        """Groups that a number needs to be defined."""
        return "two groups, of which one has a value above 0"

    def largest(self, statistic: Statistic) -> float:
        """Return 1, the ratio of equal groups."""
        return 1.0

    def cost(self, high: np.ndarray, low: np.ndarray) -> np.ndarray:
        """Compute minus the ratio; NaN if both values are 0."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return -low / high

    def slopes(self, values: np.ndarray) -> np.ndarray:
        """Return the ratios: that of the truths is the r with r * high - low = 0.

        NaN where the higher value is 0.
        """
        high = values[:, None]
        slopes = np.full((len(values), len(values)), np.nan)
        return np.divide(values, high, out=slopes, where=high > 0)

    def pair_limits(
        self,
        values: np.ndarray,
        below: np.ndarray,
        above: np.ndarray,
        correlations: np.ndarray | None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Compute the limits of minus each ratio.

        NOTE: A ratio r is within its limits if 0 is within those of r * high - low,
        which are the limits of a difference. The ends solve a quadratic equation
        (Donner and Zou, "Closed-form confidence intervals for functions of the normal
        mean and standard deviation", 2012).
        """
        high, low = values[:, None], values
        # Rounding may put the limit of a 0 on either side of it.
        below, above = np.clip(below, 0, values), np.maximum(above, 0)
        correlations = np.zeros(()) if correlations is None else correlations

        def roots(
            high_error: np.ndarray, low_error: np.ndarray
        ) -> tuple[np.ndarray, np.ndarray]:
            a, c = high**2 - high_error**2, low**2 - low_error**2
            half = high * low - correlations * high_error * low_error
            root = half + np.sqrt(np.maximum(half**2 - a * c, 0))
            return c / root, root / a

        with np.errstate(invalid="ignore", divide="ignore"):
            smallest, _ = roots(above[:, None], below)
            _, largest = roots(below[:, None], above)
        # A limit that is not known, or a higher value that may be 0, bounds no ratio.
        smallest = np.where(np.isfinite(smallest), smallest, 0)
        largest = np.where(np.isfinite(largest), largest, np.inf)
        return -largest, -smallest


DIFFERENCE = Transform("difference", r"\max_g {0} - \min_g {0}")
RATIO = _Ratio("ratio", r"\min_g {0} \; / \; \max_g {0}", greater_is_better=True)
GROUP_MIN = Transform("group_min", r"\min_g {0}", greater_is_better=True, high=False)
GROUP_MAX = Transform("group_max", r"\max_g {0}", low=False)
TRANSFORMS = {t.name: t for t in (DIFFERENCE, RATIO, GROUP_MIN, GROUP_MAX)}


def joint_error(
    first: np.ndarray, second: np.ndarray, correlations: np.ndarray | None
) -> np.ndarray:
    """Return the error of a difference of values with these errors."""
    joint = np.hypot(first, second)
    if correlations is None:
        return joint
    with np.errstate(invalid="ignore"):  # infinite errors
        shared = 2 * correlations * first * second
        return np.where(
            np.isinf(joint), np.inf, np.sqrt(np.maximum(joint**2 - shared, 0))
        )


# Over the last axis, without NaN; NaN, without a warning, if nothing is left.
nan_max = partial(np.fmax.reduce, axis=-1, initial=np.nan)
nan_min = partial(np.fmin.reduce, axis=-1, initial=np.nan)


def nan_mean(values: np.ndarray) -> np.ndarray:
    """Mean over the last axis, as `nan_max` is the maximum."""
    known = ~np.isnan(values)
    with np.errstate(invalid="ignore"):
        return np.where(known, values, 0).sum(-1) / known.sum(-1)
