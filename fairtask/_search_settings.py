"""The samples and settings of a search over `lam`, checked before any training."""

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
from sklearn.utils.validation import _num_samples

from fairtask._attribute_table import attribute_table
from fairtask._frames import as_pandas, check_same_rows
from fairtask._labels import encode_labels
from fairtask._sensitive import encode_sensitive_features
from fairtask._validation import check_distinct, named_in_errors, read_weights
from fairtask.metrics import make_fairness_scoring
from fairtask.metrics._names import find_metric, metric_of_name
from fairtask.model_selection import best_under_budget, knee_point, least_disparity

__all__ = [
    "choose",
    "make_rule",
    "make_scoring",
    "read_lams",
    "read_samples",
    "split",
]

SMALLEST_LAM = 0.05
"""Where `lams` is a number of values, the smallest of them; the largest is 1."""


def read_samples(
    X: Any,
    y: Any,
    sensitive_features: Any,
    sample_weight: Any,
    *,
    intersectional: bool,
) -> tuple[dict[str, Any], np.ndarray]:
    """Check samples before they are cut into folds.

    Returns
    -------
    data : dict
        The samples by the names that they have in `fit`. Groups are a DataFrame, and
        the index of all tables is the same.
    labels : ndarray of shape (n_samples,) or (n_samples, n_tasks)
        The labels, as an estimator predicts them.
    """
    check_same_rows(
        {
            "X": X,
            "y": y,
            "sensitive_features": sensitive_features,
            "sample_weight": sample_weight,
        }
    )
    X, y = as_pandas(X, "X"), as_pandas(y, "y")
    if isinstance(X, pd.DataFrame):
        check_distinct(X.columns, "X")
    n_samples = _num_samples(X)
    codes, tasks = encode_labels(y, n_samples=n_samples)
    sensitive = encode_sensitive_features(
        sensitive_features, n_samples=n_samples, intersectional=intersectional
    )
    n_groups = {
        name: len(groups)
        for name, groups in zip(sensitive.names, sensitive.groups, strict=True)
    }
    if max(n_groups.values()) < 2:
        raise ValueError(
            "`sensitive_features` must have two known groups, whose difference "
            f"decides on `lam`; numbers of known groups: {n_groups}."
        )
    groups = attribute_table(sensitive_features)
    for part in (X, y):
        if isinstance(part, pd.DataFrame | pd.Series):
            groups = groups.set_axis(part.index)  # columns of arrays have none
    data = {"X": X, "y": y, "sensitive_features": groups}
    if sample_weight is not None:
        data["sample_weight"] = read_weights(sample_weight, n_samples)
    return data, tasks.decode(codes)


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


def choose(rule: Callable[[Any], int], results: dict[str, Any]) -> int:
    """Return the position of the candidate that the rule chooses."""
    best: Any = rule(results)
    n_candidates = len(results["params"])
    if not isinstance(best, int | np.integer) or not 0 <= best < n_candidates:
        raise ValueError(
            "`rule` must return the position of a candidate, from 0 to "
            f"{n_candidates - 1}; got {best!r}."
        )
    return int(best)


def make_scoring(
    scoring: dict[str, Callable] | None,
    data: dict[str, Any],
    labels: np.ndarray,
    *,
    performance: str,
    disparity: str,
    positive_classes: Sequence[Any] | None = None,
) -> dict[str, Callable]:
    """Return the scorers by name.

    Parameters
    ----------
    scoring : dict or None
        Scorers of the user's own. None: make them of the two names.
    data : dict
        Arguments of `fit`, see `read_samples`.
    labels : ndarray of shape (n_samples,) or (n_samples, n_tasks)
        The labels in ``data["y"]``, as an estimator predicts them.
    performance, disparity : str
        Names of the scores that decide.
    positive_classes : sequence, optional
        See `AuxiliaryFairnessClassifier`. The disparity of two classes is that of the
        class whose differences are penalised.

    Raises
    ------
    ValueError
        If a name is not that of a scorer, or the scores do not suit the samples.
    """
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
    kind = type_of_target(data["y"])
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
    settings = {}
    takes_class = "pos_label" in find_metric(disparity, "disparity").settings
    if kind == "binary" and takes_class and positive_classes is not None:
        # A training refuses other values than labels.
        penalised = [c for c in positive_classes if c in labels.tolist()]
        if len(penalised) == 1:
            settings["pos_label"] = penalised[0]
    scorers = make_fairness_scoring(names, **settings)
    for argument, name in {"performance": performance, "disparity": disparity}.items():
        _check_defined(scorers[name], name, argument, data, labels)
    return scorers


def _check_defined(
    scorer: Callable, name: str, argument: str, data: dict[str, Any], labels: np.ndarray
) -> None:
    """Raise a ValueError if the score of random predictions is not defined.

    That takes no training. It will not be defined in a part of the samples either.
    """
    X, y = data["X"], data["y"]
    guess = DummyClassifier(strategy="uniform", random_state=0).fit(X, labels)
    groups = {}
    if metric_of_name(name) is not None:
        groups["sensitive_features"] = data["sensitive_features"]
    problem: Any = "the score is NaN"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            is_defined = np.isfinite(scorer(guess, X, y, **groups))
        except (TypeError, ValueError) as error:
            is_defined, problem = False, error
    if not is_defined:
        raise ValueError(
            f"`{argument}={name!r}` must be defined for these labels and groups; "
            f"for random predictions: {problem}."
        )
