"""Predictions and scores of any fitted classifier, also inside pipelines."""

from typing import Any

import numpy as np
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from fairtask._validation import named_in_errors
from fairtask.metrics._class_labels import labels_of_model

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
    estimator: Any, X: Any, y: Any, *, with_scores: bool, argument: str
) -> tuple[list | None, Any, Any]:
    """Return all classes, the predictions of a fitted classifier and its scores.

    Scores are probabilities, or decision values where there are no probabilities; None
    without `with_scores`. The classes are those of the classifier and of `y`, None for
    a classifier of several tasks. `argument` has the classifier, for error messages.
    """
    with named_in_errors(argument):
        check_is_fitted(estimator)
        if not hasattr(estimator, "predict"):
            raise ValueError(
                "a model must be a classifier with `predict`, and a search must have "
                f"refitted one; got {estimator!r}."
            )
    classes = getattr(estimator, "classes_", None)
    labels = labels_of_model(classes, y, with_scores=with_scores)
    scores = None
    if with_scores and hasattr(estimator, "predict_proba"):
        scores = estimator.predict_proba(X)
    elif with_scores:
        scores = np.asarray(estimator.decision_function(X))
        if scores.ndim == 1:
            scores = np.column_stack([-scores, scores])
    return labels, estimator.predict(X), scores
