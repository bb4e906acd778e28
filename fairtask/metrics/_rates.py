"""Rates of groups, and the differences between them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from fairtask.metrics._difference import Attributes, difference_metric
from fairtask.metrics._intervals import wilson_limit
from fairtask.metrics._samples import GroupedSamples
from fairtask.metrics._statistics import (
    ANY_SAMPLE,
    NEGATIVES,
    POSITIVES,
    GroupStatistics,
    Statistic,
    find_atoms,
    membership_matrix,
)

__all__ = [
    "ACCURACY",
    "RATES",
    "GroupRates",
    "demographic_parity_difference",
    "equal_opportunity_difference",
    "equalized_odds_difference",
    "group_accuracy_difference",
]


def _selection_rate(tables: np.ndarray, c: int) -> np.ndarray:
    """Share of the samples for which class c is predicted."""
    return tables[..., c].sum(-1) / tables.sum((-1, -2))


def _true_positive_rate(tables: np.ndarray, c: int) -> np.ndarray:
    """Share of the samples of class c for which it is predicted."""
    return tables[..., c, c] / tables[..., c, :].sum(-1)


def _false_positive_rate(tables: np.ndarray, c: int) -> np.ndarray:
    """Share of the samples of other classes for which class c is predicted."""
    negatives = np.delete(tables, c, axis=-2)
    return negatives[..., c].sum(-1) / negatives.sum((-1, -2))


def _accuracy(tables: np.ndarray, c: int) -> np.ndarray:
    """Share of the samples whose class is predicted, whichever it is."""
    return tables.trace(axis1=-2, axis2=-1) / tables.sum((-1, -2))


@dataclass(frozen=True, kw_only=True)
class Rate(Statistic):
    """A share of the samples of a group.

    Attributes
    ----------
    of_tables : callable
        From tables of counts, shape (..., true class, predicted class), and the code of
        the positive class to the rates, shape (...).
    """

    of_tables: Callable[[np.ndarray, int], np.ndarray]


SELECTION_RATE = Rate(
    name="selection_rate", needs=(ANY_SAMPLE,), of_tables=_selection_rate
)
TRUE_POSITIVE_RATE = Rate(
    name="true_positive_rate", needs=(POSITIVES,), of_tables=_true_positive_rate
)
FALSE_POSITIVE_RATE = Rate(
    name="false_positive_rate", needs=(NEGATIVES,), of_tables=_false_positive_rate
)
ACCURACY = Rate(
    name="accuracy", needs=(ANY_SAMPLE,), of_tables=_accuracy, per_class=False
)
RATES = (SELECTION_RATE, TRUE_POSITIVE_RATE, FALSE_POSITIVE_RATE, ACCURACY)


class GroupRates(GroupStatistics):
    """Rates, all from one table of counts.

    An atom is a combination of the groups of all attributes, true class, predicted
    class and weight.
    """

    output = "y_pred"
    strata: Sequence[tuple[Rate, int]]

    def __init__(self, samples: GroupedSamples, statistics: Sequence[Rate]) -> None:
        super().__init__(samples, statistics)
        assert samples.y_pred is not None
        self.n_classes = len(samples.classes)
        outcomes = samples.y_true * self.n_classes + samples.y_pred
        _, weight_codes = np.unique(samples.weights, return_inverse=True)
        # Codes of groups start at -1, which stands for an unknown group.
        columns = [*samples.sensitive.codes.T + 1, outcomes, weight_codes]
        first, self.counts = find_atoms(columns)
        self.memberships = [
            membership_matrix(
                codes[first] * self.n_classes**2 + outcomes[first],
                samples.weights[first],
                codes[first] >= 0,
                n_groups * self.n_classes**2,
            )
            for codes, n_groups in samples.group_codes()
        ]

    def evaluate(self, multiplicities: np.ndarray) -> list[np.ndarray]:
        """Compute the rates; see the base class."""
        results = []
        for membership in self.memberships:
            cells = (membership @ multiplicities.T).T
            tables = cells.reshape(len(cells), -1, self.n_classes, self.n_classes)
            with np.errstate(invalid="ignore"):  # 0/0 is NaN
                rates = [rate.of_tables(tables, c) for rate, c in self.strata]
            results.append(np.stack(rates, axis=1))
        return results

    def limit(
        self, values: np.ndarray, errors: np.ndarray, n: np.ndarray, z: float
    ) -> np.ndarray:
        """Compute Wilson's limit of each rate."""
        return wilson_limit(values, n, z)


@difference_metric(GroupRates, SELECTION_RATE)
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

    True labels are only used to know the classes.

    Returns
    -------
    difference : float, or dict of str to float if ``attributes="each"``
        0 to 1, or NaN when fewer than two groups can be compared.

    Examples
    --------
    >>> from fairtask.metrics import demographic_parity_difference
    >>> demographic_parity_difference(
    ...     [0, 1, 0, 1], [1, 1, 0, 1], sensitive_features=["a", "a", "b", "b"]
    ... )
    0.5
    """


@difference_metric(GroupRates, TRUE_POSITIVE_RATE)
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
    r"""Difference between groups in the true positive rate.

    It is 0 under equal opportunity [1]_.

    .. math::

        \max_g P(\hat y = 1 \mid y = 1, z = g) - \min_g P(\hat y = 1 \mid y = 1, z = g)

    Returns
    -------
    difference : float, or dict of str to float if ``attributes="each"``
        0 to 1, or NaN when fewer than two groups can be compared.

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


@difference_metric(GroupRates, TRUE_POSITIVE_RATE, FALSE_POSITIVE_RATE)
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
    r"""Difference between groups in the true and the false positive rate.

    It is 0 under equalized odds [1]_.

    .. math::

        \operatorname{agg}_{c \in \{0, 1\}} \left(
        \max_g P(\hat y = 1 \mid y = c, z = g) - \min_g P(\hat y = 1 \mid y = c, z = g)
        \right)

    Returns
    -------
    difference : float, or dict of str to float if ``attributes="each"``
        0 to 1, or NaN when fewer than two groups can be compared.

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


@difference_metric(GroupRates, ACCURACY)
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
    r"""Difference between groups in the accuracy (GACCD), of any number of classes.

    .. math:: \max_g P(\hat y = y \mid z = g) - \min_g P(\hat y = y \mid z = g)

    Returns
    -------
    difference : float, or dict of str to float if ``attributes="each"``
        0 to 1, or NaN when fewer than two groups can be compared.

    Examples
    --------
    >>> from fairtask.metrics import group_accuracy_difference
    >>> group_accuracy_difference(
    ...     [0, 1, 2, 1], [0, 1, 2, 0], sensitive_features=["a", "a", "b", "b"]
    ... )
    0.5
    """
