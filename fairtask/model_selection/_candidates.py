"""The candidates of a search, fitted to be judged on other samples."""

from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.utils.parallel import Parallel, delayed

from fairtask.model_selection._pareto import pareto_front
from fairtask.model_selection._scores import (
    describe,
    read_constant,
    read_results,
    read_scores,
    varied_parameters,
)

__all__ = ["fit_candidates"]


def fit_candidates(
    search: Any,
    X: Any,
    y: Any,
    *,
    performance: str | None = None,
    disparity: str | None = None,
    n_jobs: int | None = None,
    **fit_params: Any,
) -> dict[str, Any]:
    """Fit the candidates of a search that no other beats, the least disparate first.

    A search keeps one fitted model at most. This fits those on its Pareto front, on
    average over the folds, for `choose_within_budget`: fewer candidates have to share
    the probability of an error, and they are in the order that a fixed sequence needs.
    The search must not have seen the held-out samples.

    Parameters
    ----------
    search : estimator
        A fitted search with ``cv_results_``, such as
        `~sklearn.model_selection.GridSearchCV` or
        `~fairtask.AuxiliaryFairnessClassifierCV`.
    X : array-like of shape (n_samples, n_features)
        Samples to fit the candidates to: those of the search.
    y : array-like of shape (n_samples,)
        Their labels.
    performance, disparity : str, default=None
        Names of scores in ``scoring``, see `best_under_budget`. None: those that an
        `~fairtask.AuxiliaryFairnessClassifierCV` chose by. Candidates of which
        one is undefined are left out, as are those that predict one class for all
        samples of a fold.
    n_jobs : int, default=None
        Number of candidates that are fitted at once, by joblib.
    **fit_params
        Further arguments of `fit`, such as ``sensitive_features``.

    Returns
    -------
    candidates : dict of str to estimator
        Fitted candidates by the parameters in which they differ, such as "lam=0.3".

    Raises
    ------
    ValueError
        If an argument is not as described, or no candidate is left.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn.model_selection import GridSearchCV
    >>> from sklearn.tree import DecisionTreeClassifier
    >>> from fairtask.datasets import make_biased_classification
    >>> from fairtask.metrics import make_fairness_scoring
    >>> from fairtask.model_selection import fit_candidates
    >>> X, y, z = make_biased_classification(n_samples=4_000, random_state=0)
    >>> X, z = pd.DataFrame(X), pd.Series(z)
    >>> names = {"performance": "roc_auc", "disparity": "equalized_odds_difference"}
    >>> search = GridSearchCV(
    ...     DecisionTreeClassifier(random_state=0),
    ...     {"max_depth": [3, 4, 5, 8]},
    ...     scoring=make_fairness_scoring(names.values(), sensitive_features=z),
    ...     refit=False,
    ... ).fit(X, y)
    >>> list(fit_candidates(search, X, y, **names))
    ['max_depth=3', 'max_depth=5']
    """
    base = getattr(search, "estimator", None) or getattr(search, "estimator_", None)
    results = getattr(search, "cv_results_", None)
    if base is None or results is None:
        raise ValueError(
            "`search` must be a fitted search of models, with `cv_results_`; got "
            f"{search!r}."
        )
    results = read_results(results)
    if performance is None:
        performance = getattr(search, "performance", None)
    if disparity is None:
        disparity = getattr(search, "disparity", None)
    gain = read_scores(results, performance, is_disparity=False)
    cost = read_scores(results, disparity, is_disparity=True)
    points = np.column_stack([gain.means, cost.means])
    points[read_constant(results, len(points))] = np.nan
    front = np.flatnonzero(pareto_front(points, greater_is_better=[True, False]))
    if not len(front):
        raise ValueError(
            f"`search` has no candidate with defined scores of {performance!r} and "
            f"{disparity!r} that predicts several classes in each fold."
        )
    front = front[np.lexsort((gain.means[front], cost.means[front]))]
    params = [dict(results["params"][i]) for i in front]
    fitted = Parallel(n_jobs=n_jobs)(
        delayed(_fit)(base, candidate, X, y, fit_params) for candidate in params
    )
    varied = varied_parameters(results["params"])
    names = [describe(candidate, varied) for candidate in params]
    if len(set(names)) < len(names):  # rounded numbers, or a candidate given twice
        names = [f"{n}, candidate {i}" for n, i in zip(names, front, strict=True)]
    return dict(zip(names, fitted, strict=True))


def _fit(base: Any, params: dict[str, Any], X: Any, y: Any, fit_params: Any) -> Any:
    model = clone(base).set_params(**clone(params, safe=False))
    return model.fit(X, y, **fit_params)
