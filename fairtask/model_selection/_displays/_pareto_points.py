"""Performance and disparity of models, with the ends of their error bars."""

from collections.abc import Iterator, Mapping
from typing import Any, cast

import numpy as np
import pandas as pd

from fairtask._validation import check_one_of
from fairtask.metrics import BootstrapResult, bootstrap
from fairtask.metrics._bootstrap import check_resampling, make_generator
from fairtask.metrics._comparison import Comparison
from fairtask.metrics._difference import (
    DIFFERENCES,
    check_metric,
    make_difference,
    nan_reduce,
)
from fairtask.metrics._group_statistics import GroupAUCs, GroupRates
from fairtask.metrics._statistics import GroupStatistics
from fairtask.model_selection._scores import read_scores

__all__ = ["by_method", "points_of_predictions", "points_of_searches"]

COLUMNS = [
    "performance",
    "performance_low",
    "performance_high",
    "disparity",
    "disparity_low",
    "disparity_high",
]


def points_of_searches(
    cv_results: Mapping[str, Any],
    *,
    performance: str,
    disparity: str,
    method: str | None,
) -> pd.DataFrame:
    """Return the candidates, with one standard error over the folds.

    The arguments are those of `ParetoFrontDisplay.from_cv_results`.
    """
    if not isinstance(cv_results, Mapping):
        raise ValueError(
            "`cv_results` must be `cv_results_` of a search, or a dict of these; got "
            f"{type(cv_results).__name__}."
        )
    searches = {"": cv_results} if "params" in cv_results else dict(cv_results)
    rows = []
    for name, results in searches.items():
        if "params" not in results:
            raise ValueError(
                "`cv_results` must be `cv_results_` of a search, or a dict of "
                f"these; got {type(results).__name__} for {name!r}."
            )
        scores = {
            "performance": read_scores(results, performance, is_disparity=False),
            "disparity": read_scores(results, disparity, is_disparity=True),
        }
        errors = {
            kind: score.standard_errors()
            if np.isfinite(score.folds).sum(axis=1).max() > 1
            else np.full(len(score.means), np.nan)
            for kind, score in scores.items()
        }
        params = results["params"]
        searched = list(dict.fromkeys(p for candidate in params for p in candidate))
        if method is not None and method not in searched:
            raise ValueError(
                f"`method` must be a parameter of the search, one of {searched}; got "
                f"{method!r}."
            )
        varied = [p for p in searched if len({repr(c.get(p)) for c in params}) > 1]
        shown = [p for p in varied if p != method]
        for i, candidate in enumerate(params):
            parts = [name] if name else []
            if method is not None:
                parts.append(str(candidate.get(method)))
            row = {
                "method": ", ".join(parts) or "candidates",
                "label": _label(candidate, shown),
            }
            for kind, score in scores.items():
                mean, error = score.means[i], errors[kind][i]
                row |= {
                    kind: mean,
                    f"{kind}_low": mean - error,
                    f"{kind}_high": mean + error,
                }
            rows.append(row)
    return pd.DataFrame(rows)


def points_of_predictions(
    y_true: Any,
    y_pred: Any,
    y_score: Any,
    *,
    performance: str,
    disparity: str,
    n_resamples: int,
    confidence_level: float,
    random_state: Any,
    **metric_params: Any,
) -> pd.DataFrame:
    """Return the models, with bootstrap intervals.

    The arguments are those of `ParetoFrontDisplay.from_predictions`.
    """
    check_one_of("performance", performance, ("accuracy", "roc_auc"))
    output = DIFFERENCES[check_metric(disparity)].output
    if y_score is None and (performance == "roc_auc" or output != "y_pred"):
        needs = performance if performance == "roc_auc" else disparity
        raise ValueError(f"`y_score` must be given for {needs!r}; got None.")
    if metric_params.get("attributes") == "each":
        raise ValueError(
            "`attributes` must give one number per model, 'worst_case' or "
            "'intersection'; got 'each'."
        )
    check_resampling(n_resamples, confidence_level, smallest=0)
    resampling = {
        "n_resamples": n_resamples,
        "confidence_level": confidence_level,
        "random_state": random_state,
    }
    labelling = {
        name: value
        for name, value in metric_params.items()
        if name in ("sample_weight", "pos_label", "labels")
    }
    rows = []
    for method, label, predicted, scores in _pairs(y_pred, y_score):
        gain = _performance(
            performance, y_true, predicted, scores, labelling, **resampling
        )
        cost = _disparity(
            disparity,
            y_true,
            predicted if output == "y_pred" else scores,
            metric_params,
            **resampling,
        )
        values = dict(zip(COLUMNS, [*gain, *cost], strict=True))
        rows.append({"method": method or "models", "label": label, **values})
    return pd.DataFrame(rows)


