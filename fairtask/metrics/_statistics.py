"""The interface of statistics of groups, and the samples that they need."""

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, NamedTuple

import numpy as np
import pandas as pd
from scipy import sparse

from fairtask.metrics._samples import GroupedSamples
from fairtask.metrics._share_limits import FEW

__all__ = [
    "ANY_SAMPLE",
    "NEGATIVES",
    "POSITIVES",
    "Estimates",
    "GroupStatistics",
    "SampleKind",
    "Statistic",
    "find_atoms",
    "in_words",
    "membership_matrix",
    "n_needed",
]


def _count_all(tables: np.ndarray, c: int) -> np.ndarray:
    return tables.sum((-1, -2))


def _count_positives(tables: np.ndarray, c: int) -> np.ndarray:
    return tables[..., c, :].sum(-1)


def _count_negatives(tables: np.ndarray, c: int) -> np.ndarray:
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


ANY_SAMPLE = SampleKind("samples", _count_all)
POSITIVES = SampleKind("positives", _count_positives)
NEGATIVES = SampleKind("negatives", _count_negatives)


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
    depends_on_model : bool
        Whether predictions or scores have an effect on it.
    """

    name: str
    family: type["GroupStatistics"]
    needs: tuple[SampleKind, ...]
    formula: str
    per_class: bool = True
    greater_is_better: bool | None = None
    largest: float = 1
    depends_on_model: bool = True

    @property
    def words(self) -> str:
        """Its name in a sentence."""
        return in_words(self.name)


def in_words(name: str) -> str:
    """Return the name of a statistic or a metric as words of a sentence."""
    return re.sub(r"\b(roc )?auc\b", lambda m: m[0].upper(), name.replace("_", " "))


class Estimates(NamedTuple):
    """Values of a statistic in the data, and how certain they are.

    Attributes
    ----------
    values : ndarray
    errors : ndarray
        Their standard errors in the resamples; NaN without any.
    n : ndarray
        Effective numbers of samples.
    """

    values: np.ndarray
    errors: np.ndarray
    n: np.ndarray


def n_needed(needs: Sequence[SampleKind], tables: np.ndarray, c: int) -> np.ndarray:
    """Count the samples of the kind needed in each group; of several the fewest."""
    return np.min([kind.count(tables, c) for kind in needs], axis=0)


class GroupStatistics(ABC):
    r"""Statistics of each group, as functions of the number of times a sample occurs.

    Samples that are alike are one atom. The statistics of the data are those of the
    numbers found, and bootstrap replicates those of numbers drawn: both come from
    `evaluate`.

    Attributes
    ----------
    atoms : ndarray of shape (n_samples,), int64
        The atom of each sample.
    strata : list of (Statistic, int)
        Each statistic, and the code of the class that is taken as positive.
    outputs : ndarray of shape (n_samples, ...)
        Predictions or scores.
    """

    output: ClassVar[str]
    """Argument that the statistics are computed from, such as "y_pred"."""
    options: ClassVar[tuple[str, ...]] = ()
    """Settings of a metric that the constructor takes."""
    chosen_by: ClassVar[str | None] = None
    """Setting of a metric that chooses one of its statistics, instead of all."""

    no_limits: ClassVar[str] = ""
    """Why there are no confidence limits; empty if there are."""
    few: ClassVar[int] = FEW
    """With fewer samples than this, limits must be strict."""

    atoms: np.ndarray
    strata: Sequence[tuple[Statistic, int]]
    outputs: np.ndarray

    def __init__(
        self, samples: GroupedSamples, statistics: Sequence[Statistic]
    ) -> None:
        self.samples = samples
        self.atoms = np.arange(len(samples.y_true))
        self.strata = [
            (statistic, c)
            for statistic in statistics
            for c in samples.positives[: None if statistic.per_class else 1]
        ]

    @abstractmethod
    def evaluate(self, multiplicities: np.ndarray) -> np.ndarray:
        """Compute the statistics for the numbers of times that the atoms occur.

        From shape (n_replicates, n_atoms) to shape (n_replicates, n_strata, n_groups),
        with the groups of all attributes one after another; NaN where a group lacks
        the samples.
        """

    def limit(
        self, statistic: Statistic, known: Estimates, z: float, *, strict: bool = False
    ) -> np.ndarray:
        """Compute confidence limits of a statistic.

        `z` is a quantile of the normal distribution, negative for a lower limit. A
        strict limit also holds for few samples and far in the tails, where many groups
        are compared. It is infinite where nothing is known. A family with `no_limits`
        has NaN.
        """
        return np.full_like(known.values, np.nan)

    def limits(self, errors: np.ndarray, z: float) -> np.ndarray:
        """Compute the limits of all statistics, in the form of `observed`."""
        known = map(Estimates, self.observed, errors, self.n_effective)
        return np.array(
            [
                self.limit(statistic, of_stratum, z)
                for (statistic, _), of_stratum in zip(self.strata, known, strict=True)
            ]
        )

    def are_same(self, other: "GroupStatistics") -> np.ndarray:
        """Whether each statistic is that of another model in any case, (n_strata,).

        `other` has the same statistics of the same samples.
        """
        depends = [statistic.depends_on_model for statistic, _ in self.strata]
        return np.array_equal(self.outputs, other.outputs) | ~np.array(depends)

    @cached_property
    def counts(self) -> np.ndarray:
        """Number of samples that are the same atom, shape (n_atoms,)."""
        return np.bincount(self.atoms)

    @cached_property
    def observed(self) -> np.ndarray:
        """The statistics of the data, shape (n_strata, n_groups)."""
        return self.evaluate(self.counts[None])[0]

    @cached_property
    def n_effective(self) -> np.ndarray:
        r"""Effective numbers of samples, shape (n_strata, n_groups).

        With weights :math:`w` the number is :math:`(\sum w)^2 / \sum w^2`, where the
        samples of a cluster are one sample with the sum of their weights. Of several
        kinds of samples the smallest number counts.
        """
        samples = self.samples
        sums = samples.count_cells(samples.positions, samples.n_groups, samples.weights)
        squares = _sums_of_squares(samples)
        of_strata = [
            [
                kind.count(sums, c) ** 2
                / np.maximum(squares(kind, c), np.finfo(float).tiny)
                for kind in statistic.needs
            ]
            for statistic, c in self.strata
        ]
        return np.array([np.min(kinds, axis=0) for kinds in of_strata])


def _sums_of_squares(
    samples: GroupedSamples,
) -> Callable[[SampleKind, int], np.ndarray]:
    """Return a function that sums the squared weights of a kind in each group.

    The weight of a cluster is the sum of those of its samples of this kind.
    """
    codes, n_groups = samples.positions, samples.n_groups
    if samples.clusters is None:
        squares = samples.count_cells(codes, n_groups, samples.weights**2)
        return lambda kind, c: kind.count(squares, c)
    n_clusters = samples.clusters.max(initial=0) + 1
    parts = codes * n_clusters + samples.clusters[:, None]
    found = np.unique(parts[codes >= 0])
    rows = np.where(codes >= 0, np.searchsorted(found, parts), -1)
    tables = samples.count_cells(rows, len(found), samples.weights)
    return lambda kind, c: np.bincount(
        found // n_clusters, kind.count(tables, c) ** 2, minlength=n_groups
    )


def find_atoms(columns: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Return a sample of each distinct row of codes, and the position of each row."""
    table = pd.DataFrame(dict(enumerate(columns)))
    atoms = table.groupby(list(table.columns)).ngroup().to_numpy()
    _, first = np.unique(atoms, return_index=True)
    return first, atoms


def membership_matrix(
    positions: np.ndarray,
    n_groups: int,
    values: np.ndarray,
    cells: np.ndarray | int = 0,
    n_cells: int = 1,
) -> Any:
    """Return the sparse matrix that sums the values of atoms in each cell of a group.

    `positions` are those of the groups of each atom, see `GroupedSamples`.
    """
    known = positions >= 0
    atoms, _ = np.nonzero(known)
    rows = positions * n_cells + np.reshape(cells, (-1, 1))
    shape = n_groups * n_cells, len(positions)
    return sparse.csr_array((values[atoms], (rows[known], atoms)), shape=shape)
