r"""Differences between groups in what a binary classifier does.

Signatures and words follow `fairlearn.metrics`, and the values are equal where both are
defined. They differ where a rate is 0/0: here the group is left out with an
`~sklearn.exceptions.UndefinedMetricWarning`, and the metric is NaN when fewer than two
groups remain; there the rate counts as 0, so that a perfect classifier may seem unfair
and a useless one fair.
"""

import warnings
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.metrics import roc_auc_score
from sklearn.utils.validation import (
    _check_sample_weight,
    check_consistent_length,
    column_or_1d,
)

from fairtask._validation import encode_sensitive_features

__all__ = [
    "demographic_parity_difference",
    "equal_opportunity_difference",
    "equalized_odds_difference",
    "group_auc_difference",
    "group_loss_difference",
]


def demographic_parity_difference(
    y_true: Any,
    y_pred: Any,
    *,
    sensitive_features: Any,
    sample_weight: Any = None,
    pos_label: Any = None,
    groups: Sequence | None = None,
    min_group_size: int = 1,
) -> float:
    r"""Difference between groups in the rate of positive predictions.

    .. math:: \max_g P(\hat y = 1 \mid z = g) - \min_g P(\hat y = 1 \mid z = g)

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        True labels, two classes at most. Used to know the classes only.
    y_pred : array-like of shape (n_samples,)
        Predicted labels.
    sensitive_features : array-like of shape (n_samples,)
        Group of each sample. Samples whose group is missing are left out.
    sample_weight : array-like of shape (n_samples,), default=None
        Weights of the samples.
    pos_label : int, float, bool or str, default=None
        The positive class. None: 1 where the labels are among {0, 1} or {-1, 1}, else
        the second of the two sorted labels.
    groups : sequence, default=None
        Groups to compare, for example those of the training data. None: all that occur.
    min_group_size : int, default=1
        Smallest number of samples that a group needs to be compared.

    Returns
    -------
    difference : float
        0 to 1, or NaN when fewer than two groups can be compared.

    Raises
    ------
    ValueError
        If an argument is not as described.

    Warns
    -----
    UndefinedMetricWarning
        If a group has no samples, or fewer than two groups can be compared.

    Examples
    --------
    >>> from fairtask.metrics import demographic_parity_difference
    >>> demographic_parity_difference(
    ...     [0, 1, 0, 1], [1, 1, 0, 1], sensitive_features=["a", "a", "b", "b"]
    ... )
    0.5
    """
    data = _Sample(y_true, y_pred, sensitive_features, sample_weight, pos_label, groups)
    table = data.confusion_table()
    defined = data.comparable((), min_group_size, "demographic_parity_difference")
    return _range(table[:, :, 1].sum(1), table.sum((1, 2)), defined)


def equal_opportunity_difference(
    y_true: Any,
    y_pred: Any,
    *,
    sensitive_features: Any,
    sample_weight: Any = None,
    pos_label: Any = None,
    groups: Sequence | None = None,
    min_group_size: int = 1,
) -> float:
    r"""Difference between groups in the true positive rate [1]_.

    .. math::

        \max_g P(\hat y = 1 \mid y = 1, z = g) - \min_g P(\hat y = 1 \mid y = 1, z = g)

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        True labels, two classes at most.
    y_pred : array-like of shape (n_samples,)
        Predicted labels.
    sensitive_features : array-like of shape (n_samples,)
        Group of each sample. Samples whose group is missing are left out.
    sample_weight : array-like of shape (n_samples,), default=None
        Weights of the samples.
    pos_label : int, float, bool or str, default=None
        The positive class. None: 1 where the labels are among {0, 1} or {-1, 1}, else
        the second of the two sorted labels.
    groups : sequence, default=None
        Groups to compare, for example those of the training data. None: all that occur.
    min_group_size : int, default=1
        Smallest number of positives that a group needs to be compared.

    Returns
    -------
    difference : float
        0 to 1, or NaN when fewer than two groups can be compared.

    Raises
    ------
    ValueError
        If an argument is not as described.

    Warns
    -----
    UndefinedMetricWarning
        If a group has no positives, or fewer than two groups can be compared.

    References
    ----------
    .. [1] M. Hardt, E. Price and N. Srebro. "Equality of opportunity in supervised
       learning". NeurIPS 2016.

    Examples
    --------
    >>> from fairtask.metrics import equal_opportunity_difference
    >>> equal_opportunity_difference(
    ...     [0, 1, 1, 1], [1, 1, 0, 1], sensitive_features=["a", "a", "b", "b"]
    ... )
    0.5
    """
    data = _Sample(y_true, y_pred, sensitive_features, sample_weight, pos_label, groups)
    table = data.confusion_table()
    defined = data.comparable((1,), min_group_size, "equal_opportunity_difference")
    return _range(table[:, 1, 1], table[:, 1].sum(1), defined)


