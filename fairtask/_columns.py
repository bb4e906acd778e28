"""Columns: whether they hold numbers or names, and their exact values."""

from collections.abc import Hashable, Iterable, Sequence
from decimal import Decimal
from numbers import Integral, Real
from typing import Any

import numpy as np
import pandas as pd
from pandas.api.extensions import ExtensionArray

from fairtask._frames import DATES, as_pandas, from_arrow, no_dates

__all__ = [
    "as_column",
    "check_no_missing_names",
    "check_same_kind",
    "codes_of",
    "count_categories",
    "encode_categories",
    "exact_names",
    "kind_of",
    "read_number_array",
    "read_numbers",
]

NUMBERS = (Real, Decimal, np.bool_)

MAX_CATEGORIES_OF_DIGITS = 50
"""A column of text that can be read as numbers holds no more categories than this."""

MISSING_NAMES = ("None", "NaN", "NaT", "<NA>", "nan")
"""The strings that an array of strings makes of missing values."""


def as_column(values: Any, argument: str) -> pd.Series:
    """Return an argument with one value per sample as a column.

    Raises
    ------
    ValueError
        If it has another shape than (n_samples,) or (n_samples, 1).
    """
    values = as_pandas(values, argument)
    if isinstance(values, pd.Series):
        return values
    if isinstance(values, list | tuple):
        # numpy would turn [0, "a"] into strings, and [None, 2**53 + 1] into floats.
        values = np.asarray(values, dtype=object)
    elif not isinstance(values, pd.DataFrame):
        values = np.asarray(values)
    if values.ndim == 2 and values.shape[1] == 1:
        values = values.iloc[:, 0] if isinstance(values, pd.DataFrame) else values[:, 0]
    if values.ndim != 1:
        raise ValueError(
            f"`{argument}` must have one value per sample, shape (n_samples,); got "
            f"shape {values.shape}."
        )
    return pd.Series(values)


def kind_of(values: ExtensionArray, where: str, expected: str) -> str | None:
    """Return the kind of the values of a column.

    Parameters
    ----------
    values : ExtensionArray
        ``column.array``.
    where, expected : str
        The column, and the values that it must hold, for error messages.

    Returns
    -------
    kind : str or None
        "numbers", Booleans among them; "strings"; or the name of another type. None:
        all values are missing.

    Raises
    ------
    ValueError
        If the values are of several kinds, dates, times, complex numbers or bytes, or
        have parts, as lists have.
    """
    types = _types(values)
    names = sorted(kind.__name__ for kind in types)
    if _any_of(types, DATES):
        raise ValueError(no_dates(where, " and ".join(names)))
    if _any_of(types, (bytes, bytearray, memoryview)):
        raise ValueError(
            f"{where} must hold {expected}; it holds bytes. Decode them to strings "
            "first, for example with `column.str.decode('utf-8')`."
        )
    if _any_of(types, (complex, np.complexfloating)):
        raise ValueError(f"{where} must hold {expected}; it holds complex numbers.")
    if not all(issubclass(found, Hashable) for found in types):
        raise ValueError(
            f"{where} must hold {expected}; it holds values of type "
            f"{' and '.join(names)}."
        )
    for kind, classes in (("numbers", NUMBERS), ("strings", (str,))):
        if types and all(issubclass(found, classes) for found in types):
            return kind
    if len(names) > 1:
        raise ValueError(f"{where} must hold {expected}; found {names} in one column.")
    return names[0] if names else None


def _types(values: Any) -> set[type]:
    """Types of the values that are known."""
    if isinstance(values.dtype, pd.CategoricalDtype):
        return set(map(type, values.categories.astype(object)))
    known = values[pd.notna(values)]
    if not pd.api.types.is_object_dtype(values.dtype):  # values of one type
        known = known[:1]
    return set(map(type, known.astype(object)))


def _any_of(types: Iterable[type], classes: tuple[type, ...]) -> bool:
    return any(issubclass(found, classes) for found in types)


def _plain(column: pd.Series) -> pd.Series:
    """Return a column without the types of Arrow, and not sparse."""
    if isinstance(column.dtype, pd.ArrowDtype):
        return from_arrow(column.array.__arrow_array__(), name=column.name)
    if isinstance(column.dtype, pd.SparseDtype):
        return pd.Series(np.asarray(column), index=column.index, name=column.name)
    return column


