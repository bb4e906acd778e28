"""Containers of samples: tables, columns and arrays, and whether their rows agree."""

import datetime
import reprlib
from collections import Counter
from collections.abc import Iterator, Mapping, Set
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from scipy import sparse

__all__ = [
    "DATES",
    "are_columns",
    "as_pandas",
    "as_table",
    "check_n_rows",
    "check_same_rows",
    "from_arrow",
    "no_dates",
]

EXACT_TYPES = {
    pa.int8(): pd.Int8Dtype(),
    pa.int16(): pd.Int16Dtype(),
    pa.int32(): pd.Int32Dtype(),
    pa.int64(): pd.Int64Dtype(),
    pa.uint8(): pd.UInt8Dtype(),
    pa.uint16(): pd.UInt16Dtype(),
    pa.uint32(): pd.UInt32Dtype(),
    pa.uint64(): pd.UInt64Dtype(),
}
"""Types for integers of Arrow, which pandas rounds to floats if one is missing."""

DATES = (
    datetime.date,
    datetime.time,
    datetime.timedelta,
    np.datetime64,
    np.timedelta64,
    pd.Period,
)

MAX_NAMED = 3
"""Largest number of labels of an index that an error message names."""


def as_pandas(data: Any, argument: str) -> Any:
    """Return a table or a column of any library as one of pandas, without loss.

    A masked entry of an array is a missing value. Sparse matrices, lists and other
    arrays are returned as they are.

    Parameters
    ----------
    data : object
        The argument as it was passed.
    argument : str
        Name for error messages.

    Raises
    ------
    ValueError
        If it is no list, array or table, there are no rows yet, or an array holds
        dates, times, complex numbers or fields.
    """
    if isinstance(data, pd.DataFrame | pd.Series):
        return data
    if isinstance(data, pd.Index):
        return pd.Series(data.array, name=data.name)
    if isinstance(data, pd.api.extensions.ExtensionArray):
        return pd.Series(data)
    if isinstance(data, np.ndarray) and data.ndim:
        return _checked(data, argument)
    if type(data).__name__ == "LazyFrame":
        raise ValueError(
            f"`{argument}` must hold rows, and a LazyFrame holds none yet; pass "
            "`frame.collect()`."
        )
    if isinstance(data, pa.Array | pa.ChunkedArray):
        return from_arrow(data)
    is_table = hasattr(data, "columns")
    if hasattr(data, "__arrow_c_stream__"):
        arrow = pa.table(data) if is_table else pa.chunked_array(data)
        column_name = {} if is_table else {"name": getattr(data, "name", None)}
        return from_arrow(arrow, **column_name)
    if is_table and hasattr(data, "__getitem__"):
        return pd.DataFrame({name: np.asarray(data[name]) for name in data.columns})
    _check_container(data, argument)
    return data


def _check_container(data: Any, argument: str) -> None:
    """Raise a ValueError if this can have no rows, such as a set or a number."""
    has_rows = any(hasattr(data, name) for name in ("__len__", "__array__", "shape"))
    is_other = isinstance(data, str | bytes | Set | Mapping | type)
    is_array = has_rows and not is_other and getattr(data, "ndim", 1) != 0
    if is_array or sparse.issparse(data):  # some sparse matrices are dicts
        return
    hint = ""
    if isinstance(data, str):
        hint = " Pass the column that has this name, such as `table['name']`."
    raise ValueError(
        f"`{argument}` must be a list, an array, a table or a column of one; got "
        f"{reprlib.repr(data)}, of type {type(data).__name__}.{hint}"
    )


def check_n_rows(values: Any, n_found: int, argument: str, n_samples: int) -> None:
    """Raise a ValueError if an argument does not have one row per sample.

    Parameters
    ----------
    values : object
        The argument as it was passed, which may be a list of names of columns.
    n_found : int
        Number of its rows.
    argument : str
        Name for error messages.
    n_samples : int
        Number of rows expected.
    """
    if n_found == n_samples:
        return
    hint = ""
    is_short_list = isinstance(values, list | tuple) and 0 < n_found < n_samples
    if is_short_list and all(isinstance(value, str) for value in values):
        hint = (
            " If these are names of columns, pass the columns, such as "
            "`table[['name']]`."
        )
    raise ValueError(
        f"`{argument}` must have one row per sample: expected {n_samples}, found "
        f"{n_found}.{hint}"
    )


def from_arrow(data: Any, *, name: Any = None) -> Any:
    """Return a table or a column of Arrow as one of pandas, with exact integers."""
    if isinstance(data, pa.Table):
        fields = [f.with_type(_with_signed_codes(f.type)) for f in data.schema]
        data = data.cast(pa.schema(fields, metadata=data.schema.metadata))
        return data.to_pandas(types_mapper=EXACT_TYPES.get)
    data = data.cast(_with_signed_codes(data.type))
    return data.to_pandas(types_mapper=EXACT_TYPES.get).rename(name)


