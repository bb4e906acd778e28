"""Representation, labels and groups of the samples that an audit takes."""

import reprlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse
from sklearn.exceptions import NotFittedError

from fairtask._columns import read_number_array
from fairtask._frames import check_same_rows
from fairtask._labels import Tasks, encode_labels
from fairtask._sensitive import SensitiveFeatures, encode_sensitive_features
from fairtask._validation import check_can_be_squared, named_in_errors, warn_user

__all__ = ["RepresentedSamples", "silence_constant_units"]


@dataclass(frozen=True)
class RepresentedSamples:
    """Representation, labels and groups of the training or test samples.

    Attributes
    ----------
    h : ndarray of shape (n_samples, n_units), float
        Output of the transformer.
    codes : ndarray of shape (n_samples,), int64
        Codes of the labels.
    tasks : Tasks
        The task and its classes.
    sensitive : SensitiveFeatures
        Those of the training samples; groups that occur in the test only are unknown.
    """

    h: np.ndarray
    codes: np.ndarray
    tasks: Tasks
    sensitive: SensitiveFeatures

    @classmethod
    def read(
        cls,
        transformer: Any,
        X: Any,
        y: Any,
        sensitive_features: Any,
        intersectional: bool,
        known: "RepresentedSamples | None" = None,
    ) -> "RepresentedSamples":
        """Check the arguments of a part; `known` is the training part for the test."""
        suffix = "" if known is None else "_test"
        names = [f"{name}{suffix}" for name in ("X", "y", "sensitive_features")]
        check_same_rows(dict(zip(names, (X, y, sensitive_features), strict=True)))
        if sensitive_features is None:
            raise ValueError(
                f"`{names[2]}` must have a column for each attribute; got None."
            )
        h = _represent(transformer, X, names[0])
        if known is not None and h.shape[1] != known.h.shape[1]:
            raise ValueError(
                "`transformer` must return as many units for `X_test` as for `X`; got "
                f"{h.shape[1]} and {known.h.shape[1]}."
            )
        codes, tasks = encode_labels(
            y,
            n_samples=len(h),
            known=None if known is None else known.tasks,
            argument=names[1],
        )
        if tasks.is_multioutput:
            raise ValueError(
                f"`{names[1]}` must be the labels of one task; got "
                f"{len(tasks.names)} columns. Pass one of them."
            )
        sensitive = encode_sensitive_features(
            sensitive_features,
            n_samples=len(h),
            intersectional=intersectional,
            known=None if known is None else known.sensitive.attributes,
            unseen="unknown",
            argument=names[2],
        )
        return cls(h, codes[:, 0], tasks, sensitive)

    @property
    def classes(self) -> np.ndarray:
        """The classes, sorted."""
        return self.tasks.classes[0]

    @property
    def labels(self) -> np.ndarray:
        """The labels, as one array."""
        return self.classes[self.codes]


def _represent(transformer: Any, X: Any, argument: str) -> np.ndarray:
    """Return ``transform(X)`` as a finite array of floats with two dimensions."""
    is_table = isinstance(transformer, pd.DataFrame | pd.Series)  # has the method too
    if is_table or not hasattr(transformer, "transform"):
        raise ValueError(
            "`transformer` must have the method `transform`; got "
            f"{type(transformer).__name__}."
        )
    try:
        with named_in_errors(argument):
            found = transformer.transform(X)
    except NotFittedError as error:
        raise NotFittedError(f"`transformer` must be fitted: {error}") from error
    if sparse.issparse(found):
        found = found.toarray()
    name = f"transformer.transform({argument})"
    h = read_number_array(found, name)
    if h.ndim != 2 or not h.size:
        raise ValueError(
            f"`{name}` must have shape (n_samples, n_units); got shape {h.shape}."
        )
    n_infinite = (~np.isfinite(h)).any(axis=1).sum()
    if n_infinite:
        raise ValueError(
            f"`{name}` must be finite; found NaN or infinity in {n_infinite} of "
            f"{len(h)} rows."
        )
    check_can_be_squared(h, name)
    dtype = np.asarray(found).dtype
    return h.astype(np.float32) if dtype in (np.float16, np.float32) else h


def silence_constant_units(h: np.ndarray, h_test: np.ndarray) -> None:
    """Set units to 0 that are constant in the training part up to rounding.

    Rounding errors are relative to a unit itself and to the other units, with which it
    may have been computed.
    """
    deviations = h.std(axis=0, dtype=float)
    size = np.maximum(abs(h.mean(axis=0, dtype=float)), deviations.max())
    constant = deviations <= 4 * np.finfo(h.dtype).eps * size
    varying = np.flatnonzero(constant & (h.max(axis=0) > h.min(axis=0))).tolist()
    if varying:
        warn_user(
            UserWarning,
            f"The units {reprlib.repr(varying)} of the representation are set to 0: "
            f"their variation could be the rounding of {h.dtype}, beside their mean or "
            "the unit that varies most. If it is none, standardise the units in "
            "`transformer`.",
        )
    h[:, constant] = h_test[:, constant] = 0
