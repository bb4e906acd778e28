"""Upper confidence limits of a disparity, from held-out samples."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from fairtask.bounds._certificate import difference_of_rates
from fairtask.metrics._bootstrap import make_generator
from fairtask.metrics._comparison import Comparison
from fairtask.metrics._group_metric import GroupMetric
from fairtask.metrics._intervals import intervals
from fairtask.metrics._rates import GroupRates
from fairtask.metrics._resampling import resample
from fairtask.metrics._transforms import DIFFERENCE
from fairtask.model_selection._scores import check_one_number, is_best_at_one

__all__ = ["UpperLimits", "check_limits"]

TAKEN_BY_EXACT = {"attributes", "control_features", "groups", "labels", "pos_label"}


def check_limits(metric: GroupMetric, is_exact: bool, settings: dict[str, Any]) -> None:
    """Raise a ValueError if the metric has no such limits with these settings."""
    check_one_number(settings)
    if not is_exact:
        if metric.family.no_limits:
            raise ValueError(
                f"`disparity` must have confidence limits; {metric.name!r} has none."
            )
        return
    if metric.transform is not DIFFERENCE or metric.family is not GroupRates:
        raise ValueError(
            "`disparity` must be a difference between rates for `limit='exact'`, "
            f"such as 'equalized_odds_difference'; {metric.name!r} is none. With "
            "`limit='bootstrap'` it has a limit that holds for many samples."
        )
    others = sorted(settings.keys() - TAKEN_BY_EXACT)
    if others:
        raise ValueError(
            f"`{others[0]}` has no use with `limit='exact'`, which compares all "
            "groups with each other and counts each sample once; use "
            "`limit='bootstrap'`."
        )


@dataclass(frozen=True)
class UpperLimits:
    """The disparity of a model, and its upper limits.

    Attributes
    ----------
    comparison : Comparison
        Of the groups, by the predictions or scores of the model.
    is_exact : bool
        Whether limits are those of `certified_difference`, or of `bootstrap`.
    deltas : sequence of float
        All probabilities with which a limit may be asked for, in ascending order.
    n_resamples, random_state : int
        Arguments of `bootstrap`.
    leaves_out : bool
        Whether groups with too few samples are left out on purpose.
    """

    comparison: Comparison
    is_exact: bool
    deltas: Sequence[float]
    n_resamples: int
    random_state: int
    leaves_out: bool

    @property
    def value(self) -> float:
        """The disparity."""
        value: Any = self.comparison.value()
        return 1 - value if is_best_at_one(self.comparison.metric.name) else value

    def limit(self, delta: float) -> float:
        """Return the limit that the true disparity exceeds with probability `delta`.

        It is infinite where the disparity is undefined, and does not rise where `delta`
        grows, which several tests of one candidate need.
        """
        if self.comparison.left_out() and not self.leaves_out:
            return np.inf  # nothing is known of a group without samples
        if self.is_exact:
            return self._exact_limit([d for d in self.deltas if d >= delta])
        (result,) = intervals(
            self.comparison,
            self._resampled,
            confidence_level=1 - 2 * delta,  # it has two sides
        )
        is_flipped = is_best_at_one(self.comparison.metric.name)
        high = 1 - result.low if is_flipped else result.high
        return np.inf if np.isnan(high) else high

    def why_infinite(self) -> str:
        """Return the end of a sentence on why there is no limit, after "because"."""
        too_few, comparison = self._too_few(), self.comparison
        if too_few:
            return f"of too few samples: {'; '.join(too_few)}."
        metric, names = comparison.metric, comparison.names
        enough = [
            f"{of_attribute.sum(axis=1).max()} of {of_attribute.shape[1]}"
            + (f" of {name!r}" if len(names) > 1 else "")
            for name, of_attribute in zip(names, comparison.compared, strict=True)
        ]
        return (
            f"{metric.name!r} takes {metric.transform.takes}. Groups with enough "
            f"samples: {', '.join(enough)}."
        )

    def _too_few(self) -> list[str]:
        """Name the groups with too few samples for a limit, and their numbers."""
        comparison = self.comparison
        strata = [comparison.statistics.strata[i] for i in comparison.strata]
        # The mean of a loss without a bound may be anything where samples are few.
        is_bounded = np.isfinite(strata[0][0].largest)
        smallest = 1 if is_bounded else comparison.statistics.few
        samples, found = comparison.samples, []
        tables = samples.by_attribute(samples.tables(), axis=0)
        for i, of_attribute in enumerate(comparison.compared):
            groups = samples.sensitive.groups[i].tolist()
            for (_, c), compared in zip(strata, of_attribute, strict=True):
                counts = compared | (not self.leaves_out)
                for kind in comparison.metric.needs:
                    sizes = kind.count(tables[i], c)
                    found += [
                        f"group {groups[g]!r}{comparison.where(i, c)} has {sizes[g]} "
                        f"{kind.name}"
                        for g in np.flatnonzero(counts & (sizes < smallest))
                    ]
        return [f"{text}, fewer than {smallest}" for text in dict.fromkeys(found)]

    @cached_property
    def _resampled(self) -> np.ndarray:
        """The statistics of resamples, which are the same for every `delta`."""
        rng = make_generator(self.random_state)
        return resample(self.comparison.statistics, self.n_resamples, rng)

    def _exact_limit(self, deltas: Sequence[float]) -> float:
        """Return the certified bound on a difference between rates.

        NOTE: `delta` is not divided by the numbers of attributes, classes and pairs of
        groups. The largest of the true differences does not depend on the samples. It
        is enough that the bound on this one holds, since the largest bound is no lower.
        """
        bounds = []
        strata: Any = self.comparison.statistics.strata
        samples = self.comparison.samples
        for tables in samples.by_attribute(samples.tables(), axis=0):
            if len(tables) > 1:
                events = np.array([rate.count(tables, c) for rate, c in strata])
                sizes = np.array([rate.needs[0].count(tables, c) for rate, c in strata])
                bounds.append(difference_of_rates(events, sizes, deltas))
        return max(bounds, default=np.inf)
