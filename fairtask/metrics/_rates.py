"""Rates of groups: shares of the samples in tables of true and predicted classes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from fairtask.metrics._samples import GroupedSamples
from fairtask.metrics._share_limits import exact_limit, n_of_share, wilson_limit
from fairtask.metrics._statistics import (
    ANY_SAMPLE,
    NEGATIVES,
    POSITIVES,
    Estimates,
    GroupStatistics,
    SampleKind,
    Statistic,
    find_atoms,
    membership_matrix,
)

__all__ = [
    "ACCURACY",
    "BASE_RATE",
    "FALSE_DISCOVERY_RATE",
    "FALSE_NEGATIVE_RATE",
    "FALSE_OMISSION_RATE",
    "FALSE_POSITIVE_RATE",
    "PRECISION",
    "RATES",
    "SELECTION_RATE",
    "TRUE_NEGATIVE_RATE",
    "TRUE_POSITIVE_RATE",
    "GroupRates",
    "Rate",
]

Counter = Callable[[np.ndarray, int], np.ndarray]
"""From tables, shape (..., true class, predicted class), and the code of the positive
class to numbers of samples, shape (...)."""


def _count_selected(tables: np.ndarray, c: int) -> np.ndarray:
    return tables[..., c].sum(-1)


def _count_rejected(tables: np.ndarray, c: int) -> np.ndarray:
    return np.delete(tables, c, axis=-1).sum((-1, -2))


def _count_correct(tables: np.ndarray, c: int) -> np.ndarray:
    return tables.trace(axis1=-2, axis2=-1)


def _count_true_positives(tables: np.ndarray, c: int) -> np.ndarray:
    return tables[..., c, c]


def _count_false_positives(tables: np.ndarray, c: int) -> np.ndarray:
    return np.delete(tables, c, axis=-2)[..., c].sum(-1)


def _count_false_negatives(tables: np.ndarray, c: int) -> np.ndarray:
    return np.delete(tables[..., c, :], c, axis=-1).sum(-1)


def _count_true_negatives(tables: np.ndarray, c: int) -> np.ndarray:
    return np.delete(np.delete(tables, c, axis=-1), c, axis=-2).sum((-1, -2))


PREDICTED_POSITIVES = SampleKind("predicted positives", _count_selected)
PREDICTED_NEGATIVES = SampleKind("predicted negatives", _count_rejected)


def _one_against_rest(tables: np.ndarray) -> np.ndarray:
    """Return a table of two classes for each class: the other ones, and itself.

    From shape (..., n_classes, n_classes) to (..., n_classes, 2, 2). Nothing is
    subtracted, so that a sum of weights without samples is exactly 0.
    """
    others = 1 - np.eye(tables.shape[-1])
    wrong = tables * others
    true_negatives = (others @ tables * others).sum(-1)
    counts = [
        true_negatives,
        wrong.sum(-2),
        wrong.sum(-1),
        tables.diagonal(axis1=-2, axis2=-1),
    ]
    return np.stack(counts, axis=-1).reshape(*tables.shape[:-1], 2, 2)


@dataclass(frozen=True, kw_only=True)
class Rate(Statistic):
    """A share of the samples of one kind.

    Attributes
    ----------
    count : callable
        Counts the samples of this kind that make up the share, see `Counter`.
    """

    count: Counter

    def of_tables(self, tables: np.ndarray, c: int) -> np.ndarray:
        """Compute the rates of class c; NaN without samples."""
        (among,) = self.needs
        return self.count(tables, c) / among.count(tables, c)


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
        self.outputs = samples.y_pred
        self.n_classes = len(samples.classes)
        outcomes = samples.y_true * self.n_classes + samples.y_pred
        _, weight_codes = np.unique(samples.weights, return_inverse=True)
        columns = [*samples.sensitive.codes.T, outcomes, weight_codes]
        first, self.atoms = find_atoms(columns)
        self.membership = membership_matrix(
            samples.positions[first],
            samples.n_groups,
            samples.weights[first],
            outcomes[first],
            self.n_classes**2,
        )

    def evaluate(self, multiplicities: np.ndarray) -> np.ndarray:
        """Compute the rates; see the base class."""
        cells = (self.membership @ multiplicities.T).T
        tables = cells.reshape(
            len(cells), self.samples.n_groups, self.n_classes, self.n_classes
        )
        binary = _one_against_rest(tables)
        with np.errstate(invalid="ignore"):  # 0/0 is NaN
            rates = [
                rate.of_tables(binary[..., c, :, :], 1)
                if rate.per_class
                else rate.of_tables(tables, c)
                for rate, c in self.strata
            ]
        return np.stack(rates, axis=1)

    def limit(
        self, statistic: Statistic, known: Estimates, z: float, *, strict: bool = False
    ) -> np.ndarray:
        """Compute Wilson's limit of each rate, or Clopper and Pearson's if strict."""
        n = known.n
        if self.samples.clusters is not None:
            # The number of independent samples that the clusters are worth. Without
            # resamples a cluster is one sample.
            n = np.where(np.isnan(known.errors), n, n_of_share(*known))
        of_share = exact_limit if strict else wilson_limit
        return of_share(known.values, n, z)


def _rate(
    name: str,
    count: Counter,
    among: SampleKind,
    formula: str,
    *,
    greater_is_better: bool | None = None,
    per_class: bool = True,
    depends_on_model: bool = True,
) -> Rate:
    return Rate(
        name=name,
        family=GroupRates,
        needs=(among,),
        formula=formula,
        per_class=per_class,
        greater_is_better=greater_is_better,
        depends_on_model=depends_on_model,
        count=count,
    )


SELECTION_RATE = _rate(
    "selection_rate", _count_selected, ANY_SAMPLE, r"P(\hat y = 1 \mid z = g)"
)
BASE_RATE = _rate(
    "base_rate",
    POSITIVES.count,
    ANY_SAMPLE,
    r"P(y = 1 \mid z = g)",
    depends_on_model=False,
)
TRUE_POSITIVE_RATE = _rate(
    "true_positive_rate",
    _count_true_positives,
    POSITIVES,
    r"P(\hat y = 1 \mid y = 1, z = g)",
    greater_is_better=True,
)
FALSE_POSITIVE_RATE = _rate(
    "false_positive_rate",
    _count_false_positives,
    NEGATIVES,
    r"P(\hat y = 1 \mid y = 0, z = g)",
    greater_is_better=False,
)
TRUE_NEGATIVE_RATE = _rate(
    "true_negative_rate",
    _count_true_negatives,
    NEGATIVES,
    r"P(\hat y = 0 \mid y = 0, z = g)",
    greater_is_better=True,
)
FALSE_NEGATIVE_RATE = _rate(
    "false_negative_rate",
    _count_false_negatives,
    POSITIVES,
    r"P(\hat y = 0 \mid y = 1, z = g)",
    greater_is_better=False,
)
PRECISION = _rate(
    "precision",
    _count_true_positives,
    PREDICTED_POSITIVES,
    r"P(y = 1 \mid \hat y = 1, z = g)",
    greater_is_better=True,
)
FALSE_DISCOVERY_RATE = _rate(
    "false_discovery_rate",
    _count_false_positives,
    PREDICTED_POSITIVES,
    r"P(y = 0 \mid \hat y = 1, z = g)",
    greater_is_better=False,
)
FALSE_OMISSION_RATE = _rate(
    "false_omission_rate",
    _count_false_negatives,
    PREDICTED_NEGATIVES,
    r"P(y = 1 \mid \hat y = 0, z = g)",
    greater_is_better=False,
)
ACCURACY = _rate(
    "accuracy",
    _count_correct,
    ANY_SAMPLE,
    r"P(\hat y = y \mid z = g)",
    greater_is_better=True,
    per_class=False,
)
RATES = (SELECTION_RATE, TRUE_POSITIVE_RATE, FALSE_POSITIVE_RATE, ACCURACY)
"""The rates of a report."""
