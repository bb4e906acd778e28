"""Fits and scores on the folds of a search over `lam`."""

import inspect
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from scipy.stats import rankdata
from sklearn.utils import _safe_indexing

__all__ = ["cv_results", "score_fold"]


def score_fold(
    search: Any,
    lams: Sequence[float],
    scoring: dict[str, Callable],
    train_rows: np.ndarray,
    test_rows: np.ndarray,
    **data: Any,
) -> dict[str, list[float]]:
    """Fit on the training rows of a fold, and score on its test rows.

    Parameters
    ----------
    search : LamSearch
        It fits an estimator for each `lam`.
    lams : sequence of float
    scoring : dict of str to callable
        Scorers by name.
    train_rows, test_rows : ndarray
    **data
        Arguments of `fit`.

    Returns
    -------
    results : dict of str to list of float
        A value for each `lam`: of each score, NaN where the training diverged, and the
        mean times, ``fit_time`` and ``score_time``.
    """
    train, test = _cut(data, train_rows), _cut(data, test_rows)
    start = time.perf_counter()
    models = search._fit_all(lams, train)
    middle = time.perf_counter()
    for model in models:
        if model is not None:  # several scorers ask for the same predictions
            model._logits = _remember(model._logits)
    results = {name: _score(models, scorer, test) for name, scorer in scoring.items()}
    end = time.perf_counter()
    n = len(lams)
    results["fit_time"] = [(middle - start) / n] * n
    results["score_time"] = [(end - middle) / n] * n
    return results


def _score(
    models: Sequence[Any], scorer: Callable, test: dict[str, Any]
) -> list[float]:
    """Return the score of each model, NaN where there is none."""
    groups = {}
    if "sensitive_features" in inspect.signature(scorer).parameters:
        groups["sensitive_features"] = test["sensitive_features"]
    return [
        np.nan if model is None else scorer(model, test["X"], test["y"], **groups)
        for model in models
    ]


def _cut(data: dict[str, Any], rows: np.ndarray) -> dict[str, Any]:
    """Return these rows of all arguments of `fit`; validation samples stay whole."""
    return {
        name: part if name.endswith("_val") else _safe_indexing(part, rows)
        for name, part in data.items()
    }


def _remember(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function of samples that computes its result for the last ones once."""
    last: dict[str, Any] = {}

    def remembered(X: Any, *args: Any) -> Any:
        if "X" not in last or last["X"] is not X:
            last.update(X=X, result=function(X, *args))
        return last["result"]

    return remembered


def cv_results(
    lams: Sequence[float], names: Sequence[str], folds: list[dict[str, list[float]]]
) -> dict[str, Any]:
    """Return the results by the names that `GridSearchCV` gives them."""
    results: dict[str, Any] = {}
    for name in ("fit_time", "score_time"):
        times = np.array([fold[name] for fold in folds])
        results[f"mean_{name}"] = times.mean(axis=0)
        results[f"std_{name}"] = times.std(axis=0)
    results["param_lam"] = np.ma.MaskedArray(lams, mask=False)
    results["params"] = [{"lam": lam} for lam in lams]
    for name in names:
        scores = np.array([fold[name] for fold in folds])
        for k, of_fold in enumerate(scores):
            results[f"split{k}_test_{name}"] = of_fold
        mean = scores.mean(axis=0)
        results[f"mean_test_{name}"] = mean
        results[f"std_test_{name}"] = scores.std(axis=0)
        ranked = np.where(np.isnan(mean), -np.inf, mean)
        results[f"rank_test_{name}"] = rankdata(-ranked, method="min").astype(np.int32)
    return results
