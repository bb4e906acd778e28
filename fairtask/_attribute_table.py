"""Sensitive attributes as a table, whatever container they come in."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from fairtask._columns import as_column
from fairtask._frames import are_columns, as_pandas, check_same_rows

__all__ = ["DEFAULT_NAME", "attribute_table"]

DEFAULT_NAME = "sensitive_feature"
"""Name of an attribute that comes without one; several are numbered."""


def attribute_table(
    sensitive_features: Any, argument: str = "sensitive_features"
) -> pd.DataFrame:
    """Return sensitive attributes as a data frame with a column each.

    The columns of dicts and lists must hold the same rows if they have an index.
    """
    if isinstance(sensitive_features, Mapping):
        return _join(sensitive_features, argument)
    sensitive_features = as_pandas(sensitive_features, argument)
    if isinstance(sensitive_features, pd.DataFrame):
        return sensitive_features
    if are_columns(sensitive_features):
        columns = {
            f"{DEFAULT_NAME}_{i}" if column.name is None else column.name: column
            for i, column in enumerate(sensitive_features)
        }
        return _join(columns, argument)
    name = getattr(sensitive_features, "name", None)
    name = DEFAULT_NAME if name is None or name == "" else name
    if isinstance(sensitive_features, pd.Series):
        return sensitive_features.to_frame(name)
    if not isinstance(sensitive_features, np.ndarray):
        # numpy would turn [None, "a"] or [1, "a"] into strings.
        sensitive_features = np.asarray(sensitive_features, dtype=object)
    if sensitive_features.ndim == 1:
        return pd.DataFrame({name: sensitive_features})
    if sensitive_features.ndim == 2:
        n_attributes = sensitive_features.shape[1]
        return pd.DataFrame(
            sensitive_features,
            columns=[f"{DEFAULT_NAME}_{i}" for i in range(n_attributes)],
        )
    raise ValueError(
        f"`{argument}` must have shape (n_samples,) or (n_samples, "
        f"n_attributes); got an array with {sensitive_features.ndim} dimensions."
    )


def _join(columns: Mapping, argument: str) -> pd.DataFrame:
    """Return columns of one length as a data frame, row by row."""
    check_same_rows({argument: columns})
    by_name = {
        name: as_column(column, f"{argument}[{name!r}]").reset_index(drop=True)
        for name, column in columns.items()
    }
    lengths = {name: len(column) for name, column in by_name.items()}
    if len(set(lengths.values())) > 1:
        raise ValueError(
            f"`{argument}` as a dict must have columns of one length; got {lengths}."
        )
    return pd.DataFrame(by_name)