def equalized_odds_difference(
    y_true: Any,
    y_pred: Any,
    *,
    sensitive_features: Any,
    sample_weight: Any = None,
    agg: Literal["worst_case", "mean"] = "worst_case",
    pos_label: Any = None,
    groups: Sequence | None = None,
    min_group_size: int = 1,
) -> float:
    r"""Difference between groups in the true and the false positive rate [1]_.

    .. math::

        \operatorname{agg}_{c \in \{0, 1\}} \left(
        \max_g P(\hat y = 1 \mid y = c, z = g) - \min_g P(\hat y = 1 \mid y = c, z = g)
        \right)

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        True labels, two classes at most.
    y_pred : array-like of shape (n_samples,)
        Predicted labels.
    sensitive_features : array-like of shape (n_samples,)
        Group of each sample. Samples whose group is missing are left out.
    sample_weight : array-like of shape (n_samples,), default=None
        Weights of the samples.
    agg : {"worst_case", "mean"}, default="worst_case"
        The larger of the two differences, or their mean.
    pos_label : int, float, bool or str, default=None
        The positive class. None: 1 where the labels are among {0, 1} or {-1, 1}, else
        the second of the two sorted labels.
    groups : sequence, default=None
        Groups to compare, for example those of the training data. None: all that occur.
    min_group_size : int, default=1
        Smallest number of positives, and of negatives, that a group needs to be
        compared.

    Returns
    -------
    difference : float
        0 to 1, or NaN when fewer than two groups can be compared.

    Raises
    ------
    ValueError
        If an argument is not as described.

    Warns
    -----
    UndefinedMetricWarning
        If a group has no positives or no negatives, or fewer than two groups can be
        compared.

    References
    ----------
    .. [1] M. Hardt, E. Price and N. Srebro. "Equality of opportunity in supervised
       learning". NeurIPS 2016.

    Examples
    --------
    >>> from fairtask.metrics import equalized_odds_difference
    >>> y_true, y_pred = [0, 1, 1, 0, 1, 1], [0, 1, 1, 0, 1, 0]
    >>> z = ["a", "a", "a", "b", "b", "b"]
    >>> equalized_odds_difference(y_true, y_pred, sensitive_features=z)
    0.5
    >>> equalized_odds_difference(y_true, y_pred, sensitive_features=z, agg="mean")
    0.25
    """
    if agg not in ("worst_case", "mean"):
        raise ValueError(f"`agg` must be 'worst_case' or 'mean'; got {agg!r}.")
    data = _Sample(y_true, y_pred, sensitive_features, sample_weight, pos_label, groups)
    table = data.confusion_table()
    defined = data.comparable((0, 1), min_group_size, "equalized_odds_difference")
    differences = [_range(table[:, c, 1], table[:, c].sum(1), defined) for c in (0, 1)]
    return max(differences) if agg == "worst_case" else float(np.mean(differences))


