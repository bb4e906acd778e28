"""From a delimited text file to a checked table, and from a table to a Bunch."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.utils import Bunch

__all__ = [
    "FETCHER_CONSTRAINTS",
    "TableFormat",
    "as_categories",
    "make_bunch",
    "read_table",
    "read_text",
    "refuse",
]

# The parameters that all fetchers share, for `validate_params`.
FETCHER_CONSTRAINTS: dict[str, list[Any]] = {
    "data_home": [str, os.PathLike, None],
    "return_X_y": ["boolean"],
}


@dataclass(frozen=True)
class TableFormat:
    """The contents by which the file of a data set is recognised.

    A copy of a file may differ in the columns that are not listed here.

    Attributes
    ----------
    columns : sequence of str
        The columns to read besides the label, in the order of the result.
    numeric : sequence of str
        Those of `columns` that hold whole numbers. The others hold text.
    label : str
        The column of the target.
    labels : mapping of str to int
        The two values of the label as they are written, and their codes.
    n_rows, n_positives : int
        Rows of the file, and those whose label has code 1.
    incomplete : sequence of str, default=()
        Columns in which values may be missing.
    missing : str, default=""
        How a missing value is written.
    delimiter : str, default=","
    header : bool, default=True
        Whether the first line names the columns. Without a header the file has exactly
        `columns` and, last, the label.
    """

    columns: Sequence[str]
    numeric: Sequence[str]
    label: str
    labels: Mapping[str, int]
    n_rows: int
    n_positives: int
    incomplete: Sequence[str] = ()
    missing: str = ""
    delimiter: str = ","
    header: bool = True


def read_table(path: Path, expected: TableFormat) -> pd.DataFrame:
    """Read a file, or raise a ValueError if it is not the expected one.

    The result has the columns and then the codes of the label. Numbers are int64
    (float64 where some are missing), everything else is text.
    """
    label = expected.label
    names = [*expected.columns, label]
    header = None if expected.header else names
    texts = read_text(path, names, expected.delimiter, header)
    if len(texts) != expected.n_rows:
        raise ValueError(
            f"{path}: expected {expected.n_rows:,} rows, found {len(texts):,}."
        )
    table = {name: _parse(path, texts[name], expected) for name in expected.columns}
    codes = texts[label].map(expected.labels)
    refuse(path, texts[label], codes.isna(), " or ".join(expected.labels))
    n_positives = int(codes.sum())
    if n_positives != expected.n_positives:
        raise ValueError(
            f"{path}: expected {expected.n_positives:,} positives in `{label}`, "
            f"found {n_positives:,}."
        )
    table[label] = codes.astype(np.int64)
    return pd.DataFrame(table)


def read_text(
    path: Path,
    columns: Sequence[str],
    delimiter: str = ",",
    header: list[str] | None = None,
) -> pd.DataFrame:
    """Read columns of a file by name, as text.

    `header` names all columns of a file whose first line does not name them.
    """
    try:
        table = pd.read_csv(
            path,
            sep=delimiter,
            names=header,
            dtype=str,
            keep_default_na=False,
            skipinitialspace=True,
            comment="|",  # the first line of Adult's test part
            encoding="utf-8-sig",
        )
    except ValueError as error:
        raise ValueError(
            f"{path}: expected a table of fields separated by {delimiter!r}, found "
            f"something else ({str(error).strip()})."
        ) from error
    lacking = [name for name in columns if name not in table]
    if lacking:
        raise ValueError(
            f"{path}: expected a header with {', '.join(columns)}; found "
            f"{table.shape[1]} columns, which lack {', '.join(lacking)}."
        )
    return table[list(columns)].reset_index(drop=True)


def _parse(path: Path, texts: pd.Series, expected: TableFormat) -> pd.Series:
    missing = (texts == expected.missing) & (texts.name in expected.incomplete)
    refuse(path, texts, texts.isin(["", expected.missing]) & ~missing, "a value")
    texts = texts.mask(missing)
    if texts.name not in expected.numeric:
        return texts
    numbers = pd.to_numeric(texts, errors="coerce").astype(np.float64)
    # Beyond 2**53 a float64 no longer says which whole number was written.
    whole = (numbers % 1 == 0) & (numbers.abs() < 2**53)
    refuse(path, texts, ~(whole | missing), "whole numbers")
    return numbers if missing.any() else numbers.astype(np.int64)


def refuse(path: Path, texts: pd.Series, wrong: pd.Series, expected: str) -> None:
    """Raise an error that names the first wrong value of a column, if there is one."""
    if wrong.any():
        raise ValueError(
            f"{path}: column `{texts.name}`: expected {expected}, found "
            f"{texts[wrong].iloc[0]!r} ({wrong.sum():,} such values)."
        )


def as_categories(frame: pd.DataFrame) -> pd.DataFrame:
    """Turn the columns of text into categories, in alphabetical order."""
    text = [name for name in frame if not pd.api.types.is_numeric_dtype(frame[name])]
    return frame.astype(dict.fromkeys(text, "category"))


def make_bunch(
    data: pd.DataFrame | pd.Series,
    target: pd.Series,
    sensitive_features: pd.DataFrame,
    *,
    target_names: Sequence[str],
    paths: Sequence[Path],
    description: str | None,
    return_X_y: bool,
    **others: Any,
) -> Any:
    """Return the pair ``(data, target)`` if `return_X_y`, else a Bunch.

    The docstring of `fetch_adult` describes the Bunch. `others` are further entries.
    """
    if return_X_y:
        return data, target
    if isinstance(data, pd.DataFrame):
        others["feature_names"] = list(data.columns)
    return Bunch(
        data=data,
        target=target,
        sensitive_features=sensitive_features,
        target_names=list(target_names),
        sensitive_feature_names=list(sensitive_features.columns),
        filenames=[str(path) for path in paths],
        DESCR=description,
        **others,
    )
