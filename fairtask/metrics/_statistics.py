"""What statistics of groups have in common: resamples, sizes, errors, limits."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from functools import cached_property

import numpy as np

from fairtask.metrics._comparison import Comparison

__all__ = [
    "MAX_ELEMENTS",
    "NEEDS",
    "GroupStatistics",
    "n_needed",
    "standard_errors",
    "wilson",
]

MAX_ELEMENTS = 4_000_000
"""Numbers held at once while resampling."""

NEEDS = {
    "selection_rate": "samples",
    "true_positive_rate": "positives",
    "false_positive_rate": "negatives",
    "accuracy": "samples",
    "roc_auc": "both",
    "log_loss": "samples",
    "soft_zero_one": "samples",
}
"""What a group must have for a statistic to be defined; both classes for an AUC."""


def n_needed(sizes: np.ndarray, c: int, needs: str) -> np.ndarray:
    """Number of samples of each group that a statistic of class c is computed from.

    Parameters
    ----------
    sizes : ndarray of shape (n_groups, n_classes)
    c : int
    needs : {"samples", "positives", "negatives", "both"}

    Returns
    -------
    n_samples : ndarray of shape (n_groups,)
        Of two kinds of samples the fewer.
    """
    samples, positives = sizes.sum(axis=1), sizes[:, c]
    return {
        "samples": samples,
        "positives": positives,
        "negatives": samples - positives,
        "both": np.minimum(positives, samples - positives),
    }[needs]


class GroupStatistics(ABC):
    r"""Statistics of each group, as functions of the number of times a sample occurs.

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
    n_effective : list of ndarray of shape (n_strata, n_groups)
        Number of samples that each statistic is computed from, for each attribute; of
        weighted samples the effective number :math:`(\sum w)^2 / \sum w^2`, of an AUC
        that of the class with fewer.
    """

    counts: np.ndarray
    strata: list[tuple[str, int]]
    n_effective: list[np.ndarray]

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

    @abstractmethod
    def limit(
        self, values: np.ndarray, errors: np.ndarray, n: np.ndarray, z: float
    ) -> np.ndarray:
        """Compute a confidence limit of each statistic.

        Parameters
        ----------
        values, errors, n : ndarray of shape (...)
            Observed statistics, their standard errors in the resamples (NaN without
            any), and the effective numbers of samples.
        z : float
            Quantile of the normal distribution: negative for a lower limit.

        Returns
        -------
        limits : ndarray of shape (...)
        """

    def observed(self) -> list[np.ndarray]:
        """Return the statistics of the data, shape (n_strata, n_groups) each."""
        return self._observed

    @cached_property
    def _observed(self) -> list[np.ndarray]:
        # A report asks for them once per table and metric.
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
        if not self.counts.sum():
            return [
                np.full((n_resamples, *values.shape), np.nan)
                for values in self.observed()
            ]
        chunks = [
            self.evaluate(multiplicities)
            for multiplicities in _draw(self.counts, n_resamples, rng)
        ]
        return [np.concatenate(parts) for parts in zip(*chunks, strict=True)]

    def _count(self, data: Comparison) -> list[np.ndarray]:
        """Return `n_effective`."""
        numbers = []
        for attribute in range(len(data.sensitive.names)):
            totals, squares = (
                data.sizes(attribute, data.weights**power) for power in (1, 2)
            )
            of_strata = [
                n_needed(totals, c, NEEDS[name]) ** 2
                / np.maximum(n_needed(squares, c, NEEDS[name]), np.finfo(float).tiny)
                for name, c in self.strata
            ]
            numbers.append(np.array(of_strata))
        return numbers


def standard_errors(resampled: np.ndarray) -> np.ndarray:
    """Standard deviation over the resamples, the first axis, in which there is a value.

    NaN, without a word, where there are fewer than two.
    """
    known = ~np.isnan(resampled)
    n = known.sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.where(known, resampled, 0).sum(axis=0) / n
        squares = np.where(known, resampled - mean, 0) ** 2
        return np.where(n > 1, np.sqrt(squares.sum(axis=0) / (n - 1)), np.nan)


def wilson(values: np.ndarray, n: np.ndarray, z: float) -> np.ndarray:
    """Wilson's limit of a share, which holds at 0 and 1 as well."""
    with np.errstate(invalid="ignore", divide="ignore"):  # of no samples NaN
        half = z * np.sqrt(values * (1 - values) / n + z**2 / (4 * n**2))
        return (values + z**2 / (2 * n) + half) / (1 + z**2 / n)


def _draw(
    counts: np.ndarray, n_resamples: int, rng: np.random.Generator
) -> Iterator[np.ndarray]:
    """Yield how often each atom is among as many draws as there are samples."""
    n_samples, n_atoms = int(counts.sum()), len(counts)
    # A multinomial draw costs one binomial per atom, which is dearer than a few draws
    # of single samples.
    has_few_atoms = 8 * n_atoms < n_samples
    chunk = max(1, MAX_ELEMENTS // max(n_atoms, 1 if has_few_atoms else n_samples))
    if n_atoms < n_samples and not has_few_atoms:
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