def read_numbers(
    column: pd.Series, where: str, expected: str = "numbers"
) -> np.ndarray | None:
    """Return the numbers of a column, or None if it holds anything else.

    Booleans are numbers, and so is a column without a known value. A column of type
    category is none, whatever its categories are.

    Parameters
    ----------
    column : Series of shape (n_samples,)
    where, expected : str
        See `kind_of`.

    Returns
    -------
    numbers : ndarray of shape (n_samples,), float, or None
        NaN where a value is missing.

    Raises
    ------
    ValueError
        See `kind_of`.
    """
    if isinstance(column.dtype, np.dtype) and column.dtype.kind in "biuf":
        return column.to_numpy(dtype=float)
    column = _plain(column)
    kind = kind_of(column.array, where, expected)
    if kind is None:
        return np.full(len(column), np.nan)
    if kind != "numbers" or isinstance(column.dtype, pd.CategoricalDtype):
        return None
    if column.dtype != object:
        return column.to_numpy(dtype=float, na_value=np.nan)
    known = column.notna().to_numpy()
    numbers = np.full(len(column), np.nan)
    numbers[known] = column.to_numpy()[known].astype(float)
    return numbers


def read_number_array(values: Any, argument: str) -> np.ndarray:
    """Return an argument of numbers, with one column or several, as floats.

    Parameters
    ----------
    values : array-like of shape (n_samples,) or (n_samples, n_columns)
    argument : str
        Name for error messages.

    Returns
    -------
    numbers : ndarray of the same shape, float
        NaN where a value is missing.

    Raises
    ------
    ValueError
        If it holds anything else.
    """
    values = as_pandas(values, argument)
    if not isinstance(values, pd.DataFrame | pd.Series):
        given = values
        try:
            values = np.asarray(given)
        except ValueError:  # rows of different lengths
            values = np.empty(())
        if values.ndim not in (1, 2):
            raise ValueError(
                f"`{argument}` must be an array of one dimension or two; got {given!r}."
            )
        if values.dtype.kind in "biuf":
            return values.astype(float)
    columns = []
    for _, column in pd.DataFrame(values).items():
        numbers = read_numbers(column, f"`{argument}`")
        if numbers is None:
            raise ValueError(
                f"`{argument}` must hold numbers; it holds {column.dropna().iloc[0]!r}."
            )
        columns.append(numbers)
    return np.column_stack(columns).reshape(values.shape)


