"""Metrics of predicted labels."""

from fairtask.metrics._group_metric import group_metric
from fairtask.metrics._rates import (
    ACCURACY,
    BASE_RATE,
    FALSE_DISCOVERY_RATE,
    FALSE_NEGATIVE_RATE,
    FALSE_OMISSION_RATE,
    FALSE_POSITIVE_RATE,
    PRECISION,
    SELECTION_RATE,
    TRUE_POSITIVE_RATE,
)
from fairtask.metrics._signatures import takes_labels
from fairtask.metrics._transforms import DIFFERENCE, RATIO

__all__ = [
    "base_rate_difference",
    "demographic_parity_difference",
    "demographic_parity_ratio",
    "equal_opportunity_difference",
    "equal_opportunity_ratio",
    "equalized_odds_difference",
    "equalized_odds_ratio",
    "false_discovery_rate_difference",
    "false_negative_rate_difference",
    "false_omission_rate_difference",
    "false_positive_rate_difference",
    "group_accuracy_difference",
    "predictive_parity_difference",
]


@group_metric(takes_labels, DIFFERENCE, SELECTION_RATE)
def demographic_parity_difference() -> None:
    r"""Difference between groups in the rate of positive predictions.

    True labels are only used to know the classes.

    Examples
    --------
    >>> from fairtask.metrics import demographic_parity_difference
    >>> demographic_parity_difference(
    ...     [0, 1, 0, 1], [1, 1, 0, 1], sensitive_features=["a", "a", "b", "b"]
    ... )
    0.5
    """


@group_metric(takes_labels, RATIO, SELECTION_RATE)
def demographic_parity_ratio() -> None:
    """Ratio of the lowest to the highest rate of positive predictions of a group.

    By the four-fifths rule of thumb [1]_ a ratio below 0.8 is evidence of adverse
    impact. True labels are only used to know the classes.

    References
    ----------
    .. [1] Uniform Guidelines on Employee Selection Procedures. 29 CFR 1607.4 D, 1978.

    Examples
    --------
    >>> from fairtask.metrics import demographic_parity_ratio
    >>> ratio = demographic_parity_ratio(
    ...     [0, 1, 0, 1], [1, 1, 0, 1], sensitive_features=["a", "a", "b", "b"]
    ... )
    >>> ratio, ratio >= 0.8
    (0.5, False)
    """