def _with_signed_codes(kind: pa.DataType) -> pa.DataType:
    """Return the type of a column, with codes of categories that pandas can have."""
    if not pa.types.is_dictionary(kind):
        return kind
    return pa.dictionary(pa.int64(), kind.value_type, kind.ordered)


def as_table(X: Any, argument: str) -> Any:
    """Return samples as a data frame if they have named columns; see `as_pandas`.

    The elements of lists and of arrays of objects are checked, too.
    """
    if isinstance(X, list | tuple):
        X = _stacked(X)
    X = as_pandas(X, argument)
    if isinstance(X, np.ndarray) and X.dtype == object:
        dates = {type(value).__name__ for value in X.flat if isinstance(value, DATES)}
        if dates:
            raise ValueError(no_dates(f"`{argument}`", dates.pop()))
        missing = pd.isna(X)
        if missing.any():
            X = np.where(missing, np.nan, X)  # float() refuses pandas.NA
    return X


def _stacked(rows: Any) -> Any:
    """Return a list as an array where its elements have one shape."""
    if any(isinstance(row, np.ma.MaskedArray) for row in rows):
        return np.ma.stack(rows)
    try:
        return np.asarray(rows)
    except ValueError:
        return rows  # scikit-learn describes the shape that it expects


def _checked(array: np.ndarray, argument: str) -> np.ndarray:
    if array.dtype.kind in "mM":
        raise ValueError(no_dates(f"`{argument}`", array.dtype))
    if array.dtype.kind == "c":
        # The first words are those of scikit-learn.
        raise ValueError(
            f"Complex data not supported: `{argument}` must hold real numbers; its "
            f"type is {array.dtype}."
        )
    if array.dtype.kind == "V":
        raise ValueError(
            f"`{argument}` must not have fields, which a structured array has; pass "
            "`pandas.DataFrame(array)`."
        )
    if not isinstance(array, np.ma.MaskedArray):
        return array
    if not np.ma.is_masked(array):
        return array.data
    if array.dtype.kind == "f":
        return array.filled(np.nan)
    values = array.data.astype(object)  # integers stay exact
    values[np.ma.getmaskarray(array)] = None
    return values


def no_dates(where: str, found: Any) -> str:
    """Say that dates or times are of no use, and what to pass in their place."""
    return (
        f"{where} must not hold dates or times; its type is {found}. Turn them into "
        "numbers, such as days or years, or, if they are names, into strings."
    )


def are_columns(data: Any) -> bool:
    """Whether this is a list of columns of pandas."""
    return (
        isinstance(data, list | tuple)
        and len(data) > 0
        and all(isinstance(column, pd.Series) for column in data)
    )


def check_same_rows(inputs: Mapping[str, Any]) -> None:
    """Raise a ValueError if inputs of pandas do not hold the same rows in one order.

    The position of a row counts where an input has no index of its own. Inputs of
    different length are left to other checks.

    Parameters
    ----------
    inputs : mapping of str to object
        The arguments by name. The columns of dicts and lists are compared, too.
    """
    indexes = [found for name, data in inputs.items() for found in _indexes(name, data)]
    for name, index in indexes[1:]:
        first, reference = indexes[0]
        if index is reference or len(index) != len(reference):
            continue
        if not index.equals(reference):
            raise ValueError(_difference(first, reference, name, index))


def _indexes(name: str, data: Any) -> Iterator[tuple[str, pd.Index]]:
    """Yield the index of an argument, or of each of its columns."""
    if isinstance(data, pd.DataFrame | pd.Series):
        yield name, data.index
    elif isinstance(data, Mapping):
        for key, column in data.items():
            yield from _indexes(f"{name}[{key!r}]", column)
    elif are_columns(data):
        for i, column in enumerate(data):
            yield f"{name}[{i}]", column.index


def _difference(first: str, reference: pd.Index, name: str, index: pd.Index) -> str:
    """Say how two indices differ, and how to align them."""
    by_position = (
        f"pass `{name}.to_numpy()` if its rows belong to those of `{first}` by position"
    )
    if Counter(index) != Counter(reference):
        labels = index.difference(reference, sort=False)
        owner = name
        if not len(labels):  # the index repeats labels of the other
            labels, owner = reference.difference(index, sort=False), first
        found = ", ".join(repr(label) for label in labels[:MAX_NAMED].tolist())
        only = f" Only `{owner}` has {found}." if found else ""
        return (
            f"`{first}` and `{name}` must hold the same rows; the labels of their "
            f"indices differ.{only} Select the same rows, or {by_position}."
        )
    align = f"use `{name} = {name}.loc[{first}.index]`, or "
    if index.has_duplicates:
        align = "give each row a label of its own before you shuffle, or "
    return (
        f"`{first}` and `{name}` must hold their rows in one order; their indices have "
        f"the same labels in another order. To align them, {align}{by_position}."
    )
