"""Choosing one of the candidates of a search by performance and disparity."""

from collections.abc import Callable, Mapping
from functools import partial
from numbers import Real
from typing import Any, NamedTuple

import numpy as np
from sklearn.exceptions import UndefinedMetricWarning

from fairtask._warnings import warn_user
from fairtask.exceptions import BudgetNotMetWarning
from fairtask.metrics._statistics import standard_errors
from fairtask.model_selection._pareto import pareto_front

__all__ = [
    "Scores",
    "best_under_budget",
    "knee_point",
    "least_disparity",
    "read_scores",
]

ROUNDING = 1e-12
"""By so much a mean of decimal numbers may miss a limit."""


def best_under_budget(
    *,
    performance: str,
    disparity: str,
    budget: float,
    one_standard_error: bool = False,
) -> Callable[[Mapping[str, Any]], int]:
    r"""Choose the best candidate whose disparity is within a budget.

    .. math:: \max_i \; \text{performance}_i
              \quad \text{subject to} \quad \text{disparity}_i \le \text{budget}

    of the means over the folds. It is what the searches of scikit-learn take as
    ``refit``. When no candidate is within the budget the least disparate one is chosen,
    with a warning that says by how much it misses.

    Parameters
    ----------
    performance : str
        Name of a score in ``scoring``, such as "roc_auc".
    disparity : str
        Name of a difference between groups in ``scoring``. Its sign does not matter:
        scorers have minus the difference, which is at least 0.
    budget : float
        Largest disparity allowed, at least 0.
    one_standard_error : bool, default=False
        Whether the mean plus one standard error over the folds must be within the
        budget. Disparities of folds are noisy, and of many candidates the one that
        just meets the budget has often been lucky.

    Returns
    -------
    refit : callable
        From ``cv_results_`` to the position of the candidate.

    Raises
    ------
    ValueError
        If an argument is not as described; when it is called, if a name is not in
        ``scoring`` or no candidate has defined scores.

    Warns
    -----
    BudgetNotMetWarning
        When it is called, if no candidate is within the budget.
    UndefinedMetricWarning
        When it is called, if the disparity is undefined in some folds, which are left
        out of its mean.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn.model_selection import GridSearchCV
    >>> from fairtask import AuxiliaryFairnessClassifier
    >>> from fairtask.datasets import make_biased_classification
    >>> from fairtask.metrics import make_fairness_scoring
    >>> from fairtask.model_selection import best_under_budget
    >>> X, y, z = make_biased_classification(n_samples=1_500, random_state=0)
    >>> z = pd.Series(z)
    >>> search = GridSearchCV(
    ...     AuxiliaryFairnessClassifier(max_epochs=3, random_state=0),
    ...     {"lam": [0.2, 1.0]},
    ...     scoring=make_fairness_scoring(
    ...         ["roc_auc", "equalized_odds_difference"], sensitive_features=z
    ...     ),
    ...     refit=best_under_budget(
    ...         performance="roc_auc",
    ...         disparity="equalized_odds_difference",
    ...         budget=0.3,
    ...     ),
    ...     cv=2,
    ... )
    >>> search.fit(pd.DataFrame(X), y, sensitive_features=z).best_index_ in (0, 1)
    True
    """
    _check_names(performance=performance, disparity=disparity)
    _check_number("budget", budget)
    if not isinstance(one_standard_error, bool):
        raise ValueError(
            f"`one_standard_error` must be True or False; got {one_standard_error!r}."
        )
    return partial(
        _best_under_budget,
        performance=performance,
        disparity=disparity,
        budget=float(budget),
        one_standard_error=one_standard_error,
    )


