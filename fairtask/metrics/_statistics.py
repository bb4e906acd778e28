"""Statistics of each group, from how often each kind of sample occurs."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse

from fairtask.metrics._comparison import Comparison

__all__ = ["RATES", "GroupAUCs", "GroupLosses", "GroupRates", "GroupStatistics"]

MAX_ELEMENTS = 4_000_000
"""Numbers held at once while resampling."""


class GroupStatistics(ABC):
    """Statistics of each group, as functions of the number of times a sample occurs.

    Samples that are alike are one atom. The statistics of the data are those of the
    numbers found, and bootstrap replicates those of numbers drawn: both come from
    `evaluate`.

    Parameters
    ----------
    data : Comparison

    Attributes
    ----------
    counts : ndarray of shape (n_atoms,), int64
        Number of samples that are the same atom.
    strata : list of (str, int)
        Name of each statistic, and the code of the class that is taken as positive.
    """

    counts: np.ndarray
    strata: list[tuple[str, int]]

    @abstractmethod
    def evaluate(self, multiplicities: np.ndarray) -> list[np.ndarray]:
        """Compute the statistics for the numbers of times that the atoms occur.

        Parameters
        ----------
        multiplicities : ndarray of shape (n_replicates, n_atoms)

        Returns
        -------
        statistics : list of ndarray of shape (n_replicates, n_strata, n_groups)
            An array for each attribute; NaN where a group lacks the samples.
        """

    def observed(self) -> list[np.ndarray]:
        """Compute the statistics of the data, shape (n_strata, n_groups) each."""
        return [values[0] for values in self.evaluate(self.counts[None])]

    def resampled(self, n_resamples: int, rng: np.random.Generator) -> list[np.ndarray]:
        """Compute the statistics of samples drawn with replacement.

        Parameters
        ----------
        n_resamples : int
        rng : Generator

        Returns
        -------
        statistics : list of ndarray of shape (n_resamples, n_strata, n_groups)
        """
        chunks = [
            self.evaluate(multiplicities)
            for multiplicities in _draw(self.counts, n_resamples, rng)
        ]
        return [np.concatenate(parts) for parts in zip(*chunks, strict=True)]


def _draw(
    counts: np.ndarray, n_resamples: int, rng: np.random.Generator
) -> Iterator[np.ndarray]:
    """Yield how often each atom is among as many draws as there are samples."""
    n_samples, n_atoms = counts.sum(), len(counts)
    # A multinomial draw costs one binomial per atom, which is dearer than a few draws
    # of single samples.
    has_few_atoms = 8 * n_atoms < n_samples
    chunk = max(1, MAX_ELEMENTS // max(n_atoms, 1 if has_few_atoms else n_samples))
    atoms = np.repeat(np.arange(n_atoms), counts)
    for start in range(0, n_resamples, chunk):
        size = min(chunk, n_resamples - start)
        if has_few_atoms:
            yield rng.multinomial(n_samples, counts / n_samples, size=size)
        else:
            drawn = rng.integers(n_samples, size=(size, n_samples))
            if n_atoms < n_samples:
                drawn = atoms[drawn]
            drawn += n_atoms * np.arange(size)[:, None]
            occurs = np.bincount(drawn.ravel(), minlength=size * n_atoms)
            yield occurs.reshape(size, n_atoms)


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
        n_codes = data.n_codes
        outcomes = data.y_true * n_codes + data.y_pred
        _, of_weight = np.unique(data.weights, return_inverse=True)
        # Codes from 0: -1 is a group that is not known.
        first, self.counts = _atoms([*data.sensitive.codes.T + 1, outcomes, of_weight])
        self.strata = [
            (name, c)
            for name in names
            # The accuracy of each class against the rest would be another number.
            for c in (data.positives if name != "accuracy" else data.positives[:1])
        ]
        self.n_codes = n_codes
        self.members = []
        for codes, groups in zip(
            data.sensitive.codes[first].T, data.sensitive.groups, strict=True
        ):
            cells = codes * n_codes**2 + outcomes[first]
            n_cells = len(groups) * n_codes**2
            self.members.append(
                _membership(cells, data.weights[first], codes >= 0, n_cells)
            )

    def evaluate(self, multiplicities: np.ndarray) -> list[np.ndarray]:
        """Compute the rates; see the base class."""
        results = []
        for members in self.members:
            cells = (members @ multiplicities.T).T
            tables = cells.reshape(len(cells), -1, self.n_codes, self.n_codes)
            with np.errstate(invalid="ignore"):  # 0/0 is NaN
                rates = [RATES[name](tables, c) for name, c in self.strata]
            results.append(np.stack(rates, axis=1))
        return results


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
