"""The settings of a search over `lam`, checked before any training."""

import inspect
import warnings
from collections.abc import Callable, Sequence
from numbers import Integral
from typing import Any

import numpy as np
import pandas as pd
from sklearn.dummy import DummyClassifier
from sklearn.metrics import get_scorer_names
from sklearn.model_selection import check_cv
from sklearn.utils.multiclass import type_of_target

from fairtask._validation import named_in_errors
from fairtask.metrics import make_fairness_scoring
from fairtask.metrics._names import find_metric, metric_of_name
from fairtask.model_selection import best_under_budget, knee_point, least_disparity

__all__ = ["make_rule", "make_scoring", "read_lams", "split", "try_scoring"]

SMALLEST_LAM = 0.05
"""Where `lams` is a number of values, the smallest of them; the largest is 1."""


def read_lams(lams: int | Sequence[float]) -> list[float]:
    """Return the values of `lam`, from themselves or from their number."""
    if isinstance(lams, Integral):
        return np.geomspace(SMALLEST_LAM, 1, int(lams)).tolist()
    try:
        values = np.asarray(lams, dtype=float)
    except (TypeError, ValueError):
        values = np.empty(0)
    if (
        values.ndim != 1
        or len(np.unique(values)) < max(2, len(values))
        or not ((values >= 0) & (values <= 1)).all()
    ):
        raise ValueError(
            "`lams` must be a number of values, or at least two distinct ones in "
            f"[0, 1]; got {lams!r}."
        )
    return values.tolist()


def split(cv: Any, X: Any, y: Any) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return the training and the test rows of each fold."""
    with named_in_errors("cv"):
        folds = list(check_cv(cv, y, classifier=True).split(X, y))
    parts = [np.asarray(rows) for fold in folds for rows in fold]
    if not parts or not all(p.ndim == 1 and p.dtype.kind in "iub" for p in parts):
        raise ValueError(
            "`cv` must give at least one fold, each of training rows and test rows; "
            f"got {cv!r}."
        )
    return folds


def make_rule(
    rule: str | Callable[..., int] | None,
    budget: float | None,
    *,
    performance: str,
    disparity: str,
) -> Callable[[Any], int]:
    """Return the function from ``cv_results_`` to the position of the choice."""
    if callable(rule):
        if budget is not None:
            raise ValueError(
                "`budget` has no use with a `rule` of your own; leave it at None."
            )
        _check_takes_results(rule)
        return rule
    if budget is None:
        make = knee_point if rule == "knee_point" else least_disparity
        return make(performance=performance, disparity=disparity)
    if rule is not None:
        raise ValueError(
            f"`budget={budget!r}` and `rule={rule!r}` are two rules; leave one of them "
            "at None."
        )
    return best_under_budget(
        performance=performance, disparity=disparity, budget=budget
    )


def _check_takes_results(rule: Callable[..., int]) -> None:
    try:
        signature = inspect.signature(rule)
    except (TypeError, ValueError):  # some callables written in C have none
        return
    try:
        signature.bind({})
    except TypeError as error:
        raise ValueError(
            f"`rule` must take one argument, `cv_results_`; got {rule!r}: {error}."
        ) from error


def make_scoring(
    scoring: dict[str, Callable] | None,
    y: Any,
    *,
    performance: str,
    disparity: str,
) -> dict[str, Callable]:
    """Return the scorers by name, or raise a ValueError where they do not suit `y`."""
    names = [performance, disparity]
    if performance == disparity:
        raise ValueError(
            f"`performance` and `disparity` must be two scores; both are {disparity!r}."
        )
    if scoring is not None:
        needed = dict.fromkeys([*names, *scoring])
        missing = [name for name in needed if not callable(scoring.get(name))]
        if missing:
            raise ValueError(
                "`scoring` must have a scorer for each name, among them those of "
                f"`performance` and `disparity`; it lacks {missing}."
            )
        return scoring
    kind = type_of_target(y)
    if "multioutput" in kind or kind == "multilabel-indicator":
        raise ValueError(
            "`scoring` must have functions for several tasks: the scores of "
            f"scikit-learn take one; `y` is of the type {kind!r}."
        )
    if kind == "multiclass" and performance == "roc_auc":
        raise ValueError(
            "`performance='roc_auc'` is for two classes, and `y` has more; use "
            "'roc_auc_ovr' or 'accuracy'."
        )
    if performance not in get_scorer_names() and metric_of_name(performance) is None:
        raise ValueError(
            "`performance` must be the name of a score of scikit-learn, see "
            f"`sklearn.metrics.get_scorer_names`; got {performance!r}."
        )
    find_metric(disparity, "disparity")
    return make_fairness_scoring(names)


def try_scoring(
    scoring: dict[str, Callable],
    labels: np.ndarray,
    X: Any,
    y: Any,
    sensitive_features: pd.DataFrame,
    *,
    performance: str,
    disparity: str,
) -> None:
    """Raise a ValueError if the scores of random predictions are not defined.

    That takes no training. They will not be defined in a part of the samples either.
    """
    guess = DummyClassifier(strategy="uniform", random_state=0).fit(X, labels)
    for argument, name in {"performance": performance, "disparity": disparity}.items():
        groups = {}
        if metric_of_name(name) is not None:
            groups["sensitive_features"] = sensitive_features
        problem: Any = "the score is NaN"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                is_defined = np.isfinite(scoring[name](guess, X, y, **groups))
            except (TypeError, ValueError) as error:
                is_defined, problem = False, error
        if not is_defined:
            raise ValueError(
                f"`{argument}={name!r}` must be defined for these labels and groups; "
                f"for random predictions: {problem}."
            )
