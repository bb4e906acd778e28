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
    "find_atoms",
    "membership_matrix",
    "n_needed",
]


@dataclass(frozen=True)
class SampleKind:
    """A kind of samples that a statistic is computed from.

    Attributes
    ----------
    name : str
        Its name in warnings.
    count : callable
        From the sizes of the classes in each group, shape (n_groups, n_classes), and
        the code of the positive class to the number of such samples in each group.
    """

    name: str
    count: Callable[[np.ndarray, int], np.ndarray]


ANY_SAMPLE = SampleKind("samples", lambda sizes, c: sizes.sum(axis=1))
POSITIVES = SampleKind("positives", lambda sizes, c: sizes[:, c])
NEGATIVES = SampleKind("negatives", lambda sizes, c: sizes.sum(axis=1) - sizes[:, c])


@dataclass(frozen=True)
class Statistic:
    """A statistic of one group.

    Attributes
    ----------
    name : str
    needs : tuple of SampleKind
        The kinds of samples without which it is undefined.
    per_class : bool
        Whether it is about one class against the rest.
    largest : float
        Its largest possible value.
    """

    name: str
    needs: tuple[SampleKind, ...]
    per_class: bool = True
    largest: float = 1


def n_needed(needs: Sequence[SampleKind], sizes: np.ndarray, c: int) -> np.ndarray:
    """Count the samples of the kind needed in each group; of several the fewest."""
    return reduce(np.minimum, [kind.count(sizes, c) for kind in needs])


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
                self.samples.sizes(weights), self.samples.sizes(weights**2), strict=True
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
