"""Differences between groups in what scores and probabilities are worth."""

from typing import Any, Literal

from fairtask.metrics._comparison import Attributes
from fairtask.metrics._difference import make_difference

__all__ = ["group_auc_difference", "group_loss_difference"]


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

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        True labels.
    y_score : array-like of shape (n_samples,) or (n_samples, n_classes)
        Scores of the positive class; of more than two classes, a column for each in
        sorted order, unless ``pos_label`` names one.
    sensitive_features : array-like of shape (n_samples,) or (n_samples, n_attributes)
        Group of each sample, a column per attribute. A missing value leaves the sample
        out of that attribute.
    sample_weight : array-like of shape (n_samples,), default=None
        Weights of the samples. A sample of weight 0 is left out.
    attributes : {"worst_case", "each", "intersection"}, default="worst_case"
        What is made of several attributes: the largest of their differences, a dict
        with each, or the difference between the combinations of their groups that
        occur. The last is what fairlearn takes.
    pos_label : int, float, bool or str, default=None
        The positive class. None: of two classes 1 where the labels are among {0, 1} or
        {-1, 1}, else the second of the two sorted labels; of more, each is taken
        against the rest, and the largest difference counts.
    labels : array-like, default=None
        The classes, where the labels passed may lack some. None: those that occur.
    groups : sequence, dict or list of sequences, default=None
        Groups to compare, for example those of the training data: of one attribute, or
        for each (``groups_`` of a fitted estimator, or a dict by name). None: all that
        occur.
    min_group_size : int, default=1
        Smallest number of positives, and of negatives, that a group needs to be
        compared.

    Returns
    -------
    difference : float, or dict of str to float if ``attributes="each"``
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
    return make_difference(
        "group_auc_difference",
        y_true,
        y_score,
        sensitive_features=sensitive_features,
        sample_weight=sample_weight,
        attributes=attributes,
        pos_label=pos_label,
        labels=labels,
        groups=groups,
        min_group_size=min_group_size,
    ).value()


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

    where :math:`L_g` is the mean loss of the samples of group g. With two groups it is
    the fairness gap of the paper's theory, whose losses must lie in [0, 1]:
    "soft_zero_one" does.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        True labels.
    y_prob : array-like of shape (n_samples,) or (n_samples, n_classes)
        Probabilities of the positive class; of more than two classes, a column for each
        in sorted order, unless ``pos_label`` names one.
    sensitive_features : array-like of shape (n_samples,) or (n_samples, n_attributes)
        Group of each sample, a column per attribute. A missing value leaves the sample
        out of that attribute.
    sample_weight : array-like of shape (n_samples,), default=None
        Weights of the samples. A sample of weight 0 is left out.
    loss : {"log_loss", "soft_zero_one"}, default="log_loss"
        Loss of a sample with probability p for its true class: :math:`-\log p`, or
        :math:`1 - p`.
    attributes : {"worst_case", "each", "intersection"}, default="worst_case"
        What is made of several attributes: the largest of their differences, a dict
        with each, or the difference between the combinations of their groups that
        occur. The last is what fairlearn takes.
    pos_label : int, float, bool or str, default=None
        The positive class. None: of two classes 1 where the labels are among {0, 1} or
        {-1, 1}, else the second of the two sorted labels; of more, there is none.
    labels : array-like, default=None
        The classes, where the labels passed may lack some. None: those that occur.
    groups : sequence, dict or list of sequences, default=None
        Groups to compare, for example those of the training data: of one attribute, or
        for each (``groups_`` of a fitted estimator, or a dict by name). None: all that
        occur.
    min_group_size : int, default=1
        Smallest number of samples that a group needs to be compared.

    Returns
    -------
    difference : float, or dict of str to float if ``attributes="each"``
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
    return make_difference(
        "group_loss_difference",
        y_true,
        y_prob,
        sensitive_features=sensitive_features,
        sample_weight=sample_weight,
        loss=loss,
        attributes=attributes,
        pos_label=pos_label,
        labels=labels,
        groups=groups,
        min_group_size=min_group_size,
    ).value()
