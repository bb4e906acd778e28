r"""Differences between groups in what a binary classifier does.

Signatures and words follow `fairlearn.metrics`, and the values are equal where both are
defined. They differ where a rate is 0/0: here the group is left out with an
`~sklearn.exceptions.UndefinedMetricWarning`, and the metric is NaN when fewer than two
groups remain; there the rate counts as 0, so that a perfect classifier may seem unfair
and a useless one fair.
"""

import reprlib
import warnings
from collections.abc import Sequence
from numbers import Integral
from typing import Any, Literal

import numpy as np
import pandas as pd
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.metrics import roc_auc_score

from fairtask._sensitive import encode_sensitive_features

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
        Weights of the samples. A sample of weight 0 is left out.
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
    labels = {"y_true": y_true, "y_pred": y_pred}
    data = _Sample(labels, sensitive_features, sample_weight, pos_label, groups)
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
        Weights of the samples. A sample of weight 0 is left out.
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
    labels = {"y_true": y_true, "y_pred": y_pred}
    data = _Sample(labels, sensitive_features, sample_weight, pos_label, groups)
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
        Weights of the samples. A sample of weight 0 is left out.
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
    labels = {"y_true": y_true, "y_pred": y_pred}
    data = _Sample(labels, sensitive_features, sample_weight, pos_label, groups)
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
        Weights of the samples. A sample of weight 0 is left out.
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
    labels = {"y_true": y_true}
    data = _Sample(labels, sensitive_features, sample_weight, pos_label, groups)
    scores = _numbers(y_score, "y_score", data.kept.size)[data.kept]
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
        Weights of the samples. A sample of weight 0 is left out.
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
    labels = {"y_true": y_true}
    data = _Sample(labels, sensitive_features, sample_weight, pos_label, groups)
    prob = _numbers(y_prob, "y_prob", data.kept.size)
    if ((prob < 0) | (prob > 1)).any():
        raise ValueError(
            "`y_prob` must hold probabilities in [0, 1]; found values from "
            f"{prob.min():.3g} to {prob.max():.3g}."
        )
    prob = prob[data.kept]
    p = np.where(data.y_true == 1, prob, 1 - prob)
    # Clipped as in sklearn.metrics.log_loss: a certain mistake costs 36, not infinity.
    losses = 1 - p if loss == "soft_zero_one" else -np.log(p.clip(np.finfo(float).eps))
    defined = data.comparable((), min_group_size, "group_loss_difference")
    return _range(data.sums(losses), data.sums(np.ones_like(losses)), defined)


