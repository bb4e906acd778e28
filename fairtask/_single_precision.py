"""Numbers of tables in float32, in which networks compute: their size and precision."""

import reprlib
from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse
from sklearn.utils import _safe_indexing

from fairtask._validation import warn_user

__all__ = ["check_sizes", "take_some", "warn_of_lost_differences"]

LARGEST = float(np.finfo(np.float32).max) / 2
"""The difference of two numbers up to this size is finite in float32."""

FEW = 32
"""With fewer distinct numbers than this, differences that are lost matter."""

SOME_ROWS = 1_000
SOME_VALUES = 2**20
"""Distinct numbers are counted in about as many rows, and in no more values."""

ROUNDING = 2.0**-40
"""Numbers whose relative difference is smaller may differ by rounding alone."""


def check_sizes(X: Any, names: Sequence[Hashable]) -> None:
    """Raise a ValueError that names a column if its numbers are too large.

    Parameters
    ----------
    X : ndarray or sparse array of shape (n_samples, n_columns), float32
    names : sequence
        Names of the columns.
    """
    values = X.data if sparse.issparse(X) else X
    # Without copies, of which `abs` would make one.
    high = np.fmax.reduce(values, axis=None, initial=0)
    low = np.fmin.reduce(values, axis=None, initial=0)
    if max(high, -low) <= LARGEST:
        return
    row, column = (indices[0] for indices in (abs(X) > LARGEST).nonzero())
    raise ValueError(
        f"`X` column {names[column]!r} must hold finite numbers, of a size up to "
        f"{LARGEST:.2g}, whose differences are finite in float32; found "
        f"{X[row, column]:.3g}."
    )


def take_some(X: Any) -> Any:
    """Return some rows of a table of any kind, which is a valid one."""
    if sparse.issparse(X):
        X = X if X.format in ("csr", "csc") else X.tocsr()
    elif not isinstance(X, pd.DataFrame):
        X = np.asarray(X)
    n_rows = max(2, min(SOME_ROWS, SOME_VALUES // X.shape[1]))
    return _safe_indexing(X, slice(None, None, max(1, X.shape[0] // n_rows)))


def warn_of_lost_differences(rows: Any, names: Sequence[Hashable]) -> None:
    """Warn of columns with few distinct numbers in float32, and more in float64.

    Parameters
    ----------
    rows : ndarray or sparse array of shape (n_rows, n_columns), float64
        Some rows of a table.
    names : sequence
        Names of the columns.
    """
    rows = rows.toarray() if sparse.issparse(rows) else rows
    n_before = _count_distinct(rows, ROUNDING)
    n_after = _count_distinct(rows.astype(np.float32))
    lost = np.flatnonzero((n_after < FEW) & (2 * n_after <= n_before)).tolist()
    if not lost:
        return
    first = lost[0]
    warn_user(
        UserWarning,
        f"`X` columns {reprlib.repr([names[j] for j in lost])} have numbers that "
        "are equal in float32, in which the network computes: of the "
        f"{n_before[first]} distinct numbers that column {names[first]!r} has in "
        f"{len(rows)} rows, {n_after[first]} are left. Subtract an offset and scale "
        "them first, for example with `sklearn.preprocessing.StandardScaler`.",
    )


def _count_distinct(rows: np.ndarray, precision: float = 0.0) -> np.ndarray:
    """Count the distinct numbers of each column; NaN does not count."""
    ordered = np.sort(rows, axis=0)  # NaN at the end
    steps = np.diff(ordered, axis=0) > precision * np.abs(ordered[1:])
    return 1 + steps.sum(axis=0)
