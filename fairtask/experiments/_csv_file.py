"""CSV files of users: every column keeps its name, and none gives the label away."""

import re
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pandas.errors import ParserWarning

__all__ = ["not_numeric", "notes_on", "read_csv"]

# The list of pandas without "None", which may be the name of a group.
MISSING = [
    *("", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND"),
    *("1.#QNAN", "<NA>", "N/A", "NA", "NULL", "NaN", "n/a", "nan", "null"),
]

MAX_GROUPS = 50
MAX_CATEGORIES = 50  # a column may have more if it has ten samples for each

IDENTIFIER = re.compile(r"(^|[^a-z])(id|idx|index|key|uuid|guid)$", re.IGNORECASE)
"""Names of columns that say that they identify the samples."""


def read_csv(
    path: Path, *, target: str, attributes: Sequence[str], positive: str | None
) -> tuple[pd.DataFrame, np.ndarray, pd.DataFrame, list[str]]:
    """Read samples, labels and groups from a CSV file.

    Parameters
    ----------
    path : Path
    target : str
        Column of the labels.
    attributes : sequence of str
        Columns of the sensitive attributes.
    positive : str or None
        Label of the positive class. None: the greater of the two.

    Returns
    -------
    X : DataFrame
        All columns but the target.
    y : ndarray of bool
        Whether the label is the positive one.
    groups : DataFrame
        Sensitive attributes as they are written; NaN where they are missing.
    classes : list of str
        Names of the negative and of the positive class.

    Raises
    ------
    ValueError
        If the file is no table with these columns, or a column has no name of its own,
        cannot be learnt from, numbers the samples, or gives the label away.
    """
    names = _names(path)
    table = _read(path)
    if table.empty:
        raise ValueError(f"{path}: expected a row for each sample, found none.")
    named = [target, *attributes]
    lacking = [name for name in named if name not in names]
    if lacking:
        raise ValueError(
            f"{path}: expected the columns {', '.join(named)}; found no "
            f"{', '.join(lacking)} among {', '.join(names)}."
        )
    # Labels and groups as they are written: pandas would read 01 as 1, and 1 as 1.0
    # where some are missing.
    written = _read(
        path, usecols=named, dtype=str, keep_default_na=False, na_values=MISSING
    )
    y, classes = _labels(path, written[target], positive)
    for name in attributes:
        n_groups = written[name].nunique()
        if not 2 <= n_groups <= MAX_GROUPS:
            raise ValueError(
                f"{path}: expected 2 to {MAX_GROUPS} groups in `{name}`, found "
                f"{n_groups}. Cut numbers such as an age into bands first."
            )
    X = table.drop(columns=target)
    _check_features(path, X)
    _refuse_labels(path, X, y, target)
    return X, y, written[list(attributes)], classes


def not_numeric(X: pd.DataFrame) -> list[str]:
    """Columns of categories. A bool is a number to pandas, and 0 or 1 to a network."""
    return [str(name) for name in X if not pd.api.types.is_numeric_dtype(X[name])]


def notes_on(X: pd.DataFrame) -> list[str]:
    """Return a sentence on each column that may identify the samples."""
    return [
        f"the values of `{name}` are whole numbers, each of which occurs once. Delete "
        "the column if it identifies the samples."
        for name in _distinct_integers(X)
    ]


def _names(path: Path) -> list[str]:
    """Return the names of the columns as they are written.

    pandas makes up names, or changes them, where the first line lacks some or repeats
    one: the copy of a target would become a feature.
    """
    names = _read(path, header=None, nrows=1, dtype=str, keep_default_na=False)
    found = names.iloc[0].tolist()
    unnamed = [str(i) for i, name in enumerate(found, 1) if not name.strip()]
    if unnamed:
        raise ValueError(
            f"{path}: expected a name for each column in the first line, found none in "
            f"column {', '.join(unnamed)}. Name it, or delete it if it numbers rows "
            "(pandas writes such an index unless index=False)."
        )
    repeated = sorted({name for name in found if found.count(name) > 1})
    if repeated:
        raise ValueError(
            f"{path}: expected distinct names of columns, found {', '.join(repeated)} "
            "more than once. Rename or delete one of them."
        )
    return found


def _read(path: Path, **options: Any) -> pd.DataFrame:
    try:
        with warnings.catch_warnings():
            # Without `index_col`, pandas would take the first of too many values for
            # an index, and move the others to the next name; with it, it warns.
            warnings.simplefilter("error", ParserWarning)
            return pd.read_csv(path, index_col=False, encoding="utf-8-sig", **options)
    except ParserWarning as error:
        raise ValueError(
            f"{path}: expected a value for each name in the first line, found rows "
            "with more values, perhaps a comma at their end."
        ) from error
    except ValueError as error:  # pandas does not say which file
        raise ValueError(f"{path}: expected a CSV file: {error}") from error


def _labels(
    path: Path, labels: pd.Series, positive: str | None
) -> tuple[np.ndarray, list[str]]:
    """Return whether each label is positive, and the names of the two classes."""
    if labels.isna().any():
        raise ValueError(
            f"{path}: expected a label in each row, found {labels.isna().sum():,} "
            f"rows without one in `{labels.name}`."
        )
    classes = sorted(labels.unique(), key=_numbers_first)
    if len(classes) != 2:
        some = ", ".join(classes[:5]) + ", ..." * (len(classes) > 5)
        raise ValueError(
            f"{path}: expected two labels in `{labels.name}`, found "
            f"{len(classes)}: {some}."
        )
    if positive is not None and positive not in classes:
        raise ValueError(
            f"`positive` must be one of the labels in `{labels.name}`, "
            f"{' or '.join(classes)}; got {positive!r}."
        )
    if positive == classes[0]:
        classes = classes[::-1]
    return (labels == classes[1]).to_numpy(), classes


def _numbers_first(label: str) -> tuple[float, str]:
    """Key that sorts numbers by value, and text after them by the alphabet."""
    try:
        return float(label), label
    except ValueError:
        return np.inf, label


def _check_features(path: Path, X: pd.DataFrame) -> None:
    """Raise a ValueError for columns that no method can learn from."""
    empty = X.columns[X.isna().all()]
    if len(empty):
        raise ValueError(
            f"{path}: expected values in each column, found none in "
            f"{', '.join(empty)}. Delete empty columns."
        )
    numbers = X.select_dtypes("number")
    infinite = numbers.columns[np.isinf(numbers.to_numpy(dtype=float)).any(axis=0)]
    if len(infinite):
        raise ValueError(
            f"{path}: expected finite numbers, found infinity in {', '.join(infinite)}."
        )
    most = max(MAX_CATEGORIES, len(X) // 10)
    n_values = X[not_numeric(X)].nunique()
    many = [f"{name} ({n:,})" for name, n in n_values.items() if n > most]
    if many:
        raise ValueError(
            f"{path}: expected numbers, or at most {most:,} categories, in each "
            f"column; found more in {', '.join(many)}. Delete names of samples; "
            "write dates as numbers, and numbers with a point."
        )
    for name, column in _distinct_integers(X).items():
        if IDENTIFIER.search(name) or column.max() - column.min() == len(X) - 1:
            raise ValueError(
                f"{path}: expected features, found a number of its own for each sample "
                f"in `{name}`. Delete columns that number or identify the samples."
            )


def _distinct_integers(X: pd.DataFrame) -> dict[str, pd.Series]:
    """Return the columns of whole numbers of which none occurs twice."""
    return {
        str(name): column
        for name, column in X.select_dtypes("number").items()
        if column.is_unique and (column % 1 == 0).all()
    }


def _refuse_labels(path: Path, X: pd.DataFrame, y: np.ndarray, target: str) -> None:
    """Raise a ValueError for a feature that is the target under another name.

    Each of its two values, or whether it is missing, goes with one label.
    """
    for name, column in X.items():
        is_missing = column.isna().to_numpy()
        codes = pd.factorize(column, use_na_sentinel=False)[0]
        is_first = codes == codes[0] if codes.max() == 1 else is_missing
        if any(
            (part == y).all() or (part != y).all() for part in (is_first, is_missing)
        ):
            raise ValueError(
                f"{path}: expected features that do not give the label away, found "
                f"`{target}` under another name in `{name}`: each of its values, or "
                "whether it is missing, goes with one label. Delete the column."
            )
