"""Performance and disparity of models, with the ends of their error bars."""

import reprlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

import numpy as np

from fairtask._columns import as_column
from fairtask._validation import check_one_of
from fairtask.metrics import BootstrapResult, bootstrap
from fairtask.metrics._bootstrap import check_resampling, make_generator
from fairtask.metrics._group_metric import GroupMetric
from fairtask.metrics._rates import ACCURACY, GroupRates
from fairtask.metrics._resampling import resample
from fairtask.metrics._samples import GroupedSamples
from fairtask.metrics._scores import ROC_AUC, GroupAUCs
from fairtask.metrics._statistics import GroupStatistics
from fairtask.metrics._transforms import nan_mean
from fairtask.model_selection._scores import (
    Scores,
    check_one_number,
    describe,
    is_best_at_one,
    read_constant,
    read_results,
    read_scores,
    varied_parameters,
)

__all__ = [
    "flatten",
    "name_that_needs_scores",
    "points_of_predictions",
    "points_of_searches",
]

Point = dict[str, Any]


def points_of_searches(
    cv_results: Any, *, performance: str, disparity: str, method: str | None
) -> Iterator[Point]:
    """Yield the candidates, with one standard error over the folds.

    The arguments are those of `ParetoFrontDisplay.from_cv_results`.
    """
    cv_results = getattr(cv_results, "cv_results_", cv_results)
    searches = {"": cv_results} if _is_search(cv_results) else cv_results
    if (
        not isinstance(searches, Mapping)
        or not searches
        or not all(map(_is_search, searches.values()))
    ):
        raise ValueError(
            "`cv_results` must be a search or its `cv_results_`, or a dict of these; "
            f"got {reprlib.repr(cv_results)}."
        )
    for name, search in searches.items():
        results = read_results(search)
        gains = _with_errors(read_scores(results, performance, is_disparity=False))
        costs = _with_errors(read_scores(results, disparity, is_disparity=True))
        params = results["params"]
        constant = read_constant(results, len(params))
        searched = list(dict.fromkeys(p for candidate in params for p in candidate))
        if method is not None and not (isinstance(method, str) and method in searched):
            raise ValueError(
                f"`method` must be a parameter of the search, one of {searched}; got "
                f"{method!r}."
            )
        shown = [p for p in varied_parameters(params) if p != method]
        for candidate, gain, cost, is_constant in zip(
            params, gains, costs, constant, strict=True
        ):
            methods = [name] if name else []
            if method is not None:
                methods.append(str(candidate.get(method)))
            name_of_method = ", ".join(methods) or "candidates"
            label = describe(candidate, shown)
            yield _point(name_of_method, label, gain, cost, is_constant)


def points_of_predictions(
    y_true: Any,
    y_pred: Any,
    y_score: Any,
    *,
    performance: str,
    metric: GroupMetric,
    resampling: Mapping[str, Any],
    **metric_params: Any,
) -> Iterator[Point]:
    """Yield the models, with bootstrap intervals.

    The arguments are those of `ParetoFrontDisplay.from_predictions`; `metric` is the
    disparity, and `resampling` holds ``n_resamples``, ``confidence_level`` and
    ``random_state``.
    """
    needs_scores = name_that_needs_scores(performance, metric)
    if y_score is None and needs_scores:
        raise ValueError(f"`y_score` must be given for {needs_scores!r}; got None.")
    check_one_number(metric_params)
    check_resampling(
        resampling["n_resamples"], resampling["confidence_level"], smallest=0
    )
    scores = {} if y_score is None else flatten(y_score, "y_score")
    for (method, label), predicted in flatten(y_pred, "y_pred").items():
        if y_score is not None and (method, label) not in scores:
            raise ValueError(
                "`y_score` must have the labels of `y_pred`; it lacks "
                f"{label!r}{f' of {method!r}' if method else ''}."
            )
        score = scores.get((method, label))
        samples = _pooled(performance, y_true, predicted, score, **metric_params)
        gain = _performance(performance, samples, resampling)
        output = predicted if metric.family.output == "y_pred" else score
        cost = _disparity(metric, y_true, output, resampling, **metric_params)
        yield _point(method or "models", label, gain, cost, samples.is_constant)