def _best_under_budget(
    cv_results: Mapping[str, Any],
    *,
    performance: str,
    disparity: str,
    budget: float,
    one_standard_error: bool,
) -> int:
    best, spent = _read_both(cv_results, performance, disparity)
    cost = spent.means
    if one_standard_error:
        cost = cost + spent.standard_errors(disparity)
    eligible = np.isfinite(best.means) & np.isfinite(cost)
    if not eligible.any():
        raise ValueError(
            f"No candidate has a performance and a standard error of {disparity!r}, "
            "which takes two folds in which it is defined."
        )
    affordable = eligible & (cost <= budget + ROUNDING)
    if not affordable.any():
        least = np.where(eligible, cost, np.inf).min()
        how = " plus one standard error" if one_standard_error else ""
        warn_user(
            BudgetNotMetWarning,
            f"No candidate has a mean {disparity!r}{how} within the budget of "
            f"{budget:g}: the least is {least:.4g}, {least - budget:.4g} above it, and "
            "is chosen.",
        )
        affordable = eligible & (cost <= least + ROUNDING)
    # Of equals the less disparate one.
    order = np.lexsort((cost, -best.means, ~affordable))
    return int(order[0])


def least_disparity(
    *, performance: str, disparity: str, tolerance: float | None = None
) -> Callable[[Mapping[str, Any]], int]:
    r"""Choose the least disparate candidate that performs nearly as well as the best.

    .. math:: \min_i \; \text{disparity}_i \quad \text{subject to} \quad
              \text{performance}_i \ge \max_j \text{performance}_j - \epsilon

    of the means over the folds. It is what the searches of scikit-learn take as
    ``refit``.

    Parameters
    ----------
    performance : str
        Name of a score in ``scoring``, such as "roc_auc".
    disparity : str
        Name of a difference between groups in ``scoring``, of either sign.
    tolerance : float or None, default=None
        The :math:`\epsilon`, at least 0. None: one standard error of the best
        candidate's performance over the folds.

    Returns
    -------
    refit : callable
        From ``cv_results_`` to the position of the candidate.

    Raises
    ------
    ValueError
        If an argument is not as described; when it is called, if a name is not in
        ``scoring`` or no candidate has defined scores.

    Warns
    -----
    UndefinedMetricWarning
        When it is called, if the disparity is undefined in some folds, which are left
        out of its mean.

    Examples
    --------
    >>> from fairtask.model_selection import least_disparity
    >>> choose = least_disparity(performance="auc", disparity="eod", tolerance=0.01)
    >>> choose(
    ...     {
    ...         "split0_test_auc": [0.910, 0.905, 0.880],
    ...         "split0_test_eod": [-0.09, -0.05, -0.03],
    ...     }
    ... )
    1
    """
    _check_names(performance=performance, disparity=disparity)
    if tolerance is not None:
        _check_number("tolerance", tolerance)
    return partial(
        _least_disparity,
        performance=performance,
        disparity=disparity,
        tolerance=tolerance,
    )


def _least_disparity(
    cv_results: Mapping[str, Any],
    *,
    performance: str,
    disparity: str,
    tolerance: float | None,
) -> int:
    best, spent = _read_both(cv_results, performance, disparity)
    eligible = np.isfinite(best.means) & np.isfinite(spent.means)
    top = int(np.where(eligible, best.means, -np.inf).argmax())
    if tolerance is None:
        tolerance = best.standard_errors(performance)[top]
    near = eligible & (best.means >= best.means[top] - tolerance - ROUNDING)
    order = np.lexsort((-best.means, spent.means, ~near))
    return int(order[0])


def knee_point(
    *, performance: str, disparity: str
) -> Callable[[Mapping[str, Any]], int]:
    """Choose the candidate at the knee of the Pareto front.

    Of the candidates that no other beats, with performance and disparity scaled to
    [0, 1] over them, the one that is farthest above the straight line between the two
    ends: from there on performance costs more disparity than on average. Without such
    a candidate, the least disparate. It is what the searches of scikit-learn take as
    ``refit``.

    Parameters
    ----------
    performance : str
        Name of a score in ``scoring``, such as "roc_auc".
    disparity : str
        Name of a difference between groups in ``scoring``, of either sign.

    Returns
    -------
    refit : callable
        From ``cv_results_`` to the position of the candidate.

    Raises
    ------
    ValueError
        If an argument is not as described; when it is called, if a name is not in
        ``scoring`` or no candidate has defined scores.

    Warns
    -----
    UndefinedMetricWarning
        When it is called, if the disparity is undefined in some folds, which are left
        out of its mean.

    Examples
    --------
    >>> from fairtask.model_selection import knee_point
    >>> choose = knee_point(performance="auc", disparity="eod")
    >>> choose(
    ...     {
    ...         "split0_test_auc": [0.910, 0.905, 0.880],
    ...         "split0_test_eod": [-0.09, -0.05, -0.03],
    ...     }
    ... )
    1
    """
    _check_names(performance=performance, disparity=disparity)
    return partial(_knee_point, performance=performance, disparity=disparity)


