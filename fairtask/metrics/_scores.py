"""Losses and areas under the ROC curve of groups."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.stats import chi2, norm, rankdata

from fairtask.metrics._samples import GroupedSamples
from fairtask.metrics._share_limits import (
    FEW,
    exact_limit,
    largest_number,
    n_of_share,
    wilson_limit,
)
from fairtask.metrics._statistics import (
    ANY_SAMPLE,
    NEGATIVES,
    POSITIVES,
    Estimates,
    GroupStatistics,
    Statistic,
    membership_matrix,
)

__all__ = [
    "LOG_LOSS",
    "ROC_AUC",
    "SOFT_ZERO_ONE",
    "GroupAUCs",
    "GroupLosses",
    "sample_losses",
]


def sample_losses(prob: np.ndarray, loss: str) -> np.ndarray:
    """Loss of samples whose true class has these probabilities."""
    if loss == "soft_zero_one":
        return 1 - prob
    # Clipped as in sklearn.metrics.log_loss: a certain mistake costs 36, not infinity.
    return -np.log(prob.clip(np.finfo(float).eps))


class GroupLosses(GroupStatistics):
    """Mean loss of each group; every sample is an atom."""

    output = "y_prob"
    chosen_by = "loss"
    few = 2 * FEW

    def __init__(
        self, samples: GroupedSamples, statistics: Sequence[Statistic]
    ) -> None:
        super().__init__(samples, statistics)
        self.outputs = prob = samples.true_class_probabilities()
        losses = [samples.weights * sample_losses(prob, s.name) for s in statistics]
        self.memberships = [
            membership_matrix(samples.positions, samples.n_groups, values)
            for values in (*losses, samples.weights)
        ]

    def evaluate(self, multiplicities: np.ndarray) -> np.ndarray:
        """Compute the means; see the base class."""
        *sums, totals = ((m @ multiplicities.T).T for m in self.memberships)
        with np.errstate(invalid="ignore"):  # 0/0 is NaN
            return np.stack([s / totals for s in sums], axis=1)

    def limit(
        self, statistic: Statistic, known: Estimates, z: float, *, strict: bool = False
    ) -> np.ndarray:
        """Compute limits of the means of losses.

        NOTE: Most losses are small and few are large, so that Student's upper limits
        are too low. A mean in [0, 1] is taken as a share, and the mean of a loss
        without a bound as that of exponential variables, which gives a gamma
        distribution. In both cases their number follows from the standard error. A
        large loss may be so rare that few samples say nothing of it: strict limits are
        infinite then.
        """
        values, errors, n = known
        if statistic.largest == 1:
            return exact_limit(values, n_of_share(*known), z)
        with np.errstate(invalid="ignore", divide="ignore"):
            m = np.fmin((values / errors) ** 2, largest_number(n))
            limits = 2 * m * values / chi2.isf(norm.cdf(z), 2 * m)
        limits = np.where(np.isinf(n), values, limits)
        limits = np.where(np.isnan(errors), np.nan, limits)
        if not strict:
            return limits
        unknown = (n < self.few) | (np.isfinite(n) & (values == 0))
        return np.where(unknown, np.sign(z) * np.inf, limits)


class GroupAUCs(GroupStatistics):
    """Area under the ROC curve inside each group; every sample is an atom."""

    output = "y_score"

    def __init__(
        self, samples: GroupedSamples, statistics: Sequence[Statistic]
    ) -> None:
        super().__init__(samples, statistics)
        self.scores = scores = samples.scores()
        order = scores.argsort(axis=0, kind="stable")
        self.areas = [
            [
                _Area.of(rows[codes[rows] == group], scores[:, i], samples, c)
                for codes, groups in zip(
                    samples.sensitive.codes.T, samples.sensitive.groups, strict=True
                )
                for group in range(len(groups))
            ]
            for i, (rows, c) in enumerate(zip(order.T, samples.positives, strict=True))
        ]

    @cached_property
    def outputs(self) -> np.ndarray:  # type: ignore[override]
        """Ranks of the scores, whose order alone matters."""
        return rankdata(self.scores, method="dense", axis=0)

    def evaluate(self, multiplicities: np.ndarray) -> np.ndarray:
        """Compute the areas; see the base class."""
        n_strata, n_groups = len(self.areas), self.samples.n_groups
        values = np.empty((len(multiplicities), n_strata, n_groups))
        for i, groups in enumerate(self.areas):
            for group, area in enumerate(groups):
                values[:, i, group] = area.evaluate(multiplicities)
        return values

    def limit(
        self, statistic: Statistic, known: Estimates, z: float, *, strict: bool = False
    ) -> np.ndarray:
        """Compute Wilson's limit with a number of samples derived from the errors.

        NOTE: Areas of few samples may be 1 in nearly all resamples, with an error near
        0. Therefore the number is at most three times the size of the smaller class,
        more than common distributions of scores lead to. Strict limits are those of
        Clopper and Pearson. Whatever the scores, the squared error is at most
        v (1 - v) / n.
        """
        if strict:
            return exact_limit(known.values, n_of_share(*known), z)
        return wilson_limit(known.values, n_of_share(*known, largest=3 * known.n), z)


@dataclass(frozen=True)
class _Area:
    """Share of pairs of a positive and a negative that are in order; ties count half.

    Attributes
    ----------
    rows : ndarray of shape (n_members,), int64
        The samples of a group, by ascending score.
    positive, negative : ndarray of shape (n_members,)
        Their weights, 0 for samples of the other class.
    starts : ndarray of int64, or None
        Positions where another score begins; None if there are no ties.
    """

    rows: np.ndarray
    positive: np.ndarray
    negative: np.ndarray
    starts: np.ndarray | None

    @classmethod
    def of(
        cls, rows: np.ndarray, scores: np.ndarray, samples: GroupedSamples, c: int
    ) -> "_Area":
        """Prepare the area of class c against the rest."""
        is_positive = samples.y_true[rows] == c
        weights = samples.weights[rows]
        starts = np.flatnonzero(np.diff(scores[rows], prepend=-np.inf))
        return cls(
            rows,
            weights * is_positive,
            weights * ~is_positive,
            None if len(starts) == len(rows) else starts,
        )

    def evaluate(self, multiplicities: np.ndarray) -> np.ndarray:
        """Compute the area for each row of multiplicities."""
        occurs = multiplicities.take(self.rows, axis=1)
        positive, negative = occurs * self.positive, occurs * self.negative
        if self.starts is not None:
            positive = np.add.reduceat(positive, self.starts, axis=1)
            negative = np.add.reduceat(negative, self.starts, axis=1)
        below = negative.cumsum(axis=1) - negative / 2
        with np.errstate(invalid="ignore"):  # 0/0 is NaN
            return np.einsum("bi,bi->b", positive, below) / (
                positive.sum(1) * negative.sum(1)
            )


ROC_AUC = Statistic(
    name="roc_auc",
    family=GroupAUCs,
    needs=(POSITIVES, NEGATIVES),
    formula=r"\mathrm{AUC}_g",
    greater_is_better=True,
)
LOG_LOSS = Statistic(
    name="log_loss",
    family=GroupLosses,
    needs=(ANY_SAMPLE,),
    formula="L_g",
    greater_is_better=False,
    per_class=False,
    largest=np.inf,
)
SOFT_ZERO_ONE = Statistic(
    name="soft_zero_one",
    family=GroupLosses,
    needs=(ANY_SAMPLE,),
    formula="L_g",
    greater_is_better=False,
    per_class=False,
)
