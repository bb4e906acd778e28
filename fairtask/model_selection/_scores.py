"""Scores of the candidates of a search, as its ``cv_results_`` holds them."""

import reprlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import get_scorer_names

from fairtask.metrics._names import metric_of_name
from fairtask.metrics._resampling import standard_errors
from fairtask.metrics._scorers import CONSTANT

__all__ = [
    "Scores",
    "check_disparity",
    "check_one_number",
    "describe",
    "is_best_at_one",
    "name_of_disparity",
    "read_constant",
    "read_results",
    "read_scores",
    "varied_parameters",
]

MAX_LISTED = 5
"""Candidates that a message names; of more it says how many there are."""


@dataclass(frozen=True)
class Scores:
    """One score of all candidates.

    Attributes
    ----------
    name : str
        Name in ``scoring``.
    folds : ndarray of shape (n_candidates, n_folds)
    means : ndarray of shape (n_candidates,)
    candidates : list of str
        Name of each candidate in a sentence: its position, and its parameters if known.
    """

    name: str
    folds: np.ndarray
    means: np.ndarray
    candidates: list[str]

    def list_candidates(self, positions: Sequence[int]) -> str:
        """Name the candidates at these positions in a sentence; of many, the first."""
        names = [self.candidates[i] for i in positions[:MAX_LISTED]]
        if len(positions) > MAX_LISTED:
            names.append(f"{len(positions) - MAX_LISTED} others")
        return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))

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


def read_results(search: Any) -> Mapping[str, Any]:
    """Return ``cv_results_`` of a fitted search, or the results that were passed.

    They may also be a data frame, made of ``cv_results_``.
    """
    results: Any = getattr(search, "cv_results_", search)
    is_table = isinstance(results, Mapping | pd.DataFrame)
    if not is_table:
        raise ValueError(
            "`cv_results` must be `cv_results_` of a search, or a fitted search; got "
            f"{reprlib.repr(search)}."
        )
    shapes = {
        key: np.shape(np.asarray(results[key], dtype=object))
        for key in results
        if key == "params" or (key.startswith("split") and "_test_" in key)
    }
    if len(set(shapes.values())) > 1 or not all(map(all, shapes.values())):
        raise ValueError(
            "`cv_results` must have one entry per candidate for each score, and at "
            f"least one candidate; got entries of the shapes {shapes}."
        )
    return results


def check_disparity(name: Any) -> None:
    """Raise a ValueError if this is a score of scikit-learn, and no disparity."""
    if isinstance(name, str) and name in get_scorer_names():
        raise ValueError(
            "`disparity` must be one of the differences between groups in `scoring`; "
            f"got {name!r}, a score of scikit-learn, which may be the `performance`."
        )


def check_one_number(settings: Mapping[str, Any]) -> None:
    """Raise a ValueError if a metric has a value for each attribute with them."""
    if settings.get("attributes") == "each":
        raise ValueError(
            "`attributes` must give one number per model, 'worst_case' or "
            "'intersection'; got 'each'."
        )


def read_scores(
    cv_results: Mapping[str, Any], name: Any, *, is_disparity: bool
) -> Scores:
    """Read one score of all candidates.

    A performance must be defined in all folds. A disparity counts without its sign, or
    is 1 minus the score where 1 is the best, and its mean leaves out folds in which it
    is undefined.
    """
    if is_disparity:
        check_disparity(name)
    keys: list[str] = []
    while f"split{len(keys)}_test_{name}" in cv_results:
        keys.append(f"split{len(keys)}_test_{name}")
    if not keys:
        prefix = "split0_test_"
        known = [key.removeprefix(prefix) for key in cv_results if prefix in key]
        argument = "disparity" if is_disparity else "performance"
        raise ValueError(
            f"`{argument}` must be the name of a score of the search, one of {known}; "
            f"got {name!r}."
        )
    try:
        folds = np.column_stack([np.asarray(cv_results[key], float) for key in keys])
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"`cv_results` must hold numbers as scores; those of {name!r} are none: "
            f"{error}."
        ) from error
    candidates = _name_candidates(cv_results, len(folds))
    if not is_disparity:
        return Scores(name, folds, folds.mean(axis=1), candidates)
    folds = 1 - folds if is_best_at_one(name) else np.abs(folds)
    with np.errstate(invalid="ignore"):
        means = np.nan_to_num(folds).sum(axis=1) / np.isfinite(folds).sum(axis=1)
    return Scores(name_of_disparity(name), folds, means, candidates)


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


def describe(params: Mapping[str, Any], names: Sequence[str]) -> str:
    """Return a candidate's values of these parameters, such as "lam=0.3"."""
    return ", ".join(
        f"{p.rpartition('__')[2]}={f'{v:.3g}' if isinstance(v, float) else v}"
        for p, v in params.items()
        if p in names
    )


def varied_parameters(params: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the parameters in which the candidates of a search differ."""
    searched = dict.fromkeys(p for candidate in params for p in candidate)
    return [p for p in searched if len({repr(c.get(p)) for c in params}) > 1]


def _name_candidates(cv_results: Mapping[str, Any], n_candidates: int) -> list[str]:
    params = list(cv_results.get("params", [{}] * n_candidates))
    varied = varied_parameters(params)
    texts = [describe(candidate, varied) for candidate in params]
    return [f"{i} ({text})" if text else str(i) for i, text in enumerate(texts)]
