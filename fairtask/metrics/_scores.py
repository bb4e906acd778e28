"""Losses and areas under the ROC curve of groups, and the differences between them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from scipy import sparse
from scipy.stats import norm
from scipy.stats import t as student_t

from fairtask.metrics._difference import Attributes, difference_metric
from fairtask.metrics._intervals import wilson_limit
from fairtask.metrics._samples import GroupedSamples
from fairtask.metrics._statistics import (
    ANY_SAMPLE,
    NEGATIVES,
    POSITIVES,
    GroupStatistics,
    Statistic,
    membership_matrix,
)

__all__ = [
    "LOG_LOSS",
    "ROC_AUC",
    "GroupAUCs",
    "GroupLosses",
    "group_auc_difference",
    "group_loss_difference",
    "sample_losses",
]

ROC_AUC = Statistic("roc_auc", needs=(POSITIVES, NEGATIVES))
LOG_LOSS = Statistic("log_loss", needs=(ANY_SAMPLE,), per_class=False, largest=np.inf)
SOFT_ZERO_ONE = Statistic("soft_zero_one", needs=(ANY_SAMPLE,), per_class=False)


def sample_losses(prob: np.ndarray, loss: str) -> np.ndarray:
    """Loss of samples whose true class has these probabilities."""
    if loss == "soft_zero_one":
        return 1 - prob
    # Clipped as in sklearn.metrics.log_loss: a certain mistake costs 36, not infinity.
    return -np.log(prob.clip(np.finfo(float).eps))


class GroupLosses(GroupStatistics):
    """Mean loss of each group; every sample is an atom.

    `statistics` holds one loss; `argument` is the name of the probabilities.
    """

    output = "y_prob"

    def __init__(
        self,
        samples: GroupedSamples,
        statistics: Sequence[Statistic],
        argument: str = "y_prob",
    ) -> None:
        super().__init__(samples, statistics)
        (loss,) = statistics
        losses = sample_losses(samples.true_class_probabilities(argument), loss.name)
        self.counts = np.ones(len(losses), dtype=np.int64)
        # Sums of the weighted losses, below them sums of the weights.
        self.memberships = [
            sparse.vstack(
                [
                    membership_matrix(codes, values, codes >= 0, n_groups)
                    for values in (samples.weights * losses, samples.weights)
                ],
                format="csr",
            )
            for codes, n_groups in samples.group_codes()
        ]

    def evaluate(self, multiplicities: np.ndarray) -> list[np.ndarray]:
        """Compute the means; see the base class."""
        results = []
        for membership in self.memberships:
            sums, totals = np.split((membership @ multiplicities.T).T, 2, axis=1)
            with np.errstate(invalid="ignore"):  # 0/0 is NaN
                results.append((sums / totals)[:, None])
        return results

    def limit(
        self, values: np.ndarray, errors: np.ndarray, n: np.ndarray, z: float
    ) -> np.ndarray:
        """Compute the limit of each mean, with Student's t for few samples."""
        with np.errstate(invalid="ignore"):
            quantile = np.sign(z) * student_t.ppf(norm.cdf(abs(z)), n - 1)
            limits = np.where(n > 1, values + quantile * errors, np.sign(z) * np.inf)
        return np.where(np.isnan(errors), np.nan, np.maximum(limits, 0))


class GroupAUCs(GroupStatistics):
    """Area under the ROC curve inside each group; every sample is an atom."""

    output = "y_score"

    def __init__(
        self, samples: GroupedSamples, statistics: Sequence[Statistic] = (ROC_AUC,)
    ) -> None:
        super().__init__(samples, statistics)
        scores = samples.scores("y_score")
        self.counts = np.ones(len(scores), dtype=np.int64)
        order = scores.argsort(axis=0, kind="stable")
        self.areas = [
            [
                [
                    _Area.of(rows[codes[rows] == group], scores[:, i], samples, c)
                    for group in range(n_groups)
                ]
                for i, (rows, c) in enumerate(
                    zip(order.T, samples.positives, strict=True)
                )
            ]
            for codes, n_groups in samples.group_codes()
        ]

    def evaluate(self, multiplicities: np.ndarray) -> list[np.ndarray]:
        """Compute the areas; see the base class."""
        results = []
        for strata in self.areas:
            values = np.empty((len(multiplicities), len(strata), len(strata[0])))
            for i, groups in enumerate(strata):
                for group, area in enumerate(groups):
                    values[:, i, group] = area.evaluate(multiplicities)
            results.append(values)
        return results

    def limit(
        self, values: np.ndarray, errors: np.ndarray, n: np.ndarray, z: float
    ) -> np.ndarray:
        """Compute Wilson's limit with a number of samples derived from the errors.

        NOTE: A share v of m samples has a squared error of v (1 - v) / m, which gives
        an m for the error of an area. Areas of few samples may be 1 in nearly all
        resamples, with an error near 0. Therefore m is at most three times the size of
        the smaller class, more than common distributions of scores lead to.
        """
        with np.errstate(invalid="ignore", divide="ignore"):
            m = np.fmin(values * (1 - values) / errors**2, 3 * n)
        return wilson_limit(values, np.where(np.isnan(errors), np.nan, m), z)


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


@difference_metric(GroupAUCs, ROC_AUC)
def group_auc_difference(
    y_true: Any,
    y_score: Any,
    *,
    sensitive_features: Any,
    sample_weight: Any = None,
    attributes: Attributes = "worst_case",
    pos_label: Any = None,
    labels: Any = None,
    groups: Any = None,
    min_group_size: int = 1,
) -> Any:
    r"""Difference between groups in the area under the ROC curve (GAUCD).

    .. math:: \max_g \mathrm{AUC}_g - \min_g \mathrm{AUC}_g

    where :math:`\mathrm{AUC}_g` is computed inside group g.

    Returns
    -------
    difference : float, or dict of str to float if ``attributes="each"``
        0 to 1, or NaN when fewer than two groups can be compared.

    Examples
    --------
    >>> from fairtask.metrics import group_auc_difference
    >>> group_auc_difference(
    ...     [0, 1, 0, 1], [0.1, 0.9, 0.5, 0.5], sensitive_features=["a", "a", "b", "b"]
    ... )
    0.5
    """


@difference_metric(GroupLosses, LOG_LOSS, SOFT_ZERO_ONE)
def group_loss_difference(
    y_true: Any,
    y_prob: Any,
    *,
    sensitive_features: Any,
    sample_weight: Any = None,
    loss: Literal["log_loss", "soft_zero_one"] = "log_loss",
    attributes: Attributes = "worst_case",
    pos_label: Any = None,
    labels: Any = None,
    groups: Any = None,
    min_group_size: int = 1,
) -> Any:
    r"""Difference between groups in the mean loss.

    .. math:: \max_g L_g - \min_g L_g

    where :math:`L_g` is the mean loss of the samples of group g. With two groups and a
    loss in [0, 1], such as "soft_zero_one", it is the gap that `fairtask.bounds`
    bounds.

    Returns
    -------
    difference : float, or dict of str to float if ``attributes="each"``
        At least 0, or NaN when fewer than two groups can be compared.

    Examples
    --------
    >>> from fairtask.metrics import group_loss_difference
    >>> group_loss_difference(
    ...     [1, 1, 1, 0],
    ...     [1.0, 0.5, 0.5, 0.5],
    ...     sensitive_features=["a", "a", "b", "b"],
    ...     loss="soft_zero_one",
    ... )
    0.25
    """