def count_categories(column: pd.Series, where: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the categories that occur in a column, and how often.

    Parameters
    ----------
    column : Series of shape (n_samples,)
    where : str
        The column, for error messages.

    Returns
    -------
    categories : ndarray of shape (n_categories,), object
        In the order in which they occur.
    counts : ndarray of shape (n_categories,), int

    Raises
    ------
    ValueError
        See `kind_of`; or if the values are numbers that were read as text.
    """
    column = _plain(column)
    kind, distinct, rows = _distinct(column, where)
    known = rows[rows >= 0]
    present = pd.unique(known)
    categories, counts = distinct[present], np.bincount(known)[present]
    if kind == "strings" and not isinstance(column.dtype, pd.CategoricalDtype):
        _refuse_numbers_as_text(categories, len(known), where)
    return categories, counts


def encode_categories(
    column: pd.Series, where: str, known: Sequence[Any]
) -> np.ndarray:
    """Return the position of each category among those that are known, or -1.

    Parameters
    ----------
    column : Series of shape (n_samples,)
    where : str
        The column, for error messages.
    known : sequence
        Categories. None among them stands for a missing value.

    Returns
    -------
    codes : ndarray of shape (n_samples,), int64

    Raises
    ------
    ValueError
        See `kind_of`; or if the values are not of the kind of those that are known.
    """
    _, distinct, rows = _distinct(_plain(column), where)
    codes = codes_of(distinct, known)[rows]
    if (codes < 0).any():  # perhaps none can be equal
        present = pd.unique(rows[rows >= 0])
        check_same_kind(distinct[present], known, where)
    return codes


def _distinct(
    column: pd.Series, where: str
) -> tuple[str | None, np.ndarray, np.ndarray]:
    """Return the kind of a column, its values without repetition, and their positions.

    The last value is None, for a missing one, whose position is -1.
    """
    kind = kind_of(column.array, where, "numbers, or categories of one type")
    if isinstance(column.dtype, pd.CategoricalDtype):
        distinct = column.cat.categories.to_numpy(dtype=object)
        rows = column.cat.codes.to_numpy()
    else:
        rows, distinct = pd.factorize(column.to_numpy(dtype=object))
    return kind, np.concatenate([distinct, [None]]), rows


def _refuse_numbers_as_text(distinct: np.ndarray, n_values: int, where: str) -> None:
    """Raise a ValueError if strings look like measurements, and not like codes.

    They do if all can be read as numbers and they are many: more than 50 of them are
    distinct, or more than half of ten or more, or more than 10 with fractions.
    """
    n_distinct = len(distinct)
    try:
        text = list(set(distinct).difference(MISSING_NAMES, [""]))
        numbers = np.array(text, dtype=str).astype(float)
    except ValueError:
        return
    has_fractions = bool((numbers % 1 > 0).any())
    is_many = (
        n_distinct > MAX_CATEGORIES_OF_DIGITS
        or (n_values >= 10 and n_distinct > n_values / 2)
        or (has_fractions and n_distinct > 10)
    )
    if not is_many:
        return
    raise ValueError(
        f"{where} holds numbers as text: {n_distinct} distinct strings in "
        f"{n_values} rows, all of which can be read as numbers. Convert it with "
        "`pandas.to_numeric`, or with `.astype('category')` if they are names."
    )


def exact_names(column: pd.Series, where: str, expected: str) -> pd.Series:
    """Return the values that are known, in a type that holds each of them exactly.

    Parameters
    ----------
    column : Series of shape (n_samples,)
        Names of groups or classes.
    where, expected : str
        See `kind_of`.

    Returns
    -------
    names : Series of shape (n_known,)
        Its index holds the positions of the samples.

    Raises
    ------
    ValueError
        See `kind_of`; or if numbers are infinite, or so close that floats cannot tell
        them apart.
    """
    column = _plain(column)
    kind = kind_of(column.array, where, expected)
    known = pd.notna(column.array)
    names = column.set_axis(pd.RangeIndex(len(column)))[known]
    if kind != "numbers" or isinstance(names.dtype, pd.CategoricalDtype):
        return names
    if names.dtype != object:
        names = names.astype(getattr(names.dtype, "numpy_dtype", names.dtype))
        _refuse_infinity(names, where, expected)
        return names
    types = set(map(type, names))
    if all(issubclass(found, bool | np.bool_) for found in types):
        return names.astype(bool)
    if all(map(_is_integer, names)):
        return names.map(int).astype(object).infer_objects()
    floats = names.astype(float)
    _refuse_infinity(floats, where, expected)
    if floats.nunique() < names.nunique():
        raise ValueError(
            f"{where} must hold {expected}; it holds numbers that differ by less than "
            "floats can tell. Pass them as strings."
        )
    return floats


def _refuse_infinity(names: pd.Series, where: str, expected: str) -> None:
    if np.isinf(names.to_numpy()).any():
        raise ValueError(f"{where} must hold {expected}; it holds infinity.")


def _is_integer(value: Any) -> bool:
    if isinstance(value, Decimal):
        return value.is_finite() and value == value.to_integral_value()
    return isinstance(value, Integral | np.bool_)


def check_no_missing_names(
    names: Iterable[Any], where: str, *, declared: bool = False
) -> None:
    """Raise a ValueError if a missing value has become a string among the names.

    Somebody who declares the names, as those of a category, may well have one called
    "None"; the others name nothing.
    """
    accidental = MISSING_NAMES[1:] if declared else MISSING_NAMES
    found = [name for name in names if isinstance(name, str) and name in accidental]
    if found:
        is_name = " If it is a name, pass a column of type category."
        raise ValueError(
            f"{where} has the name {found[0]!r}, which an array of strings makes of a "
            "missing value. Pass missing values as they are, in a list, an array of "
            "objects or a pandas column." + (is_name if found[0] == "None" else "")
        )


def check_same_kind(found: Iterable[Any], known: Iterable[Any], where: str) -> None:
    """Raise a ValueError if values of two kinds meet, which never equal each other."""
    found, known = _items(found), _items(known)
    kinds = [
        kind_of(pd.array(values, dtype=object), where, "values of one type")
        for values in (found, known)
    ]
    if kinds == ["tuple", "tuple"]:
        for part in range(min(len(found[0]), len(known[0]))):
            check_same_kind([v[part] for v in found], [v[part] for v in known], where)
    elif None not in kinds and kinds[0] != kinds[1]:
        raise ValueError(
            f"{where} must hold {kinds[1]}, such as {known[0]!r}; it holds "
            f"{kinds[0]}, such as {found[0]!r}, which equal none of them."
        )


def codes_of(names: Iterable[Any], known: Iterable[Any]) -> np.ndarray:
    """Return the position of each name among those that are known, or -1.

    Names are the same if they are equal: 1, 1.0 and True are, "1" is another.
    """
    position = {name: i for i, name in enumerate(_items(known))}
    return np.array([position.get(name, -1) for name in _items(names)], dtype=np.int64)


def _items(names: Any) -> list:
    return names.tolist() if hasattr(names, "tolist") else list(names)
