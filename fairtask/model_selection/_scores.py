"""Scores of the candidates of a search, as its ``cv_results_`` holds them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from fairtask.metrics._intervals import standard_errors
from fairtask.metrics._names import metric_of_name
from fairtask.metrics._scorers import CONSTANT

__all__ = [
    "Scores",
    "is_best_at_one",
    "name_of_disparity",
    "read_constant",
    "read_scores",
]


@dataclass(frozen=True)
class Scores:
    """One score of all candidates.

    Attributes
    ----------
    name : str
        Name in ``scoring``.
    folds : ndarray of shape (n_candidates, n_folds)
    means : ndarray of shape (n_candidates,)
    """

    name: str
    folds: np.ndarray
    means: np.ndarray

    def standard_errors(self) -> np.ndarray:
        """Return the standard error of each mean over the folds."""
        n_defined = np.isfinite(self.folds).sum(axis=1)
        if n_defined.max(initial=0) < 2:
            raise ValueError(
                f"A standard error of {self.name!r} takes at least two folds in which "
                f"it is defined; found {n_defined.max(initial=0)}."
            )
        with np.errstate(divide="ignore", invalid="ignore"):
            return standard_errors(self.folds.T) / np.sqrt(n_defined)


def read_scores(
    cv_results: Mapping[str, Any], name: str, *, is_disparity: bool
) -> Scores:
    """Read one score of all candidates.

    A performance must be defined in all folds. A disparity counts without its sign, or
    is 1 minus the score where 1 is the best, and its mean leaves out folds in which it
    is undefined.
    """
    keys: list[str] = []
    while f"split{len(keys)}_test_{name}" in cv_results:
        keys.append(f"split{len(keys)}_test_{name}")
    if not keys:
        prefix = "split0_test_"
        known = [key.removeprefix(prefix) for key in cv_results if prefix in key]
        raise ValueError(
            f"{name!r} must be the name of a score of the search, one of {known}."
        )
    folds = np.column_stack([np.asarray(cv_results[key], float) for key in keys])
    if not is_disparity:
        return Scores(name, folds, folds.mean(axis=1))
    folds = 1 - folds if is_best_at_one(name) else np.abs(folds)
    with np.errstate(invalid="ignore"):
        means = np.nan_to_num(folds).sum(axis=1) / np.isfinite(folds).sum(axis=1)
    return Scores(name_of_disparity(name), folds, means)


def is_best_at_one(name: str) -> bool:
    """Whether the score of this name is a ratio between groups, or a worst group's."""
    metric = metric_of_name(name)
    return metric is not None and metric.transform.greater_is_better


def name_of_disparity(name: str) -> str:
    """Return the name of the disparity that a score or a metric of this name gives."""
    return f"1 - {name}" if is_best_at_one(name) else name


def read_constant(cv_results: Mapping[str, Any], n_candidates: int) -> np.ndarray:
    """Return which candidates predict one class for everybody in a fold.

    Without the score "constant_predictions" no candidate is known to do so.
    """
    if f"split0_test_{CONSTANT}" not in cv_results:
        return np.zeros(n_candidates, dtype=bool)
    marks = read_scores(cv_results, CONSTANT, is_disparity=True)
    return (marks.folds == 1).any(axis=1)