def group_auc_difference(
    y_true: Any,
    y_score: Any,
    *,
    sensitive_features: Any,
    sample_weight: Any = None,
    pos_label: Any = None,
    groups: Sequence | None = None,
    min_group_size: int = 1,
) -> float:
    r"""Difference between groups in the area under the ROC curve (GAUCD).

    .. math:: \max_g \mathrm{AUC}_g - \min_g \mathrm{AUC}_g

    where :math:`\mathrm{AUC}_g` is computed inside group g.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        True labels, two classes at most.
    y_score : array-like of shape (n_samples,)
        Scores of the positive class.
    sensitive_features : array-like of shape (n_samples,)
        Group of each sample. Samples whose group is missing are left out.
    sample_weight : array-like of shape (n_samples,), default=None
        Weights of the samples.
    pos_label : int, float, bool or str, default=None
        The positive class. None: 1 where the labels are among {0, 1} or {-1, 1}, else
        the second of the two sorted labels.
    groups : sequence, default=None
        Groups to compare, for example those of the training data. None: all that occur.
    min_group_size : int, default=1
        Smallest number of positives, and of negatives, that a group needs to be
        compared.

    Returns
    -------
    difference : float
        0 to 1, or NaN when fewer than two groups can be compared.

    Raises
    ------
    ValueError
        If an argument is not as described.

    Warns
    -----
    UndefinedMetricWarning
        If a group has no positives or no negatives, or fewer than two groups can be
        compared.

    Examples
    --------
    >>> from fairtask.metrics import group_auc_difference
    >>> group_auc_difference(
    ...     [0, 1, 0, 1], [0.1, 0.9, 0.5, 0.5], sensitive_features=["a", "a", "b", "b"]
    ... )
    0.5
    """
    data = _Sample(y_true, None, sensitive_features, sample_weight, pos_label, groups)
    scores = data.scores(y_score, "y_score")
    defined = data.comparable((0, 1), min_group_size, "group_auc_difference")
    aucs = []
    for group in np.flatnonzero(defined):
        members = data.codes == group
        aucs.append(
            roc_auc_score(
                data.y_true[members],
                scores[members],
                sample_weight=data.weights[members],
            )
        )
    return float(np.ptp(aucs)) if aucs else np.nan


