"""Tables: data frames of any library, and the encoding of categorical columns."""

import datetime
from typing import Any

import numpy as np
import pandas as pd
from pandas.api.types import is_numeric_dtype
from sklearn.preprocessing import OneHotEncoder

__all__ = ["TableEncoder", "as_pandas"]


def as_pandas(data: Any) -> Any:
    """Return a data frame of another library, such as polars, as one of pandas.

    Everything else is returned as it is.
    """
    if type(data).__name__ == "LazyFrame":
        raise ValueError("A LazyFrame holds no rows yet; pass `frame.collect()`.")
    is_foreign_table = (
        not isinstance(data, pd.DataFrame)
        and hasattr(data, "columns")
        and hasattr(data, "__getitem__")
    )
    if not is_foreign_table:
        return data
    return pd.DataFrame({name: np.asarray(data[name]) for name in data.columns})


_NO_CATEGORIES = (datetime.date, datetime.time, datetime.timedelta, pd.Period)


class TableEncoder:
    """One-hot columns in place of a table's categorical columns.

    Categorical is what is neither a number nor a Boolean. A missing value is a category
    of its own. A category that did not occur in `fit` is encoded as none of those that
    did: zero in each of the column's one-hot columns.

    Attributes
    ----------
    categories : dict of str to list
        Categories of each categorical column.
    """

    def __init__(self, categories: dict[str, list]) -> None:
        self.categories = categories
        self._encoder = OneHotEncoder(
            categories=[_as_objects(values) for values in categories.values()],
            handle_unknown="ignore",
            sparse_output=False,
            dtype=np.float32,
        )
        # The categories are given: any row does.
        row = [(values or [None])[0] for values in categories.values()]
        self._encoder.fit(_as_objects(row)[None, :])

    @classmethod
    def fit(cls, table: pd.DataFrame) -> "TableEncoder | None":
        """Return an encoder for a table, or None if all its columns are numbers."""
        categories: dict[Any, list] = {}
        for name, column in table.items():
            column = column.infer_objects()
            if is_numeric_dtype(column.dtype) and column.dtype.kind != "c":
                continue
            values = _objects(column)
            if column.dtype.kind in "cmM" or any(
                isinstance(value, _NO_CATEGORIES) for value in values
            ):
                raise ValueError(
                    f"`X` column {name!r} holds dates, times or complex numbers "
                    f"({column.dtype}); turn them into numbers or categories first."
                )
            try:
                known = sorted({value for value in values if value is not None})
            except TypeError as error:
                raise ValueError(
                    f"`X` column {name!r} must hold numbers, or categories of one "
                    f"type: {error}"
                ) from error
            missing: list = [None] if any(value is None for value in values) else []
            categories[name] = [*known, *missing]
        return cls(categories) if categories else None

    def n_outputs(self, n_columns: int) -> int:
        """Return the number of encoded columns of a table with `n_columns`."""
        n_one_hot = sum(len(values) for values in self.categories.values())
        return n_columns - len(self.categories) + n_one_hot

    def transform(self, table: pd.DataFrame) -> np.ndarray:
        """Encode a table.

        Parameters
        ----------
        table : DataFrame of shape (n_samples, n_features)
            With the columns seen in `fit`.

        Returns
        -------
        encoded : ndarray of shape (n_samples, n_encoded), float32
            The numbers, then the one-hot columns.

        Raises
        ------
        ValueError
            If a column of numbers holds something else.
        """
        missing = [name for name in self.categories if name not in table.columns]
        if missing:
            raise ValueError(
                f"`X` must have the columns of `fit`; {missing} are missing."
            )
        numbers = table.drop(columns=list(self.categories))
        strangers = [
            name
            for name, column in numbers.items()
            if not is_numeric_dtype(column.infer_objects().dtype)
        ]
        if strangers:
            raise ValueError(
                f"`X` column {strangers[0]!r} must hold numbers, as in `fit`; its type "
                f"is {table[strangers[0]].dtype}."
            )
        for name, values in self.categories.items():
            column = table[name].infer_objects()
            are_numbers = any(isinstance(v, int | float) for v in values)
            if (
                is_numeric_dtype(column.dtype)
                and not are_numbers
                and not column.isna().all()
            ):
                raise ValueError(
                    f"`X` column {name!r} must hold categories, as in `fit`; its type "
                    f"is {table[name].dtype}."
                )
        categorical = np.column_stack([_objects(table[c]) for c in self.categories])
        return np.hstack(
            [
                numbers.to_numpy(dtype=np.float32, na_value=np.nan),
                self._encoder.transform(categorical),
            ]
        )


def _objects(column: pd.Series) -> np.ndarray:
    """Values as Python objects, with None for what is missing."""
    values = column.astype(object).to_numpy(copy=True)
    values[column.isna().to_numpy()] = None
    return values


def _as_objects(values: list) -> np.ndarray:
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array
