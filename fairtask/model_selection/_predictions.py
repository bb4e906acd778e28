"""Predictions and scores of any fitted classifier, also inside pipelines."""

from typing import Any

import numpy as np
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from fairtask._validation import named_in_errors

__all__ = ["last_step", "predict_all"]


def last_step(estimator: Any) -> Any:
    """Return the estimator that a search has refitted, or the last of a pipeline."""
    while True:
        if hasattr(estimator, "best_estimator_"):
            estimator = estimator.best_estimator_
        elif isinstance(estimator, Pipeline):
            estimator = estimator[-1]
        else:
            return estimator


def predict_all(
    estimator: Any, X: Any, *, with_scores: bool, argument: str
) -> tuple[np.ndarray | None, Any, Any]:
    """Return the classes of a fitted classifier, its predictions and its scores.

    Scores are probabilities, or decision values where there are no probabilities; None
    without `with_scores`. The classes are None for a classifier of several tasks.
    `argument` has the classifier, for error messages.
    """
    with named_in_errors(argument):
        check_is_fitted(estimator)
        if not hasattr(estimator, "predict"):
            raise ValueError(
                "a model must be a classifier with `predict`, and a search must have "
                f"refitted one; got {estimator!r}."
            )
    classes = getattr(estimator, "classes_", None)
    scores = None
    if with_scores and hasattr(estimator, "predict_proba"):
        scores = estimator.predict_proba(X)
    elif with_scores:
        scores = np.asarray(estimator.decision_function(X))
        if scores.ndim == 1:
            scores = np.column_stack([-scores, scores])
    return (
        classes if isinstance(classes, np.ndarray) else None,
        estimator.predict(X),
        scores,
    )
