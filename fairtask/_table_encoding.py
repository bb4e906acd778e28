"""The first layer for tables: numbers and categories, encoded batch by batch."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from scipy import sparse
from sklearn.utils.sparsefuncs import min_max_axis
from torch import Tensor, nn

from fairtask._bins import bin_ends

__all__ = [
    "NUMERIC_ENCODINGS",
    "NumberEncoding",
    "TableEncoding",
    "learn_first_widths",
    "learn_numbers",
]

NUMERIC_ENCODINGS = ("piecewise_linear", "standard")

ROWS_AT_ONCE = 2**14
"""Rows of a sparse matrix of which the largest values are found at once."""


@dataclass(frozen=True)
class NumberEncoding:
    """How numbers become inputs of the network.

    Input j is ``(x[column[j]] - left[j]) / width[j]``, cut to [0, 1] if it is a bin.

    Attributes
    ----------
    column : list of int
        Column of each input.
    left, width : list of float
        A width of 0 stands for a column that has never varied: its input is always 0,
        because its weights have learnt nothing.
    is_bin : list of bool
    neutral : list of float
        Number in place of a missing one, for each column: its mean.
    marked : list of int
        Columns with known and missing numbers. Another input of each marks the latter.
    """

    column: list[int]
    left: list[float]
    width: list[float]
    is_bin: list[bool]
    neutral: list[float]
    marked: list[int]


def learn_numbers(
    X: Any,
    y: np.ndarray,
    sample_weight: np.ndarray | None = None,
    *,
    encoding: str | None,
) -> NumberEncoding:
    """Choose the encoding of each column.

    Parameters
    ----------
    X : ndarray or sparse CSR of shape (n_samples, n_columns), float32
        NaN where a number is missing.
    y : ndarray of shape (n_samples, n_tasks), int64
        Class codes, for the trees.
    sample_weight : ndarray of shape (n_samples,), optional
    encoding : {"piecewise_linear", "standard"} or None

    Notes
    -----
    "piecewise_linear" is "PLE" with the bins of a decision tree per column, from
    Gorishniy, Rubachev and Babenko, "On Embeddings for Numerical Features in Tabular
    Deep Learning" (2022), after the standardised number, without which few samples are
    learnt worse. In the bins a number beyond the training samples counts as the largest
    or the smallest of them. A column of two values becomes 0 and 1. Sparse columns are
    divided by their largest absolute value, so that 0 stays 0. Trees are grown on about
    200,000 samples if there are more.
    """
    n_columns = X.shape[1]
    if sparse.issparse(X):
        counts: Any = slice(None)
        if sample_weight is not None and not sample_weight.all():
            counts = sample_weight > 0
        largest = _largest(X[counts])
        width = np.ones(n_columns) if encoding is None else largest
        return NumberEncoding(
            list(range(n_columns)),
            [0.0] * n_columns,
            width.tolist(),
            [False] * n_columns,
            [0.0] * n_columns,
            [],
        )
    weight = np.ones(len(y)) if sample_weight is None else sample_weight.astype(float)
    learnt = NumberEncoding([], [], [], [], [], [])
    counts = weight > 0
    for j, x in enumerate(X.T):
        is_known = ~np.isnan(x)
        used = is_known & counts
        known, known_weight = x[used].astype(np.float64), weight[used]
        if len(known) and not is_known.all():
            learnt.marked.append(j)
        mean = np.average(known, weights=known_weight) if len(known) else 0.0
        learnt.neutral.append(float(mean))
        inputs = _inputs(known, y[used], known_weight, mean, encoding)
        for start, size, is_bin in inputs:
            learnt.column.append(j)
            learnt.left.append(float(start))
            learnt.width.append(float(size))
            learnt.is_bin.append(is_bin)
    return learnt


def learn_first_widths(
    numbers: NumberEncoding,
    X: Any,
    sample_weight: np.ndarray | None = None,
    *,
    encoding: str | None,
) -> NumberEncoding:
    """Add a width for columns that vary in more samples for the first time.

    The parameters after the first are those of `learn_numbers`. Other columns keep
    their encoding, which the weights of the network belong to.
    """
    unset = [i for i, width in enumerate(numbers.width) if not width]
    if not unset:
        return numbers
    X = X[:, [numbers.column[i] for i in unset]]
    if sample_weight is not None:
        X = X[sample_weight > 0]
    if sparse.issparse(X):
        largest = _largest(X)
    else:
        left = np.array([numbers.left[i] for i in unset])
        largest = np.fmax.reduce(np.abs(X - left), axis=0, initial=0)
    if encoding is None:
        largest = np.sign(largest)
    width = list(numbers.width)
    for i, size in zip(unset, largest.tolist(), strict=True):
        width[i] = size
    return replace(numbers, width=width)


def _largest(X: Any) -> np.ndarray:
    """Return the largest absolute value of each column of a sparse matrix.

    It is read in parts, because scikit-learn makes a copy in the order of the columns.
    """
    of_parts = [
        np.abs(min_max_axis(X[start : start + ROWS_AT_ONCE], axis=0, ignore_nan=True))
        for start in range(0, X.shape[0], ROWS_AT_ONCE)
    ]
    return np.fmax.reduce(np.concatenate(of_parts), initial=0)


def _inputs(
    x: np.ndarray,
    y: np.ndarray,
    weight: np.ndarray,
    mean: float,
    encoding: str | None,
) -> Iterator[tuple[float, float, bool]]:
    """Yield the left end and the width of each input of a column, and if it is a bin.

    `x` are its known numbers.
    """
    if not len(x):
        yield 0.0, 0.0, False
        return
    if encoding is None:
        yield 0.0, 1.0, False
        return
    low, high = x.min(), x.max()
    if ((x == low) | (x == high)).all():
        yield low, high - low, False
        return
    yield mean, np.sqrt(np.average((x - mean) ** 2, weights=weight)), False
    if encoding == "piecewise_linear":
        ends = sorted({low, *bin_ends(x.astype(np.float32), y, weight), high})
        if len(ends) > 2:
            for left, right in pairwise(ends):
                yield left, right - left, True


class TableEncoding(nn.Module):
    """Encode rows of numbers and of codes of categories.

    Parameters
    ----------
    numbers : NumberEncoding
        Of the first columns.
    n_categories : sequence of int, default=()
        Number of categories of each column after them.

    Attributes
    ----------
    out_features : int
        Width of the encoded rows.
    """

    column: Tensor
    left: Tensor
    width: Tensor
    low: Tensor
    high: Tensor
    neutral: Tensor
    marked: Tensor
    code_column: Tensor
    code: Tensor

    def __init__(
        self, numbers: NumberEncoding, n_categories: Sequence[int] = ()
    ) -> None:
        super().__init__()
        is_bin = torch.tensor(numbers.is_bin, dtype=torch.bool)
        width = torch.tensor(numbers.width, dtype=torch.float32)
        varies = width > 0
        buffers = {
            "column": torch.tensor(numbers.column, dtype=torch.int64),
            "left": torch.tensor(numbers.left, dtype=torch.float32),
            "width": torch.where(varies, width, 1.0),
            "low": torch.where(is_bin | ~varies, 0.0, -torch.inf),
            "high": torch.where(is_bin, 1.0, torch.where(varies, torch.inf, 0.0)),
            "neutral": torch.tensor(numbers.neutral, dtype=torch.float32),
            "marked": torch.tensor(numbers.marked, dtype=torch.int64),
            "code_column": torch.repeat_interleave(
                torch.tensor(n_categories, dtype=torch.int64),
                output_size=sum(n_categories),
            ),
            "code": torch.cat([torch.zeros(0), *map(torch.arange, n_categories)]),
        }
        for name, values in buffers.items():
            self.register_buffer(name, values, persistent=False)
        self.out_features = len(numbers.left) + len(numbers.marked)
        self.out_features += sum(n_categories)

    def forward(self, X: Tensor) -> Tensor:
        """Encode rows.

        Parameters
        ----------
        X : Tensor of shape (n_samples, n_columns), float32
            Numbers, NaN where they are missing, and then codes. A code that is none of
            0, ..., n - 1 stands for an unknown category.

        Returns
        -------
        Tensor of shape (n_samples, out_features), float32
            Encoded numbers, marks of missing numbers, and an output per category.
        """
        n_numbers = len(self.neutral)
        numbers, codes = X[:, :n_numbers], X[:, n_numbers:]
        is_missing = numbers.isnan()
        known = torch.where(is_missing, self.neutral, numbers)
        # In place: the pieces are the largest array of a prediction.
        pieces = known.index_select(1, self.column).sub_(self.left).div_(self.width)
        encoded = [pieces.clamp_(self.low, self.high)]
        if len(self.marked):
            encoded.append(is_missing[:, self.marked].to(X.dtype))
        if len(self.code):
            encoded.append((codes[:, self.code_column] == self.code).to(X.dtype))
        return torch.cat(encoded, dim=1) if len(encoded) > 1 else pieces