def group_loss_difference(
    y_true: Any,
    y_prob: Any,
    *,
    sensitive_features: Any,
    sample_weight: Any = None,
    loss: Literal["log_loss", "soft_zero_one"] = "log_loss",
    pos_label: Any = None,
    groups: Sequence | None = None,
    min_group_size: int = 1,
) -> float:
    r"""Difference between groups in the mean loss.

    .. math:: \max_g L_g - \min_g L_g

    where :math:`L_g` is the mean loss of the samples of group g. With two groups it is
    the fairness gap of the paper's theory, whose losses must lie in [0, 1]:
    "soft_zero_one" does.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        True labels, two classes at most.
    y_prob : array-like of shape (n_samples,)
        Probabilities of the positive class.
    sensitive_features : array-like of shape (n_samples,)
        Group of each sample. Samples whose group is missing are left out.
    sample_weight : array-like of shape (n_samples,), default=None
        Weights of the samples.
    loss : {"log_loss", "soft_zero_one"}, default="log_loss"
        Loss of a sample with probability p for its true class: :math:`-\log p`, or
        :math:`1 - p`.
    pos_label : int, float, bool or str, default=None
        The positive class. None: 1 where the labels are among {0, 1} or {-1, 1}, else
        the second of the two sorted labels.
    groups : sequence, default=None
        Groups to compare, for example those of the training data. None: all that occur.
    min_group_size : int, default=1
        Smallest number of samples that a group needs to be compared.

    Returns
    -------
    difference : float
        At least 0, or NaN when fewer than two groups can be compared.

    Raises
    ------
    ValueError
        If an argument is not as described.

    Warns
    -----
    UndefinedMetricWarning
        If a group has no samples, or fewer than two groups can be compared.

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
    if loss not in ("log_loss", "soft_zero_one"):
        raise ValueError(f"`loss` must be 'log_loss' or 'soft_zero_one'; got {loss!r}.")
    data = _Sample(y_true, None, sensitive_features, sample_weight, pos_label, groups)
    prob = data.scores(y_prob, "y_prob")
    if prob.min() < 0 or prob.max() > 1:
        raise ValueError(
            "`y_prob` must hold probabilities in [0, 1]; found values from "
            f"{prob.min():.3g} to {prob.max():.3g}."
        )
    p = np.where(data.y_true == 1, prob, 1 - prob)
    # Clipped as in sklearn.metrics.log_loss: a certain mistake costs 36, not infinity.
    losses = 1 - p if loss == "soft_zero_one" else -np.log(p.clip(np.finfo(float).eps))
    defined = data.comparable((), min_group_size, "group_loss_difference")
    return _range(data.sums(losses), data.sums(np.ones_like(losses)), defined)


class _Sample:
    """Labels and groups as codes, without the samples that are not compared."""

    def __init__(
        self,
        y_true: Any,
        y_pred: Any,
        sensitive_features: Any,
        sample_weight: Any,
        pos_label: Any,
        groups: Sequence | None,
    ) -> None:
        y_true = column_or_1d(y_true)
        columns = [y_true] if y_pred is None else [y_true, column_or_1d(y_pred)]
        check_consistent_length(*columns)
        positive = _positive_class(np.unique(np.concatenate(columns)), pos_label)
        sensitive = encode_sensitive_features(sensitive_features, n_samples=len(y_true))
        if len(sensitive.names) != 1:
            raise ValueError(
                "`sensitive_features` must be one column; got "
                f"{len(sensitive.names)}: {sensitive.names}. Call the metric for "
                "each."
            )
        codes, self.groups = sensitive.codes[:, 0], sensitive.groups[0]
        if groups is not None:
            codes, self.groups = _restrict(codes, self.groups, groups)
        self.kept = codes >= 0
        self.codes = codes[self.kept]
        self.weights = _check_sample_weight(
            sample_weight, y_true, dtype=float, ensure_non_negative=True
        )[self.kept]
        self.y_true, *rest = [
            (column == positive).astype(np.int64)[self.kept] for column in columns
        ]
        self.y_pred = rest[0] if rest else None

    def confusion_table(self) -> np.ndarray:
        """Weight of each (group, true class, predicted class)."""
        cells = (self.codes * 2 + self.y_true) * 2 + self.y_pred
        n_cells = len(self.groups) * 4
        return np.bincount(cells, self.weights, n_cells).reshape(-1, 2, 2)

    def scores(self, y_score: Any, name: str) -> np.ndarray:
        """Check scores, and keep those of the samples compared."""
        scores = np.asarray(y_score, dtype=float)
        if scores.shape != self.kept.shape:
            raise ValueError(
                f"`{name}` must hold one score of the positive class per sample, shape "
                f"{self.kept.shape}; got shape {scores.shape}."
            )
        if not np.isfinite(scores).all():
            raise ValueError(f"`{name}` must be finite; found NaN or infinity.")
        return scores[self.kept]

    def sums(self, values: np.ndarray) -> np.ndarray:
        """Weighted sum of the values in each group."""
        return np.bincount(self.codes, self.weights * values, len(self.groups))

    def comparable(
        self, classes: tuple[int, ...], min_group_size: int, metric: str
    ) -> np.ndarray:
        """Groups that have enough samples, in each of the classes if any are given."""
        counted = self.weights > 0
        cells = self.codes[counted] * 2 + self.y_true[counted]
        sizes = np.bincount(cells, minlength=len(self.groups) * 2).reshape(-1, 2)
        smallest = sizes[:, classes].min(1) if classes else sizes.sum(1)
        comparable = smallest >= max(1, min_group_size)
        empty = [g for g, n in zip(self.groups, smallest, strict=True) if n == 0]
        if empty:
            what = {(): "samples", (1,): "positives"}.get(
                classes, "positives or no negatives"
            )
            warnings.warn(
                f"`{metric}` leaves out the groups {empty}, which have no {what}.",
                UndefinedMetricWarning,
                stacklevel=3,
            )
        if comparable.sum() < 2:
            warnings.warn(
                f"`{metric}` is undefined and set to NaN: {comparable.sum()} of "
                f"{len(self.groups)} groups can be compared, and it takes two.",
                UndefinedMetricWarning,
                stacklevel=3,
            )
            comparable[:] = False
        return comparable


def _positive_class(labels: np.ndarray, pos_label: Any) -> Any:
    if len(labels) > 2:
        raise ValueError(
            "`y_true` and `y_pred` must have two classes at most; found "
            f"{labels.tolist()}."
        )
    if pos_label is not None:
        if len(labels) == 2 and pos_label not in labels:
            raise ValueError(
                f"`pos_label` must be one of {labels.tolist()}; got {pos_label!r}."
            )
        return pos_label
    if np.isin(labels, [0, 1]).all() or np.isin(labels, [-1, 1]).all():
        return 1
    if len(labels) < 2:
        raise ValueError(
            f"`pos_label` is needed: all labels are {labels.tolist()}, so that the "
            "positive class cannot be told."
        )
    return labels[1]


def _restrict(
    codes: np.ndarray, found: np.ndarray, wanted: Sequence
) -> tuple[np.ndarray, np.ndarray]:
    """Codes with respect to the groups that are wanted."""
    wanted = list(dict.fromkeys(wanted))
    position = {group: i for i, group in enumerate(wanted)}
    translation = np.array([position.get(group, -1) for group in found] + [-1])
    return translation[codes], np.array(wanted, dtype=object)


def _range(parts: np.ndarray, totals: np.ndarray, defined: np.ndarray) -> float:
    """Largest minus smallest of the rates that are defined."""
    if not defined.any():
        return np.nan
    return float(np.ptp(parts[defined] / totals[defined]))
