"""Rules that choose a candidate of a search by performance and disparity."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from numbers import Real
from typing import Any

import numpy as np
from sklearn.exceptions import UndefinedMetricWarning

from fairtask._validation import check_bool, warn_user
from fairtask.exceptions import BudgetNotMetWarning, ConstantClassifierWarning
from fairtask.metrics._names import metric_of_name
from fairtask.model_selection._pareto import pareto_front
from fairtask.model_selection._scores import (
    Scores,
    check_disparity,
    read_constant,
    read_results,
    read_scores,
)

__all__ = [
    "best_under_budget",
    "check_budget",
    "check_number",
    "knee_point",
    "least_disparity",
]

ROUNDING = 1e-12
"""Tolerance for the rounding errors of a mean that meets a limit exactly."""


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

    of the means over the folds. If no candidate is within the budget, the least
    disparate one is chosen, and a warning says how far it is above the budget. No
    candidate with undefined scores is chosen; a rule raises a ValueError if there is no
    other. A candidate that predicts one class for everybody in a fold is only chosen if
    all do. It is known by the score "constant_predictions", which
    `~fairtask.metrics.make_fairness_scoring` adds.

    Parameters
    ----------
    performance : str
        Name of a score in ``scoring``, such as "roc_auc".
    disparity : str
        Name of a difference between groups in ``scoring``. Its sign does not matter:
        scorers return the negative difference. If it is the name of a metric of which 1
        is the best, such as "demographic_parity_ratio", the disparity is 1 minus the
        score: a budget of 0.2 is the four-fifths rule.
    budget : float
        Largest disparity allowed, at least 0; at most 1 where no disparity is larger.
    one_standard_error : bool, default=False
        Whether the mean plus one standard error over the folds must be within the
        budget. Disparities of folds are noisy, and of many candidates the one that
        just meets the budget has often been lucky. This margin makes it rarer that
        the budget is exceeded on other data, and promises nothing: see
        `choose_within_budget`.

    Returns
    -------
    refit : callable
        A function from ``cv_results_``, or from a fitted search, to the position of
        the candidate.

    Warns
    -----
    BudgetNotMetWarning
        When the rule is called, if no candidate is within the budget.
    ConstantClassifierWarning
        When the rule is called, if candidates predict one class for everybody in a
        fold.
    UndefinedMetricWarning
        When the rule is called, if the disparity is undefined in some folds. Its mean
        leaves them out.

    See Also
    --------
    choose_within_budget : A choice whose disparity is within the budget with a stated
        confidence.

    Examples
    --------
    A search with three candidates and one fold:

    >>> from fairtask.model_selection import best_under_budget
    >>> cv_results = {
    ...     "split0_test_auc": [0.910, 0.905, 0.880],
    ...     "split0_test_eod": [-0.09, -0.05, -0.03],
    ... }
    >>> best_under_budget(performance="auc", disparity="eod", budget=0.06)(cv_results)
    1
    """
    check_bool("one_standard_error", one_standard_error)
    choose = partial(
        _best_under_budget,
        budget=check_budget(budget, disparity),
        one_standard_error=one_standard_error,
    )
    return _make_rule(choose, performance, disparity)


def _best_under_budget(
    performance: Scores, disparity: Scores, *, budget: float, one_standard_error: bool
) -> int:
    cost = disparity.means
    if one_standard_error:
        cost = cost + disparity.standard_errors()
    eligible = np.isfinite(performance.means) & np.isfinite(cost)
    if not eligible.any():
        raise ValueError(
            "No candidate has a performance and a standard error of "
            f"{disparity.name!r}, which takes two folds in which it is defined."
        )
    affordable = eligible & (cost <= budget + ROUNDING)
    is_met = affordable.any()
    least = np.where(eligible, cost, np.inf).min()
    if not is_met:
        affordable = eligible & (cost <= least + ROUNDING)
    chosen = int(np.lexsort((cost, -performance.means, ~affordable))[0])
    if not is_met:
        how = " plus one standard error" if one_standard_error else ""
        warn_user(
            BudgetNotMetWarning,
            f"No candidate has a mean {disparity.name!r}{how} within the budget of "
            f"{budget:g}: the least is {least:.4g}, {least - budget:.4g} above it, of "
            f"candidate {disparity.candidates[chosen]}, which is chosen.",
        )
    return chosen