def _performance(
    name: str,
    y_true: Any,
    y_pred: Any,
    y_score: Any,
    labelling: Mapping[str, Any],
    *,
    n_resamples: int,
    confidence_level: float,
    random_state: Any,
) -> list[float]:
    """Performance over all samples, and its interval."""
    one_group = np.zeros(len(np.asarray(y_true)), dtype=np.int64)
    if name == "accuracy":  # of all classes
        labelling = {k: v for k, v in labelling.items() if k != "pos_label"}
    data = Comparison.encode(
        y_true,
        y_pred,
        sensitive_features=one_group,
        has_positive=name != "accuracy",
        **labelling,
    )
    statistics: GroupStatistics
    if name == "accuracy":
        statistics = GroupRates(data, ["accuracy"])
    else:
        statistics = GroupAUCs(data, data.scores(y_score, "y_score"))
    # One group; over the classes that occur.
    value = float(nan_reduce(np.mean, statistics.observed()[0][:, 0]))
    if not n_resamples:
        return [value, np.nan, np.nan]
    (resampled,) = statistics.resampled(n_resamples, make_generator(random_state))
    tail = (1 - confidence_level) / 2
    means = nan_reduce(np.mean, resampled[:, :, 0])
    return [value, *np.nanquantile(means, [tail, 1 - tail]).tolist()]


def _disparity(
    metric: str,
    y_true: Any,
    y_output: Any,
    arguments: Mapping[str, Any],
    *,
    n_resamples: int,
    **resampling: Any,
) -> list[float]:
    """Difference between groups, and its interval."""
    if not n_resamples:
        value = make_difference(metric, y_true, y_output, **arguments).value()
        return [cast(float, value), np.nan, np.nan]
    result = bootstrap(
        metric, y_true, y_output, n_resamples=n_resamples, **resampling, **arguments
    )
    assert isinstance(result, BootstrapResult)
    return [result.value, result.low, result.high]


def _pairs(y_pred: Any, y_score: Any) -> Iterator[tuple[str, str, Any, Any]]:
    """Yield method, label, predicted labels and scores of each model."""
    nested = by_method(y_pred, "y_pred")
    nested_scores = None if y_score is None else by_method(y_score, "y_score")
    for method, models in nested.items():
        for label, predicted in models.items():
            if nested_scores is None:
                yield method, label, predicted, None
                continue
            if label not in nested_scores.get(method, {}):
                raise ValueError(
                    "`y_score` must have the labels of `y_pred`; it lacks "
                    f"{label!r}{f' of {method!r}' if method else ''}."
                )
            yield method, label, predicted, nested_scores[method][label]


def by_method(models: Any, name: str) -> dict[str, dict]:
    """Return models by method and label; one method of no name if there are none."""
    if not isinstance(models, Mapping) or not models:
        raise ValueError(
            f"`{name}` must be a dict of labels, or of methods to such dicts; got "
            f"{type(models).__name__}."
        )
    are_methods = [isinstance(model, Mapping) for model in models.values()]
    if all(are_methods):
        return {method: dict(labels) for method, labels in models.items()}
    if any(are_methods):
        raise ValueError(
            f"`{name}` must hold dicts for all methods or for none; got both."
        )
    return {"": dict(models)}


def _label(candidate: Mapping[str, Any], shown: list[str]) -> str:
    """Names and values of the parameters that vary."""
    return ", ".join(
        f"{name.rpartition('__')[2]}={f'{v:.3g}' if isinstance(v, float) else v}"
        for name, v in candidate.items()
        if name in shown
    )
