"""Statistics of samples, or whole clusters of them, that are drawn with replacement."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from scipy import sparse

from fairtask.metrics._statistics import GroupStatistics, find_atoms

__all__ = ["correlations", "resample", "resample_together", "standard_errors"]

MAX_ELEMENTS = 4_000_000
"""Numbers held at once while resampling."""


def resample(
    statistics: GroupStatistics, n_resamples: int, rng: np.random.Generator
) -> np.ndarray:
    """Compute the statistics of samples drawn with replacement.

    Returns an array of shape (n_resamples, n_strata, n_groups).
    """
    return resample_together([statistics], n_resamples, rng)[0]


def resample_together(
    statistics: Sequence[GroupStatistics], n_resamples: int, rng: np.random.Generator
) -> list[np.ndarray]:
    """Compute several statistics of the same samples, from the same draws.

    If the samples have clusters, these are drawn.
    """
    if not len(statistics[0].atoms):
        shapes = [(n_resamples, *family.observed.shape) for family in statistics]
        return [np.full(shape, np.nan) for shape in shapes]
    counts, contents = _units(statistics)
    largest = max(len(counts), *(len(family.counts) for family in statistics))
    chunks = [
        [
            family.evaluate(_multiply(content, drawn))
            for family, content in zip(statistics, contents, strict=True)
        ]
        for drawn in _draw(counts, n_resamples, largest, rng)
    ]
    return [np.concatenate(of_family) for of_family in zip(*chunks, strict=True)]


def _units(statistics: Sequence[GroupStatistics]) -> tuple[np.ndarray, list[Any]]:
    """Return what is drawn: the numbers of equal units, and the atoms of a unit.

    The latter are a matrix (n_atoms, n_units) for each of the statistics, or None if
    units are atoms.
    """
    clusters = statistics[0].samples.clusters
    if clusters is not None:
        units, counts = clusters, np.ones(clusters.max() + 1, dtype=np.int64)
        samples = np.arange(len(units))
    elif len(statistics) == 1:
        return statistics[0].counts, [None]
    else:
        samples, units = find_atoms([family.atoms for family in statistics])
        counts = np.bincount(units)
        units = units[samples]
    return counts, [
        sparse.csr_array(
            (np.ones(len(units)), (family.atoms[samples], units)),
            shape=(len(family.counts), len(counts)),
        )
        for family in statistics
    ]


def _multiply(content: Any, drawn: np.ndarray) -> np.ndarray:
    """Return how often each atom occurs, from how often each unit was drawn."""
    return drawn if content is None else (content @ drawn.T).T


def _draw(
    counts: np.ndarray, n_resamples: int, largest: int, rng: np.random.Generator
) -> Iterator[np.ndarray]:
    """Yield how often each unit is among as many draws as there are units.

    At most as many resamples at once as `largest` numbers of each allow.
    """
    n_drawn, n_units = int(counts.sum()), len(counts)
    # A multinomial draw costs one binomial per unit, more than a few draws of single
    # samples.
    has_few_units = 8 * n_units < n_drawn
    chunk = max(1, MAX_ELEMENTS // max(largest, 1 if has_few_units else n_drawn))
    if n_units < n_drawn and not has_few_units:
        units = np.repeat(np.arange(n_units), counts)
    for start in range(0, n_resamples, chunk):
        size = min(chunk, n_resamples - start)
        if has_few_units:
            yield rng.multinomial(n_drawn, counts / n_drawn, size=size)
        else:
            drawn = rng.integers(n_drawn, size=(size, n_drawn))
            if n_units < n_drawn:
                drawn = units[drawn]
            drawn += n_units * np.arange(size)[:, None]
            occurs = np.bincount(drawn.ravel(), minlength=size * n_units)
            yield occurs.reshape(size, n_units)


def standard_errors(resampled: np.ndarray) -> np.ndarray:
    """Standard deviation over the resamples, the first axis, where they have a value.

    NaN, without a warning, where fewer than two have one.
    """
    known = ~np.isnan(resampled)
    n = known.sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.where(known, resampled, 0).sum(axis=0) / n
        squares = np.where(known, resampled - mean, 0) ** 2
        return np.where(n > 1, np.sqrt(squares.sum(axis=0) / (n - 1)), np.nan)


def correlations(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Correlations over the resamples, the first axis; 0 where one does not vary."""
    known = np.isfinite(first) & np.isfinite(second)
    first, second = (np.where(known, values, np.nan) for values in (first, second))
    n = np.maximum(known.sum(axis=0), 1)
    first, second = (
        np.nan_to_num(values - np.nansum(values, axis=0) / n)
        for values in (first, second)
    )
    products = (first * second).sum(axis=0)
    scale = np.sqrt((first**2).sum(axis=0) * (second**2).sum(axis=0))
    return np.divide(products, scale, out=np.zeros_like(products), where=scale > 0)