def least_disparity(
    *, performance: str, disparity: str, tolerance: float | None = None
) -> Callable[[Mapping[str, Any]], int]:
    r"""Choose the least disparate candidate that performs nearly as well as the best.

    .. math:: \min_i \; \text{disparity}_i \quad \text{subject to} \quad
              \text{performance}_i \ge \max_j \text{performance}_j - \epsilon

    of the means over the folds. Undefined scores and constant candidates count as in
    `best_under_budget`.

    Parameters
    ----------
    performance, disparity : str
        Names of scores in ``scoring``, see `best_under_budget`.
    tolerance : float or None, default=None
        The :math:`\epsilon`, at least 0. None: one standard error of the best
        candidate's performance over the folds.

    Returns
    -------
    refit : callable
        A function from ``cv_results_`` to the position of the candidate.

    Examples
    --------
    >>> from fairtask.model_selection import least_disparity
    >>> cv_results = {
    ...     "split0_test_auc": [0.910, 0.905, 0.880],
    ...     "split0_test_eod": [-0.09, -0.05, -0.03],
    ... }
    >>> least_disparity(performance="auc", disparity="eod", tolerance=0.01)(cv_results)
    1
    """
    if tolerance is not None:
        check_number("tolerance", tolerance)
    choose = partial(_least_disparity, tolerance=tolerance)
    return _make_rule(choose, performance, disparity)


def _least_disparity(
    performance: Scores, disparity: Scores, *, tolerance: float | None
) -> int:
    eligible = np.isfinite(performance.means) & np.isfinite(disparity.means)
    best = int(np.where(eligible, performance.means, -np.inf).argmax())
    if tolerance is None:
        tolerance = performance.standard_errors()[best]
    limit = performance.means[best] - tolerance - ROUNDING
    is_near = eligible & (performance.means >= limit)
    return int(np.lexsort((-performance.means, disparity.means, ~is_near))[0])


def knee_point(
    *, performance: str, disparity: str
) -> Callable[[Mapping[str, Any]], int]:
    """Choose the candidate at the knee of the Pareto front.

    Performance and disparity are scaled to [0, 1] over the candidates that no other
    beats. The knee is the candidate that is farthest above the straight line between
    the two ends of the front: from there on performance costs more disparity than on
    average. If no candidate is above the line, the least disparate one is chosen.
    Undefined scores and constant candidates count as in `best_under_budget`.

    Parameters
    ----------
    performance, disparity : str
        Names of scores in ``scoring``, see `best_under_budget`.

    Returns
    -------
    refit : callable
        A function from ``cv_results_`` to the position of the candidate.

    Examples
    --------
    >>> from fairtask.model_selection import knee_point
    >>> cv_results = {
    ...     "split0_test_auc": [0.910, 0.905, 0.880],
    ...     "split0_test_eod": [-0.09, -0.05, -0.03],
    ... }
    >>> knee_point(performance="auc", disparity="eod")(cv_results)
    1
    """
    return _make_rule(_knee_point, performance, disparity)


def _knee_point(performance: Scores, disparity: Scores) -> int:
    points = np.column_stack([performance.means, disparity.means])
    front = np.flatnonzero(pareto_front(points, greater_is_better=[True, False]))
    front = front[np.argsort(disparity.means[front], kind="stable")]
    gain, cost = (_scale(points[front, i]) for i in (0, 1))
    # Rounding errors must not decide between points on the line.
    return int(front[np.argmax((gain - cost).round(9))])