def _knee_point(
    cv_results: Mapping[str, Any], *, performance: str, disparity: str
) -> int:
    best, spent = _read_both(cv_results, performance, disparity)
    points = np.column_stack([best.means, spent.means])
    front = np.flatnonzero(pareto_front(points, greater_is_better=[True, False]))
    front = front[np.argsort(spent.means[front], kind="stable")]
    gain, cost = (_scaled(points[front, i]) for i in (0, 1))
    # Rounded, so that points on the line are not told apart by rounding errors.
    return int(front[np.argmax((gain - cost).round(9))])


def _scaled(values: np.ndarray) -> np.ndarray:
    width = np.ptp(values)
    return (values - values.min()) / (width if width > 0 else 1)


class Scores(NamedTuple):
    """A score of all candidates of a search.

    Attributes
    ----------
    folds : ndarray of shape (n_candidates, n_folds)
    means : ndarray of shape (n_candidates,)
    """

    folds: np.ndarray
    means: np.ndarray

    def standard_errors(self, name: str) -> np.ndarray:
        """Return the standard error of each mean over the folds."""
        n_defined = np.isfinite(self.folds).sum(axis=1)
        if n_defined.max(initial=0) < 2:
            raise ValueError(
                f"A standard error of {name!r} takes at least two folds in which it is "
                f"defined; found {n_defined.max(initial=0)}."
            )
        with np.errstate(divide="ignore", invalid="ignore"):
            return standard_errors(self.folds.T) / np.sqrt(n_defined)


def read_scores(
    cv_results: Mapping[str, Any], name: str, *, is_disparity: bool
) -> Scores:
    """Read a score of all candidates.

    Parameters
    ----------
    cv_results : mapping
        ``cv_results_`` of a search, or the part of it that holds the folds.
    name : str
        Name in ``scoring``.
    is_disparity : bool
        Whether it is a difference between groups: then its size counts, and folds in
        which it is undefined are left out. A performance must be defined in all.

    Returns
    -------
    Scores
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
        return Scores(folds, folds.mean(axis=1))
    folds = np.abs(folds)
    n_defined = np.isfinite(folds).sum(axis=1)
    with np.errstate(invalid="ignore"):
        means = np.nan_to_num(folds).sum(axis=1) / n_defined
    return Scores(folds, means)


def _read_both(
    cv_results: Mapping[str, Any], performance: str, disparity: str
) -> tuple[Scores, Scores]:
    best = read_scores(cv_results, performance, is_disparity=False)
    spent = read_scores(cv_results, disparity, is_disparity=True)
    if not (np.isfinite(best.means) & np.isfinite(spent.means)).any():
        raise ValueError(
            f"No candidate has defined scores, of {performance!r} in every fold and of "
            f"{disparity!r} in one: means {best.means.tolist()} and "
            f"{spent.means.tolist()}."
        )
    # Of candidates that were fitted: a fit that failed has no score at all.
    undefined = np.isnan(spent.folds[np.isfinite(best.means)])
    if undefined.any():
        warn_user(
            UndefinedMetricWarning,
            f"{disparity!r} is undefined in {undefined.sum(axis=1).max()} of "
            f"{undefined.shape[1]} folds, which its mean leaves out.",
        )
    return best, spent


def _check_names(**names: Any) -> None:
    for argument, name in names.items():
        if not isinstance(name, str):
            raise ValueError(f"`{argument}` must be the name of a score; got {name!r}.")


def _check_number(argument: str, value: Any) -> None:
    if not isinstance(value, Real) or not float(value) >= 0:
        raise ValueError(f"`{argument}` must be a number of at least 0; got {value!r}.")
