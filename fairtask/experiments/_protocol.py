"""One run: a split, a fit, and the predictions on the validation and the test part."""

import inspect
import time
import warnings
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from sklearn.compose import (
    ColumnTransformer,
    make_column_selector,
    make_column_transformer,
)
from sklearn.impute import SimpleImputer
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from fairtask.experiments._cases import Case

__all__ = ["GROUP", "fit_and_predict", "make_encoder", "make_parts"]

GROUP = "group:"
"""Prefix of the columns of groups; the name of the attribute follows."""


def make_parts(case: Case, seed: int) -> dict[str, Case]:
    """Split the samples and encode tables; the same for every method.

    Parameters
    ----------
    case : Case
    seed : int

    Returns
    -------
    parts : dict
        "train", "validation" and "test", 60/20/20 % with equal shares of positives;
        data with a test part of their own have no "validation". Categories are one-hot
        encoded, numbers standardised, missing numbers replaced by the median and
        marked, all as found in the training part. The index of the groups is that of
        the samples in the data.
    """
    rows = np.arange(len(case.y))
    if case.is_test is None:
        rest, test = train_test_split(
            rows, test_size=0.2, stratify=case.y, random_state=seed
        )
        train, validation = train_test_split(
            rest, test_size=0.25, stratify=case.y[rest], random_state=seed
        )
        chosen = {"train": train, "validation": validation, "test": test}
    else:
        chosen = {"train": rows[~case.is_test], "test": rows[case.is_test]}
    parts = {name: case.take(of_part) for name, of_part in chosen.items()}
    if isinstance(case.X, pd.Series):  # paths of images
        return {name: replace(p, X=p.X.to_numpy()) for name, p in parts.items()}
    encoder = make_encoder()
    encoder.fit(parts["train"].X)
    with warnings.catch_warnings():
        # A category that the training part lacks is zero in all columns, as it should.
        warnings.filterwarnings("ignore", "Found unknown categories")
        return {
            name: replace(part, X=encoder.transform(part.X).astype(np.float32))
            for name, part in parts.items()
        }


def make_encoder() -> ColumnTransformer:
    """Return an encoder for tables; see `make_parts`."""
    return make_column_transformer(
        (
            OneHotEncoder(
                handle_unknown="ignore", sparse_output=False, dtype=np.float32
            ),
            make_column_selector(dtype_include="category"),
        ),
        (
            make_pipeline(
                # A column that is empty in this training part is one of zeros.
                SimpleImputer(
                    strategy="median", add_indicator=True, keep_empty_features=True
                ),
                StandardScaler(),
            ),
            make_column_selector(dtype_exclude="category"),
        ),
    )


def fit_and_predict(
    estimator: Any,
    parts: Mapping[str, Case],
    *,
    seed: int,
    groups_at_predict: bool = False,
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Fit to the training part, and predict the others.

    Sensitive features, the validation part and the seed are passed to those methods of
    the estimator that have an argument for them. The methods that predict get the
    sensitive features only if `groups_at_predict`.

    Returns
    -------
    table : DataFrame
        A row per sample of the validation and of the test part: "row" in the data,
        "part", "y_true", "y_pred", "score", and the groups of each attribute.
    details : dict
        "fit_seconds", "predict_seconds" and the "warnings" of the fit.
    """
    train = parts["train"]
    available: dict[str, Any] = {"sensitive_features": train.groups}
    if "validation" in parts:
        validation = parts["validation"]
        # A group without a training sample cannot be learnt: it counts as unknown.
        known = validation.groups.apply(
            lambda column: column.isin(train.groups[column.name])
        )
        available |= {
            "X_val": validation.X,
            "y_val": validation.y,
            "sensitive_features_val": validation.groups.where(known, None),
        }
    start = time.perf_counter()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        estimator.fit(train.X, train.y, **_accepted(estimator.fit, available))
    fitted = time.perf_counter()
    tables = [
        _predict(estimator, part, seed, groups_at_predict).assign(part=name)
        for name, part in parts.items()
        if name != "train"
    ]
    messages = [f"{w.category.__name__}: {w.message}" for w in caught]
    return pd.concat(tables, ignore_index=True), {
        "fit_seconds": fitted - start,
        "predict_seconds": time.perf_counter() - fitted,
        "warnings": list(dict.fromkeys(messages)),
    }


def _predict(
    estimator: Any, part: Case, seed: int, groups_at_predict: bool
) -> pd.DataFrame:
    available: dict[str, Any] = {"random_state": seed}
    if groups_at_predict:
        available["sensitive_features"] = part.groups

    def call(name: str) -> np.ndarray:
        method = getattr(estimator, name)
        return np.asarray(method(part.X, **_accepted(method, available)))

    labels = call("predict")
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.shape != part.y.shape:
        raise ValueError(
            f"expected predictions of shape {part.y.shape}, found {labels.shape}."
        )
    unexpected = [label for label in set(labels.tolist()) if label not in (0, 1)]
    if unexpected:
        raise ValueError(f"expected predictions of 0 and 1, found {unexpected[:3]}.")
    outputs = ("predict_proba", "decision_function", "predict")
    output = next(name for name in outputs if hasattr(estimator, name))
    score = call(output)
    if score.shape not in {(len(labels),), (len(labels), 1), (len(labels), 2)}:
        raise ValueError(
            f"expected `{output}` of shape ({len(labels)},) or ({len(labels)}, 2), "
            f"found {score.shape}."
        )
    table = pd.DataFrame(
        {
            "row": part.groups.index.to_numpy(),
            "y_true": part.y.astype(np.int8),
            "y_pred": labels.astype(np.int8),
            "score": (score[:, -1] if score.ndim == 2 else score).astype(float),
        }
    )
    if not np.isfinite(table["score"]).all():
        raise ValueError("expected finite scores, found NaN or infinity.")
    groups = part.groups.reset_index(drop=True).add_prefix(GROUP)
    return pd.concat([table, groups], axis=1)


def _accepted(method: Any, available: Mapping[str, Any]) -> dict[str, Any]:
    """Return those of the arguments that a method names."""
    names = inspect.signature(method).parameters
    return {name: value for name, value in available.items() if name in names}
