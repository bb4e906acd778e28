"""From what the user passes to codes and arrays; input errors are raised here."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import column_or_1d
from skorch.callbacks import Callback

__all__ = [
    "SensitiveFeatures",
    "check_callbacks",
    "check_device",
    "encode_labels",
    "encode_sensitive_features",
]

DEFAULT_NAME = "sensitive_feature"
MAX_GROUPS = 50
"""More distinct values than this are no groups, if numbers or hardly repeated."""


def encode_labels(y: Any) -> tuple[np.ndarray, np.ndarray]:
    """Encode the labels of one task.

    Parameters
    ----------
    y : array-like of shape (n_samples,)
        Labels of any type.

    Returns
    -------
    codes : ndarray of shape (n_samples,), int64
    classes : ndarray of shape (n_classes,)
        The labels that occur, sorted.

    Raises
    ------
    ValueError
        If `y` is not one column of class labels or has one class only.
    """
    y = column_or_1d(y, warn=True)
    check_classification_targets(y)
    classes, codes = np.unique(y, return_inverse=True)
    if len(classes) < 2:
        raise ValueError(
            f"`y` must have at least two classes; found 1 class: {classes.tolist()}."
        )
    return codes.astype(np.int64), classes


@dataclass(frozen=True)
class SensitiveFeatures:
    """Sensitive attributes as group codes.

    Attributes
    ----------
    codes : ndarray of shape (n_samples, n_attributes), int64
        Position of each sample's group in `groups`, -1 where it is unknown.
    names : list of str
        Name of each attribute.
    groups : list of ndarray
        The groups of each attribute that occur, sorted.
    """

    codes: np.ndarray
    names: list[str]
    groups: list[np.ndarray]

    def select(self, indices: Sequence[int]) -> "SensitiveFeatures":
        """Return the attributes at these positions."""
        return SensitiveFeatures(
            self.codes[:, indices],
            [self.names[i] for i in indices],
            [self.groups[i] for i in indices],
        )


def encode_sensitive_features(
    sensitive_features: Any, *, n_samples: int
) -> SensitiveFeatures:
    """Encode sensitive attributes.

    Parameters
    ----------
    sensitive_features : array-like of shape (n_samples,) or \
            (n_samples, n_attributes), or None
        Groups of any type. A missing value stands for an unknown group; None for no
        attributes at all.
    n_samples : int
        Number of rows expected.

    Returns
    -------
    SensitiveFeatures

    Raises
    ------
    ValueError
        If the shape is another, the number of rows differs, or a column looks
        continuous.
    """
    if sensitive_features is None:
        return SensitiveFeatures(np.empty((n_samples, 0), dtype=np.int64), [], [])
    table = _as_table(sensitive_features)
    if len(table) != n_samples:
        raise ValueError(
            f"`sensitive_features` must have one row per sample: expected {n_samples}, "
            f"found {len(table)}."
        )
    if table.shape[1] == 0:
        raise ValueError("`sensitive_features` must have at least one column; got 0.")
    names = [str(name) for name in table.columns]
    duplicates = sorted({name for name in names if names.count(name) > 1})
    if duplicates:
        raise ValueError(
            f"`sensitive_features` must have distinct names; {duplicates} occur "
            "more than once."
        )
    encoded = [
        _encode_column(table.iloc[:, i], name=name) for i, name in enumerate(names)
    ]
    codes = np.column_stack([column for column, _ in encoded])
    return SensitiveFeatures(codes, names, [groups for _, groups in encoded])


def _as_table(sensitive_features: Any) -> pd.DataFrame:
    if isinstance(sensitive_features, pd.DataFrame):
        return sensitive_features
    if isinstance(sensitive_features, pd.Series):
        name = sensitive_features.name
        return sensitive_features.to_frame(DEFAULT_NAME if name is None else name)
    if not isinstance(sensitive_features, np.ndarray):
        # numpy would turn [None, "a"] or [1, "a"] into strings.
        sensitive_features = np.asarray(sensitive_features, dtype=object)
    if sensitive_features.ndim == 1:
        return pd.DataFrame({DEFAULT_NAME: sensitive_features})
    if sensitive_features.ndim == 2:
        n_attributes = sensitive_features.shape[1]
        return pd.DataFrame(
            sensitive_features,
            columns=[f"{DEFAULT_NAME}_{i}" for i in range(n_attributes)],
        )
    raise ValueError(
        "`sensitive_features` must have shape (n_samples,) or (n_samples, "
        f"n_attributes); got an array with {sensitive_features.ndim} dimensions."
    )


def _encode_column(column: pd.Series, *, name: str) -> tuple[np.ndarray, np.ndarray]:
    if column.dtype == object:
        column = column.infer_objects()
    try:
        codes, groups = pd.factorize(column, sort=True)
    except TypeError as error:
        raise ValueError(
            f"`sensitive_features` column {name!r} must hold values that name groups, "
            f"such as strings or integers: {error}"
        ) from error
    disguised = [group for group in groups if group in ("nan", "<NA>")]
    if disguised:
        raise ValueError(
            f"`sensitive_features` column {name!r} has a group named {disguised[0]!r}, "
            "which is what an array of strings makes of a missing value. Pass a list, "
            "an array of objects or a pandas column."
        )
    is_number = pd.api.types.is_numeric_dtype(column.dtype)
    if len(groups) > MAX_GROUPS and (is_number or len(groups) > len(column) / 2):
        raise ValueError(
            f"`sensitive_features` column {name!r} must name groups; it has "
            f"{len(groups)} distinct values in {len(column)} rows. Group them "
            "first, for example with pandas.cut, or, if these numbers are names, "
            "pass them as strings."
        )
    return codes.astype(np.int64), np.asarray(groups)


def check_callbacks(callbacks: list | None) -> list:
    """Return callbacks as a list, or raise a ValueError if an entry is none."""
    callbacks = callbacks or []
    for entry in callbacks:
        if not isinstance(entry[-1] if isinstance(entry, tuple) else entry, Callback):
            raise ValueError(
                "`callbacks` must hold skorch callbacks, or pairs of a name and one; "
                f"got {entry!r}."
            )
    return callbacks


def check_device(device: str | torch.device) -> torch.device:
    """Return the device, or raise a ValueError if it is not there."""
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        return torch.empty(0, device=device).device
    except (AssertionError, RuntimeError) as error:
        raise ValueError(
            "`device` must be 'auto' or a device of torch that is there, such as 'cpu' "
            f"or 'cuda:0'; got {device!r}: {error}"
        ) from error
