"""A data frame as one array: its numbers, and codes of its categories."""

import re
from collections.abc import Hashable, Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_array

from fairtask._columns import count_categories, encode_categories, read_numbers
from fairtask._validation import warn_user

__all__ = ["TableEncoder"]

EXPECTED = "numbers, or categories of one type"
"""Values of a column."""

MAX_CATEGORIES = 255
"""A column has no more codes than this."""

MAX_UNIQUE = 0.9
MIN_NAMES = 50
"""More distinct categories than both, as a share of the rows and in number, are names
of the samples."""

DATE = re.compile(
    r"(\d{4}([-/.])\d{1,2}\2\d{1,2}|\d{1,2}([-/.])\d{1,2}\3\d{4})([T ]\d.*)?"
)
"""Text of a date, such as 2024-05-31 or 31.5.2024, with or without a time."""

UNKNOWN = -1
"""Code of a category that `fit` did not see."""


def _is_sparse(table: pd.DataFrame) -> bool:
    dtypes = table.dtypes
    return len(dtypes) > 0 and all(isinstance(t, pd.SparseDtype) for t in dtypes)


def _numbers(column: pd.Series, name: Any) -> np.ndarray:
    numbers = read_numbers(column, f"`X` column {name!r}")
    if numbers is None:
        raise ValueError(
            f"`X` column {name!r} must hold numbers, as in `fit`; its type is "
            f"{column.dtype}."
        )
    return numbers


class TableEncoder:
    """A data frame as one array: its numbers, and codes of its categories.

    A missing value is a category of its own. Of a column with more than
    `MAX_CATEGORIES` categories the most frequent have a code each, and all others share
    one.

    Attributes
    ----------
    categories : dict of str to list
        Categories of each categorical column, in the order of their codes.
    grouped : list of str
        Columns whose other categories share a code.
    ignored : list of str
        Columns that name the samples, and are left out.
    """

    def __init__(
        self,
        categories: dict[str, list],
        grouped: Sequence[str] = (),
        ignored: Sequence[str] = (),
    ) -> None:
        self.categories = categories
        self.grouped = list(grouped)
        self.ignored = list(ignored)

    @classmethod
    def fit(cls, table: pd.DataFrame) -> "TableEncoder | None":
        """Return an encoder for a table, or None if all its columns are numbers."""
        encoder = cls({})
        for name, column in table.items():
            where = f"`X` column {name!r}"
            if read_numbers(column, where, EXPECTED) is None:
                encoder._learn(name, column, where)
        if len(encoder.ignored) == table.shape[1]:
            raise ValueError(
                "`X` must have a column of numbers or of categories; nearly every "
                f"value of its columns {encoder.ignored} is unique."
            )
        return encoder if encoder.categories or encoder.ignored else None

    def _learn(self, name: Any, column: pd.Series, where: str) -> None:
        """Learn the categories of a column."""
        categories, counts = count_categories(column, where)
        known = categories[np.argsort(-counts, kind="stable")].tolist()
        n_known = counts.sum()
        are_many = len(known) > MIN_NAMES
        are_dates = are_many and all(DATE.fullmatch(str(c)) for c in known)
        if are_many and len(known) > MAX_UNIQUE * n_known:
            reason = "so that they name the samples. Drop the column, or group them"
            if are_dates:
                reason = "and are dates. Turn them into numbers, such as days or years"
            warn_user(
                UserWarning,
                f"`X` column {name!r} is ignored: {len(known)} of its {n_known} values "
                f"are distinct, {reason}.",
            )
            self.ignored.append(name)
            return
        if are_dates:
            warn_user(
                UserWarning,
                f"`X` column {name!r} holds dates as text: each of {len(known)} dates "
                "is a category. Turn them into numbers, such as days or years.",
            )
        if len(known) > MAX_CATEGORIES:
            self.grouped.append(name)
            known = known[: MAX_CATEGORIES - 1]
        try:
            known.sort()
        except TypeError as error:
            raise ValueError(
                f"`X` column {name!r} must hold {EXPECTED}: {error}"
            ) from error
        self.categories[name] = [*known, None] if n_known < len(column) else known

    @property
    def names(self) -> list[Hashable]:
        """Columns that do not hold numbers."""
        return [*self.categories, *self.ignored]

    @property
    def n_categories(self) -> list[int]:
        """Number of codes of each categorical column."""
        return [
            len(values) + (name in self.grouped)
            for name, values in self.categories.items()
        ]

    def order(self, columns: Iterable[Hashable]) -> list[Hashable]:
        """Return the names of the columns in the order in which they are encoded."""
        others = set(self.names)
        numbers = [name for name in columns if name not in others]
        return numbers + list(self.categories)

    def encode(self, X: Any, dtype: Any, estimator: BaseEstimator) -> Any:
        """Return a table of any kind as an array or a sparse matrix.

        Numbers that are too large for the type become infinite.
        """
        try:
            with np.errstate(over="ignore"):
                if isinstance(X, pd.DataFrame) and (self.names or not _is_sparse(X)):
                    X = self.transform(X, dtype)
                return check_array(
                    X,
                    dtype=dtype,
                    accept_sparse="csr",
                    ensure_all_finite=False,
                    input_name="X",
                    estimator=estimator,
                )
        except ValueError as error:
            if "could not convert string" not in str(error):
                raise
            # The message of numpy names neither the argument nor a remedy.
            raise ValueError(
                "`X` must hold numbers; pass a data frame for categorical columns, or "
                f"encode them first: {error}"
            ) from error

    def transform(self, table: pd.DataFrame, dtype: Any = np.float32) -> np.ndarray:
        """Encode a data frame.

        Parameters
        ----------
        table : DataFrame of shape (n_samples, n_features)
            With the columns seen in `fit`.

        Returns
        -------
        encoded : ndarray of shape (n_samples, n_columns)
            The numbers, NaN where they are missing, and then the codes. The code of a
            category that `fit` did not see is -1.

        Raises
        ------
        ValueError
            If a column is missing, or does not hold values of its type.
        """
        missing = [name for name in self.names if name not in table.columns]
        if missing:
            raise ValueError(
                f"`X` must have the columns of `fit`; {missing} are missing."
            )
        columns = self.order(table.columns)
        X = np.empty((len(table), len(columns)), dtype)
        for j, name in enumerate(columns):
            if name not in self.categories:
                X[:, j] = _numbers(table[name], name)
                continue
            known = self.categories[name]
            codes = encode_categories(table[name], f"`X` column {name!r}", known)
            if name in self.grouped:
                codes[codes == UNKNOWN] = len(known)
            X[:, j] = codes
        return X
