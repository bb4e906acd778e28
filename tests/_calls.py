"""Calls of public functions that work, and values that hardly any argument takes."""

import inspect
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, partial, wraps
from typing import Any

import numpy as np
import pandas as pd
import torch
from sklearn.dummy import DummyClassifier
from sklearn.preprocessing import StandardScaler
from torch import nn

from fairtask import (
    AuxiliaryFairnessClassifier,
    AuxiliaryFairnessClassifierCV,
    AuxiliaryFairnessImageClassifier,
    baselines,
    bounds,
    datasets,
    losses,
    metrics,
    model_selection,
)
from tests._inputs import make_samples

N = 24
X, Y, Z = make_samples(N, n_features=3)
TABLE = pd.DataFrame(X, columns=["a", "b", "c"])
SCORES = np.linspace(0, 1, N)
IMAGES = np.random.default_rng(0).integers(0, 255, (N, 8, 8, 3))

VALUES = {
    "None": None,
    "True": True,
    "zero": 0,
    "negative": -1,
    "fraction": 1.5,
    "large": 10**9,
    "inf": np.inf,
    "nan": np.nan,
    "complex": 1j,
    "string": "abc",
    "empty string": "",
    "bytes": b"abc",
    "date": pd.Timestamp("2020-01-01"),
    "set": {1, 2},
    "dict": {"a": 1},
    "empty dict": {},
    "empty list": [],
    "iterator": iter([1, 2]),
    "object": object(),
    "type": int,
    "function": lambda *args, **kwargs: None,
    "numbers": [1, 2, 3],
    "strings": ["a", "b"],
    "lists": [[1], [2, 3]],
    "strings per sample": ["a", "b"] * (N // 2),
    "None per sample": [None] * N,
    "sets per sample": [{1}] * N,
    "objects per sample": np.array([object()] * N),
    "mixed per sample": [1, "a"] * (N // 2),
    "bytes per sample": [b"a", b"b"] * (N // 2),
    "dates per sample": pd.date_range("2020", periods=N),
    "complex per sample": np.full(N, 1j),
    "zeros per sample": np.zeros(N),
    "negative per sample": -SCORES,
    "above one per sample": 1 + SCORES,
    "inf per sample": np.full(N, np.inf),
    "nan per sample": np.full(N, np.nan),
    "one inf": np.where(SCORES == 1, np.inf, Y),
    "one too many": np.zeros(N + 1, dtype=int),
    "dict of columns": {"a": Y, "b": Z},
    "no dimension": np.array(1),
    "no samples": np.zeros((0, 3)),
    "no columns": np.zeros((N, 0)),
    "one column": SCORES[:, None],
    "two columns": np.column_stack([Y, Z]),
    "three dimensions": np.zeros((N, 2, 2)),
    "duplicated columns": pd.DataFrame(X, columns=["a", "a", "c"]),
    "other columns": pd.DataFrame(X, columns=["a", "b", "d"]),
    "other index": pd.Series(Y, index=np.arange(N) + 1),
    "missing numbers": TABLE.where(X > 0),
}

TAKES_LONG = {
    *("lams", "cv", "max_epochs", "n_resamples", "n_samples", "n_features", "n_tasks"),
    *("hidden_layer_sizes", "adversary_hidden_layer_sizes", "image_size", "n_groups"),
    *("n_bins", "n_classes", "n_threads"),
}
"""Arguments for which a large number is no error, and takes time or memory."""

CALLED = {"augmentation", "performance", "rule"}
"""Arguments that are called with what `int` refuses: its error is the user's."""

ELSEWHERE = {"data_home", "n_jobs"}
"""Arguments that name a folder to download to, or start processes."""


@dataclass(frozen=True)
class Call:
    """A call that works.

    Calls of one `kind` that share an argument check it in one place: each of them gets
    a part of the wrong values for it.
    """

    kind: str
    name: str
    function: Callable[..., Any]
    arguments: dict[str, Any]

    def __call__(self, **changed: Any) -> None:
        quiet(self.function)(**{**self.arguments, **changed})


def quiet(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that gives no warnings."""

    @wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return function(*args, **kwargs)

    return call


def wrong_values(call: Call, calls: list[Call]) -> Iterator[tuple[str, list[str]]]:
    """Yield arguments of one of the calls, and the names of wrong values for each."""
    for argument in sorted(set(call.arguments) - ELSEWHERE):
        siblings = [
            other
            for other in calls
            if other.kind == call.kind and argument in other.arguments
        ]
        names = list(VALUES)[siblings.index(call) :: len(siblings)]
        if argument in TAKES_LONG:
            names = [name for name in names if name != "large"]
        if argument in CALLED:
            names = [name for name in names if name != "type"]
        yield argument, names


def defaults_of(function: Callable[..., Any]) -> dict[str, Any]:
    return {
        name: parameter.default
        for name, parameter in inspect.signature(function).parameters.items()
        if parameter.default is not parameter.empty
    }


def of_metrics() -> Iterator[Call]:
    for name in metrics.__all__:
        metric = getattr(metrics, name)
        if hasattr(metric, "metric"):
            outputs = {"y_pred": 1 - Y, "y_score": SCORES, "y_prob": SCORES}
            taken = inspect.signature(metric).parameters
            data = {"y_true": Y, **outputs, "sensitive_features": Z}
            arguments = {n: value for n, value in data.items() if n in taken}
            yield Call("metric", name, metric, {**defaults_of(metric), **arguments})
    data = {"y_true": Y, "sensitive_features": Z, "n_resamples": 2}
    yield Call(
        "metric",
        "bootstrap",
        metrics.bootstrap,
        {
            **defaults_of(metrics.bootstrap),
            **data,
            "metric": "equalized_odds_difference",
            "y_output": 1 - Y,
        },
    )
    yield Call(
        "metric",
        "fairness_report",
        metrics.fairness_report,
        {
            **defaults_of(metrics.fairness_report),
            **data,
            "y_pred": 1 - Y,
            "n_resamples": 0,
        },
    )
    yield Call(
        "audit",
        "audit_representation",
        metrics.audit_representation,
        {
            **defaults_of(metrics.audit_representation),
            "transformer": StandardScaler().fit(X),
            **{"X": X, "y": Y, "sensitive_features": Z},
            **{"X_test": X, "y_test": Y, "sensitive_features_test": Z},
            "heads": {"prior": DummyClassifier()},
            "n_resamples": 0,
        },
    )
    yield Call(
        "name",
        "make_group_metric",
        metrics.make_group_metric,
        {"statistic": "precision", "transform": "group_min"},
    )


def of_scorers() -> Iterator[Call]:
    settings = metrics.equalized_odds_difference.metric.settings
    bound = {name: pd.Series(Z) for name in ("sensitive_features", "control_features")}
    for name, value in {
        "metric": "equalized_odds_difference",
        "names": ["roc_auc", "equalized_odds_difference"],
    }.items():
        make = {
            "metric": metrics.make_fairness_scorer,
            "names": metrics.make_fairness_scoring,
        }[name]
        yield Call("scorer", make.__name__, make, {name: value, **bound, **settings})
    scorer = metrics.make_fairness_scorer("equalized_odds_difference")
    classifier = DummyClassifier().fit(X, Y)

    def score(**arguments: Any) -> None:
        scorer(classifier, X, arguments.pop("y_true"), **arguments)

    data = {"y_true": Y, "sensitive_features": Z, "sample_weight": None}
    yield Call("scores", "scorer", score, data)


def of_datasets() -> Iterator[Call]:
    make = datasets.make_biased_classification
    yield Call("data", make.__name__, make, defaults_of(make))


SMALL = {"max_epochs": 1, "batch_size": N, "random_state": 0}
OF_IMAGES = {
    "backbone": nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 8, 4)),
    "image_size": 8,
}
OF_SEARCH = {
    "lams": [0.3, 0.8],
    "cv": 2,
    "disparity": "demographic_parity_difference",
}


def of_estimators() -> Iterator[Call]:
    of_table = {"X": TABLE, "y": Y, "sensitive_features": Z}
    for cls, settings in {
        AuxiliaryFairnessClassifier: SMALL,
        AuxiliaryFairnessImageClassifier: SMALL | OF_IMAGES,
        baselines.AdversarialClassifier: SMALL,
        baselines.GroupSpecificClassifier: SMALL,
        baselines.RegularizedClassifier: SMALL,
        AuxiliaryFairnessClassifierCV: SMALL | OF_SEARCH,
    }.items():
        of_images = "backbone" in settings
        data = of_table | {"X": IMAGES} if of_images else of_table
        # Images have checks of their own.
        yield from of_estimator(cls, settings, data, "images" if of_images else "table")


def of_estimator(
    cls: Any, settings: dict[str, Any], data: dict[str, Any], modality: str
) -> Iterator[Call]:
    name = cls.__name__

    def construct(**parameters: Any) -> None:
        cls(**{**settings, **parameters}).fit(**data)

    def fit(**arguments: Any) -> None:
        cls(**settings).fit(**arguments)

    def validate(**arguments: Any) -> None:
        cls(**settings).fit(**data, **arguments)

    def partial_fit(**arguments: Any) -> None:
        cls(**settings).partial_fit(**arguments)

    parameters = cls().get_params() | settings
    if "lams" in parameters:  # a search takes long: its own parameters only
        others = AuxiliaryFairnessClassifier().get_params()
        parameters = {k: v for k, v in parameters.items() if k not in others}
    yield Call("parameter", name, construct, parameters)
    weighted = {**data, "sample_weight": None}
    yield Call(f"fit {modality}", f"{name}.fit", fit, weighted)
    if not hasattr(cls(**settings), "partial_fit"):
        return
    of_validation = {f"{argument}_val": value for argument, value in data.items()}
    yield Call(f"fit {modality}", f"{name}.fit of two parts", validate, of_validation)
    of_stream = {**weighted, "classes": [0, 1], "groups": [[0, 1]]}
    yield Call("part", f"{name}.partial_fit", partial_fit, of_stream)

    @cache  # once, and not where the calls are only listed
    def fitted() -> Any:
        return quiet(cls(**settings).fit)(**data)

    def evaluate(method: str, **arguments: Any) -> None:
        getattr(fitted(), method)(**arguments)

    for method in ("predict", "predict_proba", "decision_function", "transform"):
        taken = inspect.signature(getattr(cls, method)).parameters
        arguments = {n: value for n, value in data.items() if n in taken}
        function = partial(evaluate, method)
        yield Call(f"predict {modality}", f"{name}.{method}", function, arguments)
    weighted = {"X": data["X"], "y": Y, "sample_weight": None}
    function = partial(evaluate, "score")
    yield Call(f"predict {modality}", f"{name}.score", function, weighted)


RESULTS = {
    f"split{fold}_test_{name}": [0.9, 0.8]
    for fold in (0, 1)
    for name in ("roc_auc", "equalized_odds_difference")
}
SCORE_NAMES = {"performance": "roc_auc", "disparity": "equalized_odds_difference"}


def of_other_modules() -> Iterator[Call]:
    ranks = pd.DataFrame({"AUC": [0.7, 0.8], "EOD": [0.1, 0.2]}, index=["a", "b"])
    oriented = {"table": ranks, "higher_is_better": ["AUC"], "baseline": "a"}
    yield Call("rank", "mean_rank", metrics.mean_rank, oriented)
    yield Call("rank", "delta_m", metrics.delta_m, {**oriented, "reduce": "mean"})
    for name, own in {
        "best_under_budget": {"budget": 0.5, "one_standard_error": False},
        "least_disparity": {"tolerance": None},
        "knee_point": {},
    }.items():

        def choose(cv_results: Any, name: str = name, **arguments: Any) -> None:
            getattr(model_selection, name)(**arguments)(cv_results)

        yield Call("rule", name, choose, {"cv_results": RESULTS, **SCORE_NAMES, **own})
    points = {"points": np.random.default_rng(0).random((5, 2))}
    front = model_selection.pareto_front
    yield Call("front", "pareto_front", front, {**points, "greater_is_better": False})
    volume = {**points, **defaults_of(model_selection.hypervolume), "reference": [2, 2]}
    yield Call("front", "hypervolume", model_selection.hypervolume, volume)
    certified = {"sensitive_features": Z, "groups": None, "delta": 0.05}
    of_losses = {"losses": SCORES, "strata": None, **certified}
    yield Call("bound", "losses", bounds.certified_difference, of_losses)
    of_means = {"h": X, "y": Y, "min_group_size": None, **certified}
    yield Call("bound", "means", bounds.certified_mean_difference, of_means)
    sizes = {"n_samples": [50, 50], "complexities": [0.1, 0.1], "delta": 0.05}
    for name, own in {
        "generalization_slack": {},
        "discrepancy_bound": {"discrepancy": 0.1},
        "group_loss_bound": {"difference": 0.1},
        "adversarial_bound": {"error": 0.4},
        "excess_bound": {"difference": 0.1, "eta": 0.1, "lam": 0.5},
    }.items():
        yield Call("formula", name, getattr(bounds, name), {**sizes, **own})
    for name, loss in losses.FAIRNESS_LOSSES.items():
        yield Call("loss", name, loss, defaults_of(loss))
    distance = losses.GroupMeanDistance
    sizes = {"n_features": 2, "strata": torch.eye(2, dtype=torch.bool)}
    arguments = {**defaults_of(distance), **sizes}
    yield Call("loss", "GroupMeanDistance", distance, arguments)


CALLS = [
    *of_metrics(),
    *of_scorers(),
    *of_datasets(),
    *of_estimators(),
    *of_other_modules(),
]