@group_metric(takes_labels, DIFFERENCE, TRUE_POSITIVE_RATE)
def equal_opportunity_difference() -> None:
    r"""Difference between groups in the true positive rate.

    It is 0 under equal opportunity [1]_.

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


@group_metric(takes_labels, RATIO, TRUE_POSITIVE_RATE)
def equal_opportunity_ratio() -> None:
    """Ratio of the lowest to the highest true positive rate of a group.

    Examples
    --------
    >>> from fairtask.metrics import equal_opportunity_ratio
    >>> equal_opportunity_ratio(
    ...     [0, 1, 1, 1], [1, 1, 0, 1], sensitive_features=["a", "a", "b", "b"]
    ... )
    0.5
    """


@group_metric(takes_labels, DIFFERENCE, TRUE_POSITIVE_RATE, FALSE_POSITIVE_RATE)
def equalized_odds_difference() -> None:
    r"""Difference between groups in the true and the false positive rate.

    It is 0 under equalized odds [1]_.

    .. math::

        \operatorname{agg}_{c \in \{0, 1\}} \left(
        \max_g P(\hat y = 1 \mid y = c, z = g) - \min_g P(\hat y = 1 \mid y = c, z = g)
        \right)

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
    >>> equalized_odds_difference(
    ...     y_true, y_pred, sensitive_features=z, attributes="each"
    ... )
    {'sex': 0.5, 'age': 0.5}
    """


@group_metric(takes_labels, RATIO, TRUE_POSITIVE_RATE, FALSE_POSITIVE_RATE)
def equalized_odds_ratio() -> None:
    r"""Ratio of the lowest to the highest true and false positive rate of a group.

    .. math::

        \operatorname{agg}_{c \in \{0, 1\}} \;
        \min_g P(\hat y = 1 \mid y = c, z = g) \; / \;
        \max_g P(\hat y = 1 \mid y = c, z = g)

    where agg is the minimum or the mean. A rate that is 0 in all groups is left out,
    with a warning.

    Examples
    --------
    >>> from fairtask.metrics import equalized_odds_ratio
    >>> y_true, y_pred = [0, 0, 1, 1, 0, 0, 1, 1], [0, 1, 1, 1, 1, 1, 1, 1]
    >>> z = ["a"] * 4 + ["b"] * 4
    >>> equalized_odds_ratio(y_true, y_pred, sensitive_features=z)
    0.5
    >>> equalized_odds_ratio(y_true, y_pred, sensitive_features=z, agg="mean")
    0.75
    """


@group_metric(takes_labels, DIFFERENCE, FALSE_POSITIVE_RATE)
def false_positive_rate_difference() -> None:
    """Difference between groups in the false positive rate (predictive equality).

    Examples
    --------
    >>> from fairtask.metrics import false_positive_rate_difference
    >>> false_positive_rate_difference(
    ...     [0, 0, 0, 1], [1, 0, 0, 1], sensitive_features=["a", "a", "b", "b"]
    ... )
    0.5
    """


@group_metric(takes_labels, DIFFERENCE, FALSE_NEGATIVE_RATE)
def false_negative_rate_difference() -> None:
    """Difference between groups in the false negative rate.

    It equals the difference in the true positive rate.

    Examples
    --------
    >>> from fairtask.metrics import false_negative_rate_difference
    >>> false_negative_rate_difference(
    ...     [1, 1, 1, 0], [0, 1, 1, 0], sensitive_features=["a", "a", "b", "b"]
    ... )
    0.5
    """


@group_metric(takes_labels, DIFFERENCE, PRECISION)
def predictive_parity_difference() -> None:
    """Difference between groups in the positive predictive value, the precision.

    Groups without predicted positives are left out.

    Examples
    --------
    >>> from fairtask.metrics import predictive_parity_difference
    >>> predictive_parity_difference(
    ...     [0, 1, 1, 1], [1, 1, 0, 1], sensitive_features=["a", "a", "b", "b"]
    ... )
    0.5
    """


@group_metric(takes_labels, DIFFERENCE, FALSE_DISCOVERY_RATE)
def false_discovery_rate_difference() -> None:
    """Difference between groups in the share of wrong ones among predicted positives.

    It equals the difference in the positive predictive value.

    Examples
    --------
    >>> from fairtask.metrics import false_discovery_rate_difference
    >>> false_discovery_rate_difference(
    ...     [0, 1, 1, 0], [1, 1, 1, 0], sensitive_features=["a", "a", "b", "b"]
    ... )
    0.5
    """


@group_metric(takes_labels, DIFFERENCE, FALSE_OMISSION_RATE)
def false_omission_rate_difference() -> None:
    """Difference between groups in the share of positives among predicted negatives.

    Examples
    --------
    >>> from fairtask.metrics import false_omission_rate_difference
    >>> false_omission_rate_difference(
    ...     [0, 1, 0, 1], [0, 0, 0, 1], sensitive_features=["a", "a", "b", "b"]
    ... )
    0.5
    """


@group_metric(takes_labels, DIFFERENCE, BASE_RATE)
def base_rate_difference() -> None:
    """Difference between groups in the rate of positive labels.

    It is about the data. Predictions are only used to know the classes.

    Examples
    --------
    >>> from fairtask.metrics import base_rate_difference
    >>> base_rate_difference(
    ...     [0, 1, 1, 1], [1, 1, 0, 1], sensitive_features=["a", "a", "b", "b"]
    ... )
    0.5
    """


@group_metric(takes_labels, DIFFERENCE, ACCURACY)
def group_accuracy_difference() -> None:
    r"""Difference between groups in the accuracy (GACCD), of any number of classes.

    It is 0 under accuracy parity.

    Examples
    --------
    >>> from fairtask.metrics import group_accuracy_difference
    >>> group_accuracy_difference(
    ...     [0, 1, 2, 1], [0, 1, 2, 0], sensitive_features=["a", "a", "b", "b"]
    ... )
    0.5
    """
