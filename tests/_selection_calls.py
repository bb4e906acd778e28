"""Calls that choose among models, compare them, and draw them."""

from collections.abc import Callable, Iterator
from functools import cache, partial
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.dummy import DummyClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.preprocessing import StandardScaler

from fairtask import AuxiliaryFairnessClassifier, metrics, model_selection
from tests._calls import (
    RESULTS,
    SCORE_NAMES,
    SMALL,
    TABLE,
    Call,
    X,
    Y,
    Z,
    defaults_of,
    quiet,
)

MODEL = AuxiliaryFairnessClassifier(**SMALL)
PARAMS = {"params": [{"lam": 0.3}, {"lam": 0.8}]}
SAMPLES = {"X": TABLE, "y": Y, "sensitive_features": Z}
PREDICTED = {"y_true": Y, "sensitive_features": Z}
SCORES = ("performance", "disparity")
EOD = "equalized_odds_difference"
OF_PARETO = {"budget": None, "show_labels": False}


@cache
@quiet
def model() -> AuxiliaryFairnessClassifier:
    return MODEL.fit(**SAMPLES)


@quiet
def report(y_pred: np.ndarray) -> metrics.FairnessReport:
    return metrics.fairness_report(**PREDICTED, y_pred=y_pred, n_resamples=2)


OF_AUDIT = {
    **{"X": X, "y": Y, "sensitive_features": Z},
    **{"X_test": X, "y_test": Y, "sensitive_features_test": Z},
    "heads": {"prior": DummyClassifier()},
    "n_resamples": 0,
}


@quiet
def audit() -> metrics.RepresentationAudit:
    return metrics.audit_representation(StandardScaler().fit(X), **OF_AUDIT)


def of_choices() -> Iterator[Call]:
    choose = model_selection.choose_within_budget
    arguments = {
        **defaults_of(choose),
        **SAMPLES,
        "candidates": {"a": model()},
        "budget": 0.5,
        "n_resamples": 2,
        "limit": "bootstrap",
    }
    yield Call("choice", "choose_within_budget", choose, arguments)
    search = GridSearchCV(MODEL, {"lam": [0.3, 0.8]})
    search.cv_results_ = RESULTS | PARAMS
    fit = model_selection.fit_candidates
    arguments = {"search": search, **SAMPLES, **SCORE_NAMES, "n_jobs": None}
    yield Call("fit", "fit_candidates", fit, arguments)
    compare = metrics.compare_reports
    arguments = {
        **defaults_of(compare),
        **{"before": report(Y), "after": report(1 - Y)},
        "n_resamples": 2,
    }
    yield Call("compare", "compare_reports", compare, arguments)


def drawing(display: Callable, *of_plot: str) -> Callable[..., None]:
    """Make a display, plot it with the arguments of these names, and close it."""

    def draw(**arguments: Any) -> None:
        plt.switch_backend("Agg")
        passed = {name: arguments.pop(name) for name in of_plot}
        try:
            drawn = display(**arguments)
            if of_plot:
                drawn.plot(**passed)
        finally:
            plt.close("all")

    return draw


def of_displays() -> Iterator[Call]:
    losses = model().group_history_.xs("train", axis=1, level="part")
    before, after = report(Y), report(1 - Y)
    changes = quiet(metrics.compare_reports)(before, after, n_resamples=2)
    bars = [f"{name}{end}" for name in SCORES for end in ("", "_low", "_high")]
    points = pd.DataFrame({"method": ["a", "a"], "label": ["0", "1"]})
    points = points.assign(**dict.fromkeys(bars, 0.5))
    of_points = {"performance_name": "AUC", "disparity_name": "EOD", "bars": ""}
    of_coordinates = {"classes": Y, "sensitive": pd.DataFrame({"z": Z})}
    for name, own, of_plot in (
        ("GroupLossDisplay", {"losses": losses}, {}),
        ("GroupRatesDisplay", {"report": before}, {"rates": None}),
        (
            "LatentDisplay",
            {"coordinates": X[:, :2], "method": "pca", **of_coordinates},
            {},
        ),
        ("ParetoFrontDisplay", {"points": points, **of_points}, OF_PARETO),
        ("ReportComparisonDisplay", {"comparison": changes}, {}),
        ("RepresentationDisplay", {"audit": audit()}, {"metric": EOD}),
    ):
        draw = drawing(getattr(model_selection, name), "ax", *of_plot)
        yield Call("plot", name, draw, {**own, **of_plot, "ax": None})


def of_drawings() -> Iterator[Call]:
    results = {"cv_results": RESULTS | PARAMS, "method": None, "chosen": 0}
    compared = {**OF_PARETO, "performance": "accuracy", "disparity": EOD}
    compared |= {"n_resamples": 0}
    predicted = {"y_pred": {"a": Y}, "y_score": {"a": Y}, "confidence_level": 0.95}
    of_latent = {"method": "pca", "max_samples": 2000, "random_state": 0}
    audited = partial(model_selection.RepresentationDisplay.from_estimator, **OF_AUDIT)
    losses = model_selection.GroupLossDisplay
    rates = model_selection.GroupRatesDisplay
    latent = model_selection.LatentDisplay
    pareto = model_selection.ParetoFrontDisplay
    fitted = {"estimator": model()}
    # Samples of the kinds "metric" and "audit" are checked by functions of this kind.
    for kind, draw, arguments in (
        ("draw", losses.from_estimator, {**fitted, "part": "train", "task": None}),
        ("metric", rates.from_estimator, {**fitted, **SAMPLES, "rates": None}),
        ("metric", rates.from_predictions, {**PREDICTED, "y_pred": Y, "rates": None}),
        ("draw", latent.from_estimator, {**fitted, **SAMPLES, **of_latent}),
        ("audit", audited, {"estimator": StandardScaler().fit(X), "X": X}),
        ("draw", pareto.from_cv_results, {**results, **SCORE_NAMES, **OF_PARETO}),
        (
            "draw",
            pareto.from_estimators,
            {"estimators": {"a": model()}, **SAMPLES, **compared},
        ),
        ("draw", pareto.from_predictions, {**PREDICTED, **predicted, **compared}),
    ):
        name = getattr(draw, "func", draw).__qualname__
        yield Call(kind, name, drawing(draw), {**arguments, "ax": None})


SELECTION_CALLS = [*of_choices(), *of_displays(), *of_drawings()]
