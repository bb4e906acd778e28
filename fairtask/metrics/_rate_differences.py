"""Differences between groups in what is predicted for them."""

from typing import Any, Literal

from fairtask.metrics._comparison import Attributes
from fairtask.metrics._difference import make_difference

__all__ = [
    "demographic_parity_difference",
    "equal_opportunity_difference",
    "equalized_odds_difference",
    "group_accuracy_difference",
]


def demographic_parity_difference(
    y_true: Any,
    y_pred: Any,
    *,
    sensitive_features: Any,
    sample_weight: Any = None,
    attributes: Attributes = "worst_case",
    pos_label: Any = None,
    labels: Any = None,
    groups: Any = None,
    min_group_size: int = 1,
) -> Any:
    r"""Difference between groups in the rate of positive predictions.

    .. math:: \max_g P(\hat y = 1 \mid z = g) - \min_g P(\hat y = 1 \mid z = g)

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        True labels. Used to know the classes only.
    y_pred : array-like of shape (n_samples,)
        Predicted labels.
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
        Smallest number of samples that a group needs to be compared.

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
        If a group has no samples, or fewer than two groups can be compared.

    Examples
    --------
    >>> from fairtask.metrics import demographic_parity_difference
    >>> demographic_parity_difference(
    ...     [0, 1, 0, 1], [1, 1, 0, 1], sensitive_features=["a", "a", "b", "b"]
    ... )
    0.5
    """
    return make_difference(
        "demographic_parity_difference",
        y_true,
        y_pred,
        sensitive_features=sensitive_features,
        sample_weight=sample_weight,
        attributes=attributes,
        pos_label=pos_label,
        labels=labels,
        groups=groups,
        min_group_size=min_group_size,
    ).value()


def equal_opportunity_difference(
    y_true: Any,
    y_pred: Any,
    *,
    sensitive_features: Any,
    sample_weight: Any = None,
    attributes: Attributes = "worst_case",
    pos_label: Any = None,
    labels: Any = None,
    groups: Any = None,
    min_group_size: int = 1,
) -> Any:
    r"""Difference between groups in the true positive rate [1]_.

    .. math::

        \max_g P(\hat y = 1 \mid y = 1, z = g) - \min_g P(\hat y = 1 \mid y = 1, z = g)

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        True labels.
    y_pred : array-like of shape (n_samples,)
        Predicted labels.
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
        Smallest number of positives that a group needs to be compared.

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
    return make_difference(
        "equal_opportunity_difference",
        y_true,
        y_pred,
        sensitive_features=sensitive_features,
        sample_weight=sample_weight,
        attributes=attributes,
        pos_label=pos_label,
        labels=labels,
        groups=groups,
        min_group_size=min_group_size,
    ).value()


def equalized_odds_difference(
    y_true: Any,
    y_pred: Any,
    *,
    sensitive_features: Any,
    sample_weight: Any = None,
    agg: Literal["worst_case", "mean"] = "worst_case",
    attributes: Attributes = "worst_case",
    pos_label: Any = None,
    labels: Any = None,
    groups: Any = None,
    min_group_size: int = 1,
) -> Any:
    r"""Difference between groups in the true and the false positive rate [1]_.

    .. math::

        \operatorname{agg}_{c \in \{0, 1\}} \left(
        \max_g P(\hat y = 1 \mid y = c, z = g) - \min_g P(\hat y = 1 \mid y = c, z = g)
        \right)

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        True labels.
    y_pred : array-like of shape (n_samples,)
        Predicted labels.
    sensitive_features : array-like of shape (n_samples,) or (n_samples, n_attributes)
        Group of each sample, a column per attribute. A missing value leaves the sample
        out of that attribute.
    sample_weight : array-like of shape (n_samples,), default=None
        Weights of the samples. A sample of weight 0 is left out.
    agg : {"worst_case", "mean"}, default="worst_case"
        The larger of the two differences, or their mean.
    attributes : {"worst_case", "each", "intersection"}, default="worst_case"
        What is made of several attributes: the largest of their differences, a dict
        with each, or the difference between the combinations of their groups that
        occur. The last is what fairlearn takes.
    pos_label : int, float, bool or str, default=None
        The positive class. None: of two classes 1 where the labels are among {0, 1} or
        {-1, 1}, else the second of the two sorted labels; of more, each is taken
        against the rest, and ``agg`` goes over all classes.
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

    Three classes, and two attributes:

    >>> y_true, y_pred = ["x", "y", "z"] * 4, ["x", "y", "z"] * 3 + ["y", "y", "z"]
    >>> z = {"sex": ["f", "m"] * 6, "age": ["young"] * 6 + ["old"] * 6}
    >>> import pandas as pd
    >>> equalized_odds_difference(
    ...     y_true, y_pred, sensitive_features=pd.DataFrame(z), attributes="each"
    ... )
    {'sex': 0.5, 'age': 0.5}
    """
    return make_difference(
        "equalized_odds_difference",
        y_true,
        y_pred,
        sensitive_features=sensitive_features,
        sample_weight=sample_weight,
        agg=agg,
        attributes=attributes,
        pos_label=pos_label,
        labels=labels,
        groups=groups,
        min_group_size=min_group_size,
    ).value()


def group_accuracy_difference(
    y_true: Any,
    y_pred: Any,
    *,
    sensitive_features: Any,
    sample_weight: Any = None,
    attributes: Attributes = "worst_case",
    labels: Any = None,
    groups: Any = None,
    min_group_size: int = 1,
) -> Any:
    r"""Difference between groups in the accuracy (GACCD).

    .. math:: \max_g P(\hat y = y \mid z = g) - \min_g P(\hat y = y \mid z = g)

    Of any number of classes.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        True labels.
    y_pred : array-like of shape (n_samples,)
        Predicted labels.
    sensitive_features : array-like of shape (n_samples,) or (n_samples, n_attributes)
        Group of each sample, a column per attribute. A missing value leaves the sample
        out of that attribute.
    sample_weight : array-like of shape (n_samples,), default=None
        Weights of the samples. A sample of weight 0 is left out.
    attributes : {"worst_case", "each", "intersection"}, default="worst_case"
        What is made of several attributes: the largest of their differences, a dict
        with each, or the difference between the combinations of their groups that
        occur. The last is what fairlearn takes.
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
    >>> from fairtask.metrics import group_accuracy_difference
    >>> group_accuracy_difference(
    ...     [0, 1, 2, 1], [0, 1, 2, 0], sensitive_features=["a", "a", "b", "b"]
    ... )
    0.5
    """
    return make_difference(
        "group_accuracy_difference",
        y_true,
        y_pred,
        sensitive_features=sensitive_features,
        sample_weight=sample_weight,
        attributes=attributes,
        labels=labels,
        groups=groups,
        min_group_size=min_group_size,
    ).value()
