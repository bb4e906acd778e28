"""Rates, losses and areas of groups, from how often each kind of sample occurs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse
from scipy.stats import norm
from scipy.stats import t as student_t

from fairtask.metrics._comparison import Comparison
from fairtask.metrics._statistics import MAX_ELEMENTS, GroupStatistics, wilson

__all__ = ["RATES", "GroupAUCs", "GroupLosses", "GroupRates"]


def selection_rate(tables: np.ndarray, c: int) -> np.ndarray:
    """Share of the samples for which class c is predicted."""
    return tables[..., c].sum(-1) / tables.sum((-1, -2))


def true_positive_rate(tables: np.ndarray, c: int) -> np.ndarray:
    """Share of the samples of class c for which it is predicted."""
    return tables[..., c, c] / tables[..., c, :].sum(-1)


def false_positive_rate(tables: np.ndarray, c: int) -> np.ndarray:
    """Share of the samples of other classes for which class c is predicted."""
    negatives = np.delete(tables, c, axis=-2)
    return negatives[..., c].sum(-1) / negatives.sum((-1, -2))


def accuracy(tables: np.ndarray, c: int) -> np.ndarray:
    """Share of the samples whose class is predicted, whichever it is."""
    return tables.trace(axis1=-2, axis2=-1) / tables.sum((-1, -2))


RATES: dict[str, Callable[[np.ndarray, int], np.ndarray]] = {
    function.__name__: function
    for function in (selection_rate, true_positive_rate, false_positive_rate, accuracy)
}
"""Rates by name: from (..., true class, predicted class) and a class to (...)."""


class GroupRates(GroupStatistics):
    """Rates, all from one table of counts.

    An atom is a combination of the groups of all attributes, true class, predicted
    class and weight.

    Parameters
    ----------
    data : Comparison
        With predictions.
    names : sequence of str
        Keys of `RATES`.
    """

    def __init__(self, data: Comparison, names: Sequence[str]) -> None:
        assert data.y_pred is not None
        n_classes = len(data.classes)
        outcomes = data.y_true * n_classes + data.y_pred
        _, of_weight = np.unique(data.weights, return_inverse=True)
        # Codes from 0: -1 is a group that is not known.
        first, self.counts = _atoms([*data.sensitive.codes.T + 1, outcomes, of_weight])
        self.strata = [
            (name, c)
            for name in names
            # The accuracy of each class against the rest would be another number.
            for c in (data.positives if name != "accuracy" else data.positives[:1])
        ]
        self.n_effective = self._count(data)
        self.n_classes = n_classes
        self.members = []
        for codes, groups in zip(
            data.sensitive.codes[first].T, data.sensitive.groups, strict=True
        ):
            cells = codes * n_classes**2 + outcomes[first]
            n_cells = len(groups) * n_classes**2
            self.members.append(
                _membership(cells, data.weights[first], codes >= 0, n_cells)
            )

    def evaluate(self, multiplicities: np.ndarray) -> list[np.ndarray]:
        """Compute the rates; see the base class."""
        results = []
        for members in self.members:
            cells = (members @ multiplicities.T).T
            tables = cells.reshape(len(cells), -1, self.n_classes, self.n_classes)
            with np.errstate(invalid="ignore"):  # 0/0 is NaN
                rates = [RATES[name](tables, c) for name, c in self.strata]
            results.append(np.stack(rates, axis=1))
        return results

    def limit(
        self, values: np.ndarray, errors: np.ndarray, n: np.ndarray, z: float
    ) -> np.ndarray:
        """Compute Wilson's limit [1]_ of each rate.

        References
        ----------
        .. [1] E. B. Wilson. "Probable inference, the law of succession, and statistical
           inference". Journal of the American Statistical Association 22, 1927.
        """
        return wilson(values, n, z)


class GroupLosses(GroupStatistics):
    """Mean loss of each group.

    Parameters
    ----------
    data : Comparison
    name : str
        Name of the loss.
    losses : ndarray of shape (n_samples,)
    """

    def __init__(self, data: Comparison, name: str, losses: np.ndarray) -> None:
        self.counts = np.ones(len(losses), dtype=np.int64)
        self.strata = [(name, data.positives[0])]
        self.n_effective = self._count(data)
        # Sums of the weighted losses, below them sums of the weights.
        self.members = [
            sparse.vstack(
                [
                    _membership(codes, values, codes >= 0, len(groups))
                    for values in (data.weights * losses, data.weights)
                ],
                format="csr",
            )
            for codes, groups in zip(
                data.sensitive.codes.T, data.sensitive.groups, strict=True
            )
        ]

    def evaluate(self, multiplicities: np.ndarray) -> list[np.ndarray]:
        """Compute the means; see the base class."""
        results = []
        for members in self.members:
            sums, totals = np.split((members @ multiplicities.T).T, 2, axis=1)
            with np.errstate(invalid="ignore"):
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
    """Area under the ROC curve inside each group, each class against the rest.

    Parameters
    ----------
    data : Comparison
    scores : ndarray of shape (n_samples, n_positives)
        A column for each class that is taken as positive.
    """

    def __init__(self, data: Comparison, scores: np.ndarray) -> None:
        self.counts = np.ones(len(scores), dtype=np.int64)
        self.strata = [("roc_auc", c) for c in data.positives]
        self.n_effective = self._count(data)
        order = scores.argsort(axis=0, kind="stable")
        self.areas = [
            [
                [
                    _Area.of(rows[codes[rows] == group], scores[:, i], data, c)
                    for group in range(len(groups))
                ]
                for i, (rows, c) in enumerate(zip(order.T, data.positives, strict=True))
            ]
            for codes, groups in zip(
                data.sensitive.codes.T, data.sensitive.groups, strict=True
            )
        ]

    def evaluate(self, multiplicities: np.ndarray) -> list[np.ndarray]:
        """Compute the areas; see the base class."""
        results = []
        for strata in self.areas:
            shape = len(multiplicities), len(strata), len(strata[0])
            values = np.empty(shape)
            for i, groups in enumerate(strata):
                for group, area in enumerate(groups):
                    values[:, i, group] = area.evaluate(multiplicities)
            results.append(values)
        return results

    def limit(
        self, values: np.ndarray, errors: np.ndarray, n: np.ndarray, z: float
    ) -> np.ndarray:
        """Compute Wilson's limit for the number of samples that the errors amount to.

        Areas of few samples may be 1 in nearly all resamples. Their number is taken for
        no more than three times that of the class with fewer, which is more than what
        the errors of common distributions of scores amount to.
        """
        with np.errstate(invalid="ignore", divide="ignore"):
            amounts_to = np.fmin(values * (1 - values) / errors**2, 3 * n)
        return wilson(values, np.where(np.isnan(errors), np.nan, amounts_to), z)


@dataclass(frozen=True)
class _Area:
    """Share of the pairs that ascending scores put in order, a tie counting half.

    Attributes
    ----------
    rows : ndarray of shape (n_members,), int64
        The samples of a group, by ascending score.
    positive, negative : ndarray of shape (n_members,)
        Their weights, 0 in the class that is not meant.
    starts : ndarray of int64, or None
        Positions where another score begins; None if there are no ties.
    """

    rows: np.ndarray
    positive: np.ndarray
    negative: np.ndarray
    starts: np.ndarray | None

    @classmethod
    def of(
        cls, rows: np.ndarray, scores: np.ndarray, data: Comparison, c: int
    ) -> "_Area":
        """Prepare the area of class c against the rest."""
        is_positive = data.y_true[rows] == c
        weights = data.weights[rows]
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


def _atoms(columns: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Return a sample of each distinct row of codes, and how often the row occurs."""
    n_samples, n_rows = len(columns[0]), 1
    codes = np.zeros(n_samples, dtype=np.int64)
    for column in columns:
        size = column.max(initial=0) + 1
        if n_rows * size > MAX_ELEMENTS:  # dense again, lest the product overflows
            values, codes = np.unique(codes, return_inverse=True)
            n_rows = len(values)
        codes = codes * size + column
        n_rows *= size
    if n_rows > MAX_ELEMENTS:
        _, first, counts = np.unique(codes, return_index=True, return_counts=True)
        return first, counts
    counts = np.bincount(codes, minlength=n_rows)
    first = np.empty(n_rows, dtype=np.int64)
    first[codes] = np.arange(n_samples)
    occurs = np.flatnonzero(counts)
    return first[occurs], counts[occurs]


def _membership(
    cells: np.ndarray, values: np.ndarray, known: np.ndarray, n_cells: int
) -> Any:
    """Return the matrix that sums the values of the known atoms in each cell."""
    atoms = np.flatnonzero(known)
    shape = n_cells, len(cells)
    return sparse.csr_array((values[atoms], (cells[atoms], atoms)), shape=shape)