def _scale(values: np.ndarray) -> np.ndarray:
    width = np.ptp(values)
    return (values - values.min()) / (width if width > 0 else 1)


def _make_rule(
    choose: Callable[[Scores, Scores], int], performance: Any, disparity: Any
) -> Callable[[Mapping[str, Any]], int]:
    """Return a function of ``cv_results_`` that can be pickled."""
    for argument, name in {"performance": performance, "disparity": disparity}.items():
        if not isinstance(name, str):
            raise ValueError(f"`{argument}` must be the name of a score; got {name!r}.")
    check_disparity(disparity)
    return partial(
        _apply_rule, choose=choose, performance=performance, disparity=disparity
    )


def _apply_rule(
    cv_results: Mapping[str, Any],
    *,
    choose: Callable[[Scores, Scores], int],
    performance: str,
    disparity: str,
) -> int:
    cv_results = read_results(cv_results)
    gain = read_scores(cv_results, performance, is_disparity=False)
    cost = read_scores(cv_results, disparity, is_disparity=True)
    if not (np.isfinite(gain.means) & np.isfinite(cost.means)).any():
        raise ValueError(
            f"No candidate has defined scores, of {performance!r} in every fold and of "
            f"{disparity!r} in one: means {gain.means.tolist()} and "
            f"{cost.means.tolist()}."
        )
    # A candidate whose fit failed has no score at all, and is not meant here.
    undefined = np.isnan(cost.folds) & np.isfinite(gain.means)[:, None]
    if undefined.any():
        rows = np.flatnonzero(undefined.any(axis=1)).tolist()
        warn_user(
            UndefinedMetricWarning,
            f"{disparity!r} is undefined in {undefined.sum(axis=1).max()} of "
            f"{undefined.shape[1]} folds, which its mean leaves out, for candidate "
            f"{cost.list_candidates(rows)}.",
        )
    is_constant = read_constant(cv_results, len(gain.means))
    return choose(_without_constant(gain, cost, is_constant), cost)


def _without_constant(
    performance: Scores, disparity: Scores, is_constant: np.ndarray
) -> Scores:
    """Return the performance, undefined for candidates that are constant in a fold.

    Their disparity is 0 in that fold, which says nothing about fairness.
    """
    defined = np.isfinite(performance.means) & np.isfinite(disparity.means)
    constant = np.flatnonzero(defined & is_constant).tolist()
    if not constant:
        return performance
    are_all = len(constant) == defined.sum()
    warn_user(
        ConstantClassifierWarning,
        f"{'All' if are_all else 'Some'} candidates predict one class for all samples "
        f"of a fold: {performance.list_candidates(constant)}. "
        + (
            f"Their {disparity.name!r} says nothing about fairness. Do not use the one "
            "that is chosen without a look at its predictions."
            if are_all
            else "They are not chosen."
        ),
    )
    if are_all:
        return performance
    return replace(performance, means=np.where(is_constant, np.nan, performance.means))


def check_budget(budget: Any, disparity: Any) -> float:
    """Return the budget, or raise a ValueError if there is no such disparity."""
    check_number("budget", budget)
    metric = metric_of_name(disparity) if isinstance(disparity, str) else None
    largest = np.inf
    if metric is not None:
        largest = max(metric.transform.largest(s) for s in metric.statistics)
    if budget > largest:
        raise ValueError(
            f"`budget` must be at most {largest:g}, the largest {disparity!r} that "
            f"there can be; got {budget!r}. Write 5 % as 0.05."
        )
    if np.isinf(budget):
        raise ValueError(f"`budget` must be finite; got {budget!r}.")
    return float(budget)


def check_number(argument: str, value: Any) -> None:
    """Raise a ValueError unless the value is a number of at least 0."""
    is_number = isinstance(value, Real) and value is not True and value is not False
    if not is_number or not float(value) >= 0:
        raise ValueError(f"`{argument}` must be a number of at least 0; got {value!r}.")
