"""The interface of statistics of groups, and the samples that they need."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, reduce
from typing import Any, ClassVar

import numpy as np
from scipy import sparse

from fairtask.metrics._samples import GroupedSamples

__all__ = [
    "ANY_SAMPLE",
    "NEGATIVES",
    "POSITIVES",
    "GroupStatistics",
    "SampleKind",
    "Statistic",
    "count_all",
    "count_negatives",
    "count_positives",
    "find_atoms",
    "membership_matrix",
    "n_needed",
]


def count_all(tables: np.ndarray, c: int) -> np.ndarray:
    """Count all samples of tables of shape (..., true class, predicted class)."""
    return tables.sum((-1, -2))


def count_positives(tables: np.ndarray, c: int) -> np.ndarray:
    """Count the samples of class c."""
    return tables[..., c, :].sum(-1)


def count_negatives(tables: np.ndarray, c: int) -> np.ndarray:
    """Count the samples of other classes."""
    return np.delete(tables, c, axis=-2).sum((-1, -2))


@dataclass(frozen=True)
class SampleKind:
    """A kind of samples that a statistic is computed from.

    Attributes
    ----------
    name : str
        Its name in warnings.
    count : callable
        From tables of counts, shape (..., n_classes, n_predicted), and the code of the
        positive class to the numbers of such samples, shape (...). Without predicted
        labels n_predicted is 1.
    """

    name: str
    count: Callable[[np.ndarray, int], np.ndarray]


ANY_SAMPLE = SampleKind("samples", count_all)
POSITIVES = SampleKind("positives", count_positives)
NEGATIVES = SampleKind("negatives", count_negatives)


@dataclass(frozen=True, kw_only=True)
class Statistic:
    """A statistic of one group.

    Attributes
    ----------
    name : str
    family : type of GroupStatistics
        The class that computes it.
    needs : tuple of SampleKind
        The kinds of samples without which it is undefined.
    formula : str
        Its value in group g, in TeX.
    per_class : bool
        Whether it is about one class against the rest.
    greater_is_better : bool or None
        Whether the group with the smallest value is the worst, or that with the
        largest. None if either may be.
    largest : float
        Its largest possible value.
    """

    name: str
    family: type["GroupStatistics"]
    needs: tuple[SampleKind, ...]
    formula: str
    per_class: bool = True
    greater_is_better: bool | None = None
    largest: float = 1

    @property
    def words(self) -> str:
        """Its name in a sentence."""
        return self.name.replace("_", " ").replace("roc auc", "ROC AUC")


def n_needed(needs: Sequence[SampleKind], tables: np.ndarray, c: int) -> np.ndarray:
    """Count the samples of the kind needed in each group; of several the fewest."""
    return reduce(np.minimum, [kind.count(tables, c) for kind in needs])


class GroupStatistics(ABC):
    r"""Statistics of each group, as functions of the number of times a sample occurs.

    Samples that are alike are one atom. The statistics of the data are those of the
    numbers found, and bootstrap replicates those of numbers drawn: both come from
    `evaluate`.

    Attributes
    ----------
    counts : ndarray of shape (n_atoms,), int64
        Number of samples that are the same atom.
    strata : list of (Statistic, int)
        Each statistic, and the code of the class that is taken as positive.
    """

    output: ClassVar[str]
    """Argument that the statistics are computed from, such as "y_pred"."""
    options: ClassVar[tuple[str, ...]] = ()
    """Settings of a metric that the constructor takes."""
    chosen_by: ClassVar[str | None] = None
    """Setting of a metric that chooses one of its statistics, instead of all."""

    has_limits: ClassVar[bool] = True
    """Whether there are confidence limits."""

    counts: np.ndarray
    strata: Sequence[tuple[Statistic, int]]

    def __init__(
        self, samples: GroupedSamples, statistics: Sequence[Statistic]
    ) -> None:
        self.samples = samples
        self.strata = [
            (statistic, c)
            for statistic in statistics
            for c in samples.positives[: None if statistic.per_class else 1]
        ]

    @abstractmethod
    def evaluate(self, multiplicities: np.ndarray) -> list[np.ndarray]:
        """Compute the statistics for the numbers of times that the atoms occur.

        From shape (n_replicates, n_atoms) to an array for each attribute of shape
        (n_replicates, n_strata, n_groups); NaN where a group lacks the samples.
        """

    @abstractmethod
    def limit(
        self, values: np.ndarray, errors: np.ndarray, n: np.ndarray, z: float
    ) -> np.ndarray:
        """Compute a confidence limit of each statistic.

        From observed statistics, their standard errors in the resamples (NaN without
        any), effective numbers of samples, all of one shape, and a quantile of the
        normal distribution, which is negative for a lower limit.
        """

    @cached_property
    def observed(self) -> list[np.ndarray]:
        """The statistics of the data, an array (n_strata, n_groups) per attribute."""
        return [values[0] for values in self.evaluate(self.counts[None])]

    @cached_property
    def n_effective(self) -> list[np.ndarray]:
        r"""Effective numbers of samples, an array (n_strata, n_groups) per attribute.

        With weights :math:`w` the number is :math:`(\sum w)^2 / \sum w^2`; of several
        kinds of samples the smallest counts.
        """
        weights, tiny = self.samples.weights, np.finfo(float).tiny
        return [
            np.array(
                [
                    n_needed(statistic.needs, totals, c) ** 2
                    / np.maximum(n_needed(statistic.needs, squares, c), tiny)
                    for statistic, c in self.strata
                ]
            )
            for totals, squares in zip(
                self.samples.tables(weights),
                self.samples.tables(weights**2),
                strict=True,
            )
        ]


def find_atoms(columns: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Return a sample of each distinct row of codes, and how often the row occurs."""
    codes, n_rows = np.zeros(len(columns[0]), dtype=np.int64), 1
    for column in columns:
        size = int(column.max(initial=0)) + 1
        if n_rows * size > np.iinfo(np.int64).max:
            values, codes = np.unique(codes, return_inverse=True)
            n_rows = len(values)
        codes = codes * size + column
        n_rows *= size
    _, first, counts = np.unique(codes, return_index=True, return_counts=True)
    return first, counts


def membership_matrix(
    cells: np.ndarray, values: np.ndarray, known: np.ndarray, n_cells: int
) -> Any:
    """Return the sparse matrix that sums the values of the known atoms in each cell."""
    atoms = np.flatnonzero(known)
    shape = n_cells, len(cells)
    return sparse.csr_array((values[atoms], (cells[atoms], atoms)), shape=shape)