class _Sample:
    """Labels and groups as codes, without the samples that are not compared."""

    def __init__(
        self,
        labels: dict[str, Any],
        sensitive_features: Any,
        sample_weight: Any,
        pos_label: Any,
        groups: Sequence | None,
    ) -> None:
        columns = {name: _column(values, name) for name, values in labels.items()}
        n_samples = len(columns["y_true"])
        for name, column in columns.items():
            _check_length(column, name, n_samples)
        positive = _positive_class(columns, pos_label)
        sensitive = encode_sensitive_features(sensitive_features, n_samples=n_samples)
        if len(sensitive.names) != 1:
            raise ValueError(
                "`sensitive_features` must be one column, the groups of one attribute; "
                f"got {len(sensitive.names)}: {sensitive.names}."
            )
        codes, self.groups = sensitive.codes[:, 0], sensitive.groups[0]
        if groups is not None:
            codes, self.groups = _restrict(codes, self.groups, groups)
        if sample_weight is None:
            weights = np.ones(n_samples)
        else:
            weights = _numbers(sample_weight, "sample_weight", n_samples)
        if (weights < 0).any():
            raise ValueError(
                f"`sample_weight` must not be negative; found {weights.min():.3g}."
            )
        self.kept = (codes >= 0) & (weights > 0)
        self.codes, self.weights = codes[self.kept], weights[self.kept]
        is_positive = {
            name: (column == positive)[self.kept].astype(np.int64)
            for name, column in columns.items()
        }
        self.y_true, self.y_pred = is_positive["y_true"], is_positive.get("y_pred")

    def confusion_table(self) -> np.ndarray:
        """Weight of each (group, true class, predicted class)."""
        cells = (self.codes * 2 + self.y_true) * 2 + self.y_pred
        n_cells = len(self.groups) * 4
        return np.bincount(cells, self.weights, n_cells).reshape(-1, 2, 2)

    def sums(self, values: np.ndarray) -> np.ndarray:
        """Weighted sum of the values in each group."""
        return np.bincount(self.codes, self.weights * values, len(self.groups))

    def comparable(
        self, classes: tuple[int, ...], min_group_size: Any, metric: str
    ) -> np.ndarray:
        """Groups that have enough samples, in each of the classes if any are given."""
        cells = self.codes * 2 + self.y_true
        sizes = np.bincount(cells, minlength=len(self.groups) * 2).reshape(-1, 2)
        smallest = sizes[:, classes].min(1) if classes else sizes.sum(1)
        if not isinstance(min_group_size, Integral) or min_group_size < 1:
            raise ValueError(
                f"`min_group_size` must be an integer of at least 1; got "
                f"{min_group_size!r}."
            )
        comparable = smallest >= min_group_size
        empty = [str(g) for g, n in zip(self.groups, smallest, strict=True) if n == 0]
        if empty:
            what = {(): "samples", (1,): "positives"}.get(
                classes, "positives or without negatives"
            )
            warnings.warn(
                f"`{metric}` leaves out groups without {what}: {', '.join(empty)}.",
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


def _column(values: Any, name: str) -> np.ndarray:
    column = np.asarray(values)
    if column.ndim == 2 and column.shape[1] == 1:
        column = column[:, 0]
    if column.ndim != 1:
        raise ValueError(
            f"`{name}` must have one value per sample, shape (n_samples,); got shape "
            f"{column.shape}."
        )
    return column


def _check_length(column: np.ndarray, name: str, n_samples: int) -> None:
    if len(column) != n_samples:
        raise ValueError(
            f"`{name}` must have as many samples as `y_true`: expected {n_samples}, "
            f"found {len(column)}."
        )


def _numbers(values: Any, name: str, n_samples: int) -> np.ndarray:
    column = _column(values, name)
    _check_length(column, name, n_samples)
    try:
        numbers = column.astype(float)
    except (TypeError, ValueError) as error:
        raise ValueError(f"`{name}` must hold numbers: {error}.") from error
    if not np.isfinite(numbers).all():
        raise ValueError(f"`{name}` must be finite; found NaN or infinity.")
    return numbers


def _positive_class(columns: dict[str, np.ndarray], pos_label: Any) -> Any:
    found = {name: pd.unique(column) for name, column in columns.items()}
    for name, values in found.items():
        if pd.isna(values).any():
            raise ValueError(f"`{name}` must not have missing values.")
    labels = list(dict.fromkeys(label for v in found.values() for label in v.tolist()))
    # "1" and 1 never compare equal: one column of each would give rates of 0.
    if len(labels) > 2 or not _one_type(labels):
        names = " and ".join(f"`{name}`" for name in columns)
        raise ValueError(
            f"{names} must have two classes at most, of one type; found {len(labels)}: "
            f"{reprlib.repr(labels)}."
        )
    labels.sort()
    if pos_label is not None:
        fits = len(labels) < 2 and _one_type([*labels, pos_label])
        if pos_label not in labels and not fits:
            raise ValueError(f"`pos_label` must be one of {labels}; got {pos_label!r}.")
        return pos_label
    if {0, 1}.issuperset(labels) or {-1, 1}.issuperset(labels):
        return 1
    if len(labels) < 2:
        raise ValueError(
            f"`pos_label` is needed: all labels are {labels[0]!r}, so that the "
            "positive class cannot be told."
        )
    return labels[1]


def _one_type(labels: list) -> bool:
    return len({isinstance(label, str) for label in labels}) <= 1


def _restrict(
    codes: np.ndarray, found: np.ndarray, wanted: Sequence
) -> tuple[np.ndarray, np.ndarray]:
    """Codes with respect to the groups that are wanted."""
    if isinstance(wanted, str):
        raise ValueError(f"`groups` must be a sequence of groups; got {wanted!r}.")
    wanted = list(dict.fromkeys(wanted))
    position = {group: i for i, group in enumerate(wanted)}
    translation = np.array([position.get(group, -1) for group in found] + [-1])
    return translation[codes], np.array(wanted, dtype=object)


def _range(parts: np.ndarray, totals: np.ndarray, defined: np.ndarray) -> float:
    """Largest minus smallest of the rates that are defined."""
    if not defined.any():
        return np.nan
    return float(np.ptp(parts[defined] / totals[defined]))
