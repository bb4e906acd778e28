"""Warnings that point at the user's line."""

import inspect
import warnings

__all__ = ["warn_user"]


def warn_user(category: type[Warning], message: str) -> None:
    """Warn at the line outside of this package, scikit-learn and joblib that led here.

    In several threads or processes there may be none: then at the outermost line.
    """
    frame, level = inspect.currentframe(), 0
    while frame is not None and frame.f_globals.get("__name__", "").split(".")[0] in (
        "fairtask",
        "joblib",
        "sklearn",
    ):
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level + 1)
