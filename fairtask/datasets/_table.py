"""From a delimited text file to a checked table, and from a table to a Bunch."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.utils import Bunch

__all__ = ["TableFormat", "as_categories", "make_bunch", "read_table"]


@dataclass(frozen=True)
class TableFormat:
    """What a file must contain to be the data set it is taken for.

    Attributes
    ----------
    columns : sequence of str
        Every column, in the file's order.
    label : str
        The column of the target.
    labels : mapping of str to int
        The two values of the label as they are written, and their codes.
    numeric : sequence of str
        Columns of whole numbers.
    n_rows, n_positives : int
        Rows of the file, and those whose label has code 1.
    used : sequence of str or None
        The columns to keep besides the label; None for all.
    incomplete : sequence of str
        Columns in which values may be missing.
    missing : str
        How a missing value is written.
    delimiter : str
    header : bool
        Whether the first line names the columns.
    """

    columns: Sequence[str]
    label: str
    labels: Mapping[str, int]
    numeric: Sequence[str]
    n_rows: int
    n_positives: int
    used: Sequence[str] | None = None
    incomplete: Sequence[str] = ()
    missing: str = ""
    delimiter: str = ","
    header: bool = True


def read_table(path: Path, expected: TableFormat) -> pd.DataFrame:
    """Read a file and check that it is the expected one.

    Parameters
    ----------
    path : pathlib.Path
    expected : TableFormat

    Returns
    -------
    DataFrame
        The columns used, in the file's order. Numbers are int64 (float64 where some
        are missing), the label is its code, everything else is text.

    Raises
    ------
    ValueError
        If the file is damaged or another one; the message says what was expected
        and what was found.
    """
    table = _read_text(path, expected)
    label = expected.label
    used = expected.columns if expected.used is None else expected.used
    columns = {
        name: _parse(path, table[name], expected)
        for name in table
        if name in used and name != label
    }
    codes = table[label].map(expected.labels)
    _refuse(path, table[label], codes.isna(), " or ".join(expected.labels))
    columns[label] = codes.astype(np.int64)
    n_positives = int(columns[label].sum())
    if n_positives != expected.n_positives:
        raise ValueError(
            f"{path}: expected {expected.n_positives:,} positives in `{label}`, "
            f"found {n_positives:,}."
        )
    return pd.DataFrame(columns).reset_index(drop=True)


def _read_text(path: Path, expected: TableFormat) -> pd.DataFrame:
    """Read a file as text; the index is the number of the line."""
    rows: dict[int, list[str]] = {}
    try:
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.reader(
                file, delimiter=expected.delimiter, skipinitialspace=True
            )
            for row in reader:
                # Adult ends with an empty line, its test part begins with a comment.
                if row and not row[0].startswith("|"):
                    rows[reader.line_num] = row
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(
            f"{path}: expected text of fields separated by {expected.delimiter!r}, "
            f"found something else ({error})."
        ) from error
    if expected.header:
        header = rows.pop(min(rows)) if rows else []
        _check_header(path, header, expected.columns)
    if len(rows) != expected.n_rows:
        raise ValueError(
            f"{path}: expected {expected.n_rows:,} rows, found {len(rows):,}."
        )
    n_fields = len(expected.columns)
    for line, row in rows.items():
        if len(row) != n_fields:
            raise ValueError(
                f"{path}: expected {n_fields} fields, found {len(row)} in line {line}."
            )
    table = pd.DataFrame(list(rows.values()), index=list(rows))
    table.columns = pd.Index(expected.columns)
    # COMPAS has two columns twice; the copies are equal.
    return table.loc[:, ~table.columns.duplicated()]


def _check_header(path: Path, header: list[str], columns: Sequence[str]) -> None:
    # A table that went through pandas has ".1" after the second of two equal names.
    found = [
        name.removesuffix(".1") if name.removesuffix(".1") in header[:i] else name
        for i, name in enumerate(header)
    ]
    if found == list(columns):
        return
    lacking = [name for name in columns if name not in found]
    unknown = [name for name in found if name not in columns]
    if lacking or unknown:
        difference = f"lacking {lacking[:10]}, unknown {unknown[:10]}"
    else:
        difference = f"in this order: {found}"
    raise ValueError(
        f"{path}: expected a header of {len(columns)} columns, "
        f"found {len(found)}, {difference}."
    )


def _parse(path: Path, texts: pd.Series, expected: TableFormat) -> pd.Series:
    empty = texts == ""
    missing = texts == expected.missing
    allowed = missing & (texts.name in expected.incomplete)
    _refuse(path, texts, (empty | missing) & ~allowed, "a value")
    texts = texts.mask(missing)
    if texts.name not in expected.numeric:
        return texts
    numbers = pd.to_numeric(texts, errors="coerce").astype(np.float64)
    # Beyond 2**53 a float64 no longer says which whole number was written.
    whole = (numbers % 1 == 0) & (numbers.abs() < 2**53)
    _refuse(path, texts, ~(whole | missing), "whole numbers")
    return numbers if missing.any() else numbers.astype(np.int64)


def _refuse(path: Path, texts: pd.Series, wrong: pd.Series, expected: str) -> None:
    """Raise an error that names the first wrong value, if there is one."""
    if wrong.any():
        first = int(np.argmax(wrong.to_numpy()))
        raise ValueError(
            f"{path}: column `{texts.name}`: expected {expected}, found "
            f"{texts.iloc[first]!r} in line {texts.index[first]} "
            f"({wrong.sum():,} such values)."
        )


def as_categories(frame: pd.DataFrame) -> pd.DataFrame:
    """Turn the columns of text into categories, in alphabetical order."""
    text = [name for name in frame if not pd.api.types.is_numeric_dtype(frame[name])]
    return frame.astype(dict.fromkeys(text, "category"))


def make_bunch(
    data: pd.DataFrame,
    target: pd.Series,
    sensitive_features: pd.DataFrame,
    *,
    target_names: Sequence[str],
    paths: Sequence[Path],
    description: str,
    return_X_y: bool,
) -> Any:
    """Put what a fetcher returns together.

    Parameters
    ----------
    data : DataFrame of shape (n_samples, n_features)
    target : Series of shape (n_samples,)
    sensitive_features : DataFrame of shape (n_samples, n_attributes)
    target_names : sequence of str
        Names of the classes 0 and 1.
    paths : sequence of pathlib.Path
        The files read.
    description : str
    return_X_y : bool

    Returns
    -------
    Bunch or (DataFrame, Series)
        The pair ``(data, target)`` if `return_X_y`.
    """
    if return_X_y:
        return data, target
    return Bunch(
        data=data,
        target=target,
        sensitive_features=sensitive_features,
        feature_names=list(data.columns),
        target_names=list(target_names),
        sensitive_feature_names=list(sensitive_features.columns),
        filenames=[str(path) for path in paths],
        DESCR=description,
    )
