"""The pairs of groups that a metric compares, their limits and their errors."""

import numpy as np

from fairtask.metrics._comparison import Comparison
from fairtask.metrics._resampling import correlations, standard_errors
from fairtask.metrics._statistics import Estimates
from fairtask.metrics._transforms import joint_error

__all__ = ["ComparedPairs"]

N_EXTREME = 8
"""Groups with the largest errors, to either side, among which the largest is sought."""


class ComparedPairs:
    """One statistic of the groups that are compared, and its errors.

    A reference is the last of the groups here.
    """

    def __init__(
        self,
        comparison: Comparison,
        stratum: int,
        observed: np.ndarray,
        resampled: np.ndarray,
        n_effective: np.ndarray,
        rng: np.random.Generator,
    ) -> None:
        observed, n_effective = observed[stratum], n_effective[stratum]
        resampled = resampled[:, stratum]
        groups = np.isfinite(observed)
        self.transform = comparison.metric.transform
        self.family = comparison.statistics
        self.statistic, _ = self.family.strata[comparison.strata[stratum]]
        self.values = observed[groups]
        self.n_effective = n_effective[groups]
        self.deviations = resampled[:, groups] - self.values
        self.resampled_errors = standard_errors(resampled[:, groups])
        self.slopes = self.transform.slopes(self.values)
        self.pairs = ~np.eye(len(self.values), dtype=bool)
        self.correlations: np.ndarray | None = None
        if comparison.has_reference:
            # Groups are compared with the reference only.
            self.pairs[:-1, :-1] = False
            self.pairs[:-1, -1] = self.transform.high
            self.pairs[-1, :-1] = self.transform.low
        if comparison.to_overall:
            # A group is a part of all groups together, and varies with them.
            with_all = correlations(self.deviations, self.deviations[:, [-1]])
            self.correlations = np.zeros(self.pairs.shape)
            self.correlations[-1] = self.correlations[:, -1] = with_all
        self._draw_errors_of_few(rng)

    def _draw_errors_of_few(self, rng: np.random.Generator) -> None:
        """Draw normal errors where resamples say nothing about the error of a value.

        NOTE: A rate of 0 or 1 is the same in each resample, and that of few samples has
        few values. Their strict limits fail no more often than normal errors do. With
        normal errors such groups count in the critical value like all others.
        """
        no_error = (self.resampled_errors == 0) | np.isnan(self.resampled_errors)
        is_small = self.n_effective < self.family.few
        drawn = np.isfinite(self.n_effective) & (no_error | is_small)
        below, above = self.distances(1, strict=True)
        self.errors = np.where(drawn, (below + above) / 2, self.resampled_errors)
        # A value of which nothing is known has infinite limits at any critical value.
        scale = np.where(np.isfinite(self.errors), self.errors, np.nan)[drawn]
        shape = len(self.deviations), drawn.sum()
        self.deviations[:, drawn] = scale * rng.standard_normal(shape)

    def distances(self, z: float, *, strict: bool) -> tuple[np.ndarray, np.ndarray]:
        """Distances of the limits below and above each value.

        They are strict limits of groups with few samples, and else if `strict`.
        """
        known = Estimates(self.values, self.resampled_errors, self.n_effective)
        is_strict = strict | (self.n_effective < self.family.few)
        lower, upper = (
            np.where(
                is_strict,
                self.family.limit(self.statistic, known, side, strict=True),
                self.family.limit(self.statistic, known, side),
            )
            for side in (-z, z)
        )
        below, above = self.values - lower, upper - self.values
        # Hardly any resample has the group: its value may be anything.
        below[np.isnan(below)] = above[np.isnan(above)] = np.inf
        return below, above

    def limits(self, z: float, *, strict: bool) -> tuple[np.ndarray, np.ndarray]:
        """Limits of the cost of each ordered pair, shape (n_groups, n_groups)."""
        below, above = self.distances(z, strict=strict)
        low, high = self.transform.pair_limits(
            self.values, below, above, self.correlations
        )
        # Other pairs are not compared.
        return np.where(self.pairs, low, -np.inf), np.where(self.pairs, high, -np.inf)

    def largest_error(self, kept: np.ndarray) -> np.ndarray:
        """Largest studentised error of the pairs that are kept, in each resample.

        NOTE: Pairs grow with the square of the groups, and few of them matter. The
        error of a pair is that of the first group minus that of the second, each
        studentised and weighted. The squares of both weights add up to 1, so that the
        error is at most the root of the sum of two squares. Pairs of the groups with
        the largest errors come first. Then few pairs, or none, may have a larger one.
        """
        if kept.sum() <= N_EXTREME * len(kept):
            return self._largest_of_pairs(kept)
        with np.errstate(invalid="ignore", divide="ignore"):
            errors = np.nan_to_num(self.deviations / self.errors)
        # Errors of groups as the first and as the second of a pair.
        above = np.where(kept.any(axis=1), errors, 0).clip(0)
        below = np.where(kept.any(axis=0), -errors, 0).clip(0)
        extremes = [
            np.argpartition(-values, N_EXTREME, axis=1)[:, :N_EXTREME]
            for values in (above, below)
        ]
        largest = self._largest_among(kept, self.deviations, *extremes)
        thresholds = (largest * (1 - 1e-12))[:, None] ** 2  # for rounding errors
        may_be_first = above**2 + below.max(1, keepdims=True) ** 2 > thresholds
        may_be_second = below**2 + above.max(1, keepdims=True) ** 2 > thresholds
        n_candidates = np.maximum(may_be_first.sum(1), may_be_second.sum(1))
        for row in np.flatnonzero(n_candidates > N_EXTREME):
            candidates = [
                np.flatnonzero(may_be[row])[None]
                for may_be in (may_be_first, may_be_second)
            ]
            largest[row] = self._largest_among(
                kept, self.deviations[[row]], *candidates
            ).item()
        return largest

    def _largest_among(
        self,
        kept: np.ndarray,
        deviations: np.ndarray,
        first: np.ndarray,
        second: np.ndarray,
    ) -> np.ndarray:
        """Largest studentised error of pairs of these groups, a row per resample."""
        i, j = first[:, :, None], second[:, None, :]
        slopes = self.slopes[i, j]
        scale = joint_error(slopes * self.errors[i], self.errors[j], None)
        of_first, of_second = (
            np.take_along_axis(deviations, groups, axis=1) for groups in (first, second)
        )
        errors = slopes * of_first[:, :, None] - of_second[:, None, :]
        usable = kept[i, j] & (scale > 0)
        studentised = np.divide(errors, scale, out=np.zeros_like(errors), where=usable)
        # A resample that lacks a group has no error there.
        return np.nan_to_num(studentised).max((1, 2), initial=0)

    def _largest_of_pairs(self, kept: np.ndarray) -> np.ndarray:
        """Largest studentised error of the pairs that are kept, one after another."""
        largest = np.zeros(len(self.deviations))
        for first, others in enumerate(kept):
            slopes = self.slopes[first]
            scale = joint_error(
                slopes * self.errors[first],
                self.errors,
                None if self.correlations is None else self.correlations[first],
            )
            # A constant has no error.
            usable = others & (scale > 0)
            errors = (
                slopes[usable] * self.deviations[:, [first]]
                - self.deviations[:, usable]
            )
            studentised = np.nan_to_num(errors / scale[usable])
            np.maximum(largest, studentised.max(1, initial=0), out=largest)
        return largest
