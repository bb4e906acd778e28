"""Predictions and scores of any fitted classifier."""

from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

__all__ = ["predict_all"]


def predict_all(
    estimator: Any, X: Any, *, with_scores: bool
) -> tuple[np.ndarray | None, Any, Any]:
    """Return the classes of a fitted classifier, its predictions and its scores.

    Scores are probabilities, or decision values where there are no probabilities; None
    without `with_scores`. The classes are None for a classifier of several tasks.
    """
    check_is_fitted(estimator)
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