def name_that_needs_scores(performance: str, metric: GroupMetric) -> str | None:
    """Return the performance or metric that is computed from scores, or None."""
    check_one_of("performance", performance, ("accuracy", "roc_auc"))
    if performance == "roc_auc":
        return performance
    return metric.name if metric.family.output != "y_pred" else None


def flatten(models: Any, argument: str) -> dict[tuple[str, str], Any]:
    """Return models by method and label; without methods, under an empty method."""
    if not isinstance(models, Mapping) or not models:
        raise ValueError(
            f"`{argument}` must be a dict of labels, or of methods to such dicts; got "
            f"{type(models).__name__}."
        )
    are_methods = {isinstance(model, Mapping) for model in models.values()}
    if len(are_methods) > 1:
        raise ValueError(
            f"`{argument}` must hold dicts for all methods or for none; got both."
        )
    return {
        (method, label): model
        for method, labels in (models if True in are_methods else {"": models}).items()
        for label, model in labels.items()
    }


def _pooled(
    performance: str, y_true: Any, y_pred: Any, y_score: Any, **metric_params: Any
) -> GroupedSamples:
    """Return the samples as one group."""
    n_samples = len(as_column(y_true, "y_true"))
    taken = {"sample_weight", "labels"}
    if performance == "roc_auc":  # accuracy does not depend on the positive class
        taken.add("pos_label")
    return GroupedSamples.encode(
        y_true,
        {"y_pred": y_pred, "y_score": y_score},
        sensitive_features=np.zeros(n_samples, dtype=np.int64),  # one group
        needs_positive=performance == "roc_auc",
        **{key: value for key, value in metric_params.items() if key in taken},
    )


def _performance(
    name: str, samples: GroupedSamples, resampling: Mapping[str, Any]
) -> tuple[float, float, float]:
    """Performance over all samples, and the ends of its interval."""
    statistics: GroupStatistics = GroupRates(samples, [ACCURACY])
    if name == "roc_auc":
        statistics = GroupAUCs(samples, [ROC_AUC])
    # Of several classes the mean over those that occur.
    value = float(nan_mean(statistics.observed[:, 0]))
    if not resampling["n_resamples"]:
        return value, np.nan, np.nan
    generator = make_generator(resampling["random_state"])
    resampled = resample(statistics, resampling["n_resamples"], generator)
    tail = (1 - resampling["confidence_level"]) / 2
    means = nan_mean(resampled[:, :, 0])
    low, high = np.nanquantile(means, [tail, 1 - tail]).tolist()
    return value, low, high


def _disparity(
    metric: GroupMetric,
    y_true: Any,
    y_output: Any,
    resampling: Mapping[str, Any],
    **metric_params: Any,
) -> tuple[float, float, float]:
    """Disparity of the groups, and the ends of its interval."""
    low = high = np.nan
    if resampling["n_resamples"]:
        result = bootstrap(metric.name, y_true, y_output, **resampling, **metric_params)
        assert isinstance(result, BootstrapResult)
        value, low, high = result.value, result.low, result.high
    else:
        value = cast(float, metric.compare(y_true, y_output, **metric_params).value())
    if is_best_at_one(metric.name):
        return 1 - value, 1 - high, 1 - low
    return value, low, high


def _is_search(value: Any) -> bool:
    value = getattr(value, "cv_results_", value)
    return isinstance(value, Mapping) and "params" in value


def _with_errors(scores: Scores) -> np.ndarray:
    """Return mean, and mean minus and plus one standard error, of each candidate."""
    errors = np.full(len(scores.means), np.nan)
    if np.isfinite(scores.folds).sum(axis=1).max() > 1:
        errors = scores.standard_errors()
    return np.column_stack([scores.means, scores.means - errors, scores.means + errors])


def _point(
    method: str,
    label: str,
    performance: Sequence[float],
    disparity: Sequence[float],
    is_constant: bool,
) -> Point:
    """Return a row of `ParetoFrontDisplay.points`."""
    point: Point = {"method": method, "label": label, "constant": is_constant}
    for kind, values in (("performance", performance), ("disparity", disparity)):
        columns = kind, f"{kind}_low", f"{kind}_high"
        point |= dict(zip(columns, values, strict=True))
    return point
