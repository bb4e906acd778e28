"""Sensitive attributes: encoded as group codes, and decoded."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from fairtask._attribute_table import DEFAULT_NAME, attribute_table
from fairtask._columns import (
    as_column,
    check_no_missing_names,
    check_same_kind,
    codes_of,
    exact_names,
)
from fairtask._frames import check_n_rows
from fairtask._validation import check_distinct, warn_user

__all__ = [
    "UNKNOWN",
    "SensitiveAttributes",
    "SensitiveFeatures",
    "encode_sensitive_features",
]

UNKNOWN = -1
"""Code of a sample that belongs to no group."""

MAX_GROUPS = 50
"""More distinct values than this are no groups, if numbers or hardly repeated."""

FEW = 10
"""With fewer samples than this one prediction changes a rate by more than .1."""

Encoded = tuple[np.ndarray, pd.Index]
"""Codes of the samples, and the groups that they stand for."""


@dataclass(frozen=True)
class SensitiveAttributes:
    """The sensitive attributes and their groups.

    Attributes
    ----------
    names : list of str
        Name of each attribute.
    groups : list of ndarray
        The groups of each attribute, sorted. A group code is a position among them.
    """

    names: list[str]
    groups: list[np.ndarray]

    def decode(self, codes: np.ndarray) -> pd.DataFrame:
        """Return the groups of each sample, None where unknown."""
        columns = {}
        for s, name in enumerate(self.names):
            values = np.empty(len(self.groups[s]) + 1, dtype=object)
            values[:-1] = self.groups[s]
            columns[name] = values[codes[:, s]]  # -1 is the last: None
        return pd.DataFrame(columns, index=range(len(codes)))


@dataclass(frozen=True)
class SensitiveFeatures:
    """Samples of the sensitive attributes, as group codes.

    Attributes
    ----------
    codes : ndarray of shape (n_samples, n_attributes), int64
        Group codes, -1 where the group is unknown.
    names, groups : list
        See `SensitiveAttributes`.
    """

    codes: np.ndarray
    names: list[str]
    groups: list[np.ndarray]

    @property
    def attributes(self) -> SensitiveAttributes:
        """The attributes, without samples."""
        return SensitiveAttributes(self.names, self.groups)

    def take(self, rows: np.ndarray) -> "SensitiveFeatures":
        """Return the samples at these positions."""
        return SensitiveFeatures(self.codes[rows], self.names, self.groups)

    def decode(self) -> pd.DataFrame:
        """Return the groups of each sample, None where unknown."""
        return self.attributes.decode(self.codes)


def encode_sensitive_features(
    sensitive_features: Any,
    *,
    n_samples: int,
    intersectional: bool = False,
    groups: Any = None,
    known: SensitiveAttributes | None = None,
    unseen: Literal["raise", "unknown"] = "raise",
    argument: str = "sensitive_features",
) -> SensitiveFeatures:
    """Encode sensitive attributes.

    Parameters
    ----------
    sensitive_features : array-like of shape (n_samples,) or \
            (n_samples, n_attributes), or None
        Groups of any type. A missing value stands for an unknown group; None for no
        attributes at all, or for unknown groups where attributes are known.
    n_samples : int
        Number of rows expected.
    intersectional : bool, default=False
        Whether to join all attributes to one, whose groups are the tuples that occur. A
        tuple with an unknown group is unknown.
    groups : dict of str to array-like, or list of array-like, optional
        The groups of each attribute, where the rows may lack some.
    known : SensitiveAttributes, optional
        The same attributes are expected.
    unseen : {"raise", "unknown"}, default="raise"
        Whether a group that is not among those expected is an error or unknown.
    argument : str
        Name for error messages.

    Returns
    -------
    SensitiveFeatures

    Raises
    ------
    ValueError
        If the shape is another, the number of rows differs, a column looks continuous,
        or attributes or groups are not those expected.

    Warns
    -----
    UserWarning
        If several columns look like one attribute that is one-hot encoded, or most of
        many combinations have few samples.
    """
    if known is not None:
        _check_same_groups(groups, known)
    if sensitive_features is None:
        attributes = known or _announced(groups, intersectional)
        codes = np.full((n_samples, len(attributes.names)), UNKNOWN, dtype=np.int64)
        return SensitiveFeatures(codes, attributes.names, attributes.groups)
    table = attribute_table(sensitive_features, argument)
    check_n_rows(sensitive_features, len(table), argument, n_samples)
    names, columns = _read_table(table, argument)
    if intersectional and len(columns) > 1:
        names, columns = [" & ".join(names)], [_intersect(columns)]
        if known is None:
            _check_combinations(*columns[0], f"`{argument}` column {names[0]!r}")
    elif known is None:
        _warn_if_one_hot(columns, names, argument)
    if known is not None:
        _check_same_names(names, known, argument)
    expected = _expected_groups(groups, names) if known is None else known.groups
    encoded = []
    for i, (name, (codes, index)) in enumerate(zip(names, columns, strict=True)):
        where = f"`{argument}` column {name!r}"
        if known is None or unseen == "unknown":  # otherwise others are an error
            _check_few(index, n_samples, where)
        found = np.asarray(index)
        if expected is not None:
            codes, found = _recode(
                codes, found, expected[i], unseen=unseen, where=where
            )
        encoded.append((codes, found))
    codes = np.column_stack([codes for codes, _ in encoded])
    return SensitiveFeatures(codes, names, [found for _, found in encoded])


def _read_table(table: pd.DataFrame, argument: str) -> tuple[list[str], list[Encoded]]:
    """Return the names of the attributes, and their columns as codes."""
    if table.shape[1] == 0:
        raise ValueError(f"`{argument}` must have at least one column; got 0.")
    names = [str(name) for name in table.columns]
    check_distinct(names, argument)
    columns = [
        _read_column(table.iloc[:, i], f"`{argument}` column {name!r}")
        for i, name in enumerate(names)
    ]
    return names, columns


def _intersect(columns: list[Encoded]) -> Encoded:
    """Join columns to one whose groups are tuples, unknown where a part is."""
    parts = np.column_stack([codes for codes, _ in columns])
    known = (parts != UNKNOWN).all(axis=1)
    values = [
        [groups[code] for code in codes]
        for codes, groups in zip(
            parts[known].T, (found.tolist() for _, found in columns), strict=True
        )
    ]
    tuples = np.empty(known.sum(), dtype=object)
    tuples[:] = list(zip(*values, strict=True))
    codes = np.full(len(parts), UNKNOWN, dtype=np.int64)
    codes[known], groups = pd.factorize(tuples, sort=True)
    return codes, pd.Index(groups, tupleize_cols=False)


def _check_combinations(codes: np.ndarray, groups: pd.Index, where: str) -> None:
    """Raise a ValueError if hardly any combination repeats; warn if most are rare."""
    if len(groups) <= MAX_GROUPS:
        return
    found = f"{where} has {len(groups)} combinations in {len(codes)} rows"
    remedy = "Combine fewer columns, or join groups of a column first."
    if len(groups) > len(codes) / 2:
        raise ValueError(f"{found}, of which hardly one repeats. {remedy}")
    n_few = (np.bincount(codes[codes != UNKNOWN]) < FEW).sum()
    if n_few > len(groups) / 2:
        warn_user(
            UserWarning,
            f"{found}, and {n_few} of them have fewer than {FEW} samples. Differences "
            f"between so small groups are mostly due to chance. {remedy}",
        )


def _warn_if_one_hot(columns: list[Encoded], names: list[str], argument: str) -> None:
    """Warn of columns of 0 and 1 of which one is 1 in each row."""
    if len(columns) < 2 or not all(
        len(groups) == 2 and groups.isin([0, 1]).all() for _, groups in columns
    ):
        return
    codes = np.column_stack([codes for codes, _ in columns])
    if (codes >= 0).all() and (codes.sum(axis=1) == 1).all():
        warn_user(
            UserWarning,
            f"`{argument}` has the columns {names}, of which exactly one is 1 in each "
            "row, like one attribute that is one-hot encoded. Each column counts as an "
            "attribute of its own. Pass the attribute as one column, such as "
            f"`{argument}.idxmax(axis=1)` of a data frame.",
        )


def _check_same_names(
    names: list[str], known: SensitiveAttributes, argument: str
) -> None:
    if not known.names:
        raise ValueError(
            f"`{argument}` must be None, as in the first call of `fit` or "
            "`partial_fit`, which made the network without sensitive attributes."
        )
    if names != known.names:
        raise ValueError(
            f"`{argument}` must have the columns {known.names}, as before; got {names}."
        )


def _check_same_groups(groups: Any, known: SensitiveAttributes) -> None:
    announced = _expected_groups(groups, known.names)
    if announced is not None and not all(
        np.array_equal(new, old)
        for new, old in zip(announced, known.groups, strict=True)
    ):
        raise ValueError(
            "`groups` must be those of the first call, "
            f"{[old.tolist() for old in known.groups]}; got {groups!r}."
        )


def _announced(groups: Any, intersectional: bool) -> SensitiveAttributes:
    """Return the attributes whose groups are announced, where no sample has them."""
    names = _names_of(groups)
    if intersectional and len(names) > 1:
        raise ValueError(
            "`groups` of an intersection must be those of one attribute, such "
            f"as {{{' & '.join(names)!r}: [(...), ...]}}; got {groups!r}."
        )
    return SensitiveAttributes(names, _expected_groups(groups, names) or [])


def _names_of(groups: Any) -> list[str]:
    """Return the names of the attributes whose groups are announced."""
    if groups is None:
        return []
    if isinstance(groups, Mapping):
        return [str(name) for name in groups]
    if _are_of_one_attribute(groups):
        return [DEFAULT_NAME]
    return [f"{DEFAULT_NAME}_{i}" for i in range(len(groups))]


def _are_of_one_attribute(groups: Any) -> bool:
    """Whether these are groups, and not lists of groups."""
    is_list = isinstance(groups, Sequence | np.ndarray | pd.Series | pd.Index)
    has_parts = not isinstance(groups, str | bytes) and getattr(groups, "ndim", 1) != 0
    if not is_list or not has_parts:
        raise ValueError(
            "`groups` must be a dict of names to groups, or a list of groups per "
            f"attribute; got {groups!r}."
        )
    return not any(
        isinstance(g, list | np.ndarray | pd.Series | pd.Index) for g in groups
    )


def _expected_groups(groups: Any, names: list[str]) -> list[np.ndarray] | None:
    if groups is None:
        return None
    if isinstance(groups, Mapping):
        if {str(name) for name in groups} != set(names):
            raise ValueError(
                f"`groups` must name the attributes {names}; got {list(groups)}."
            )
        by_name = {str(name): entry for name, entry in groups.items()}
        groups = [by_name[name] for name in names]
    elif _are_of_one_attribute(groups):
        groups = [groups]
    if len(groups) != len(names):
        raise ValueError(
            f"`groups` must have an entry for each of the attributes {names}; got "
            f"{len(groups)}."
        )
    return [
        np.asarray(
            _read_column(_series(entry), f"`groups` of {name!r}", declared=True)[1]
        )
        for name, entry in zip(names, groups, strict=True)
    ]


def _series(values: Any) -> pd.Series:
    if not isinstance(values, list | tuple):
        return as_column(values, "groups")
    array = np.empty(len(values), dtype=object)  # keeps tuples
    array[:] = list(values)
    return pd.Series(array)


def _read_column(column: pd.Series, where: str, *, declared: bool = False) -> Encoded:
    """Return the codes of the samples, and the groups that occur, sorted."""
    names = exact_names(
        column,
        where,
        "names of one type, such as strings or integers",
    )
    codes = np.full(len(column), UNKNOWN, dtype=np.int64)
    try:
        codes[names.index], groups = pd.factorize(names, sort=True)
    except TypeError as error:
        raise ValueError(
            f"{where} must hold names of one type, such as strings or integers: {error}"
        ) from error
    declared = declared or isinstance(names.dtype, pd.CategoricalDtype)
    check_no_missing_names(groups, where, declared=declared)
    return codes, groups


def _check_few(groups: pd.Index, n_samples: int, where: str) -> None:
    """Raise a ValueError if these values are too many to be names of groups."""
    is_number = pd.api.types.is_numeric_dtype(groups.dtype)
    if len(groups) > MAX_GROUPS and (is_number or len(groups) > n_samples / 2):
        raise ValueError(
            f"{where} must hold few names; it has {len(groups)} distinct values in "
            f"{n_samples} rows. Group them first, for example with pandas.cut, or, if "
            "these numbers are names, pass them as strings."
        )


def _recode(
    codes: np.ndarray,
    found: np.ndarray,
    expected: np.ndarray,
    *,
    unseen: str,
    where: str,
) -> tuple[np.ndarray, np.ndarray]:
    """Turn codes of the groups found into codes of the groups expected."""
    check_same_kind(found, expected, where)
    new_codes = codes_of(found, expected)
    unexpected = found[new_codes == UNKNOWN].tolist()
    if unexpected and unseen == "raise":
        raise ValueError(
            f"{where} must hold the groups {expected.tolist()}; found {unexpected} as "
            "well."
        )
    table = np.array([*new_codes, UNKNOWN], dtype=np.int64)
    return table[codes], expected
