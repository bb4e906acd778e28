"""Performance against disparity."""

import reprlib
from collections.abc import Callable, Mapping
from numbers import Integral
from typing import Any, Self

import numpy as np
import pandas as pd

from fairtask._validation import check_bool
from fairtask.metrics._names import find_metric
from fairtask.model_selection._displays._labels import label_fronts
from fairtask.model_selection._displays._pareto_axes import draw_legend, draw_models
from fairtask.model_selection._displays._pareto_points import (
    flatten,
    name_that_needs_scores,
    points_of_predictions,
    points_of_searches,
)
from fairtask.model_selection._displays._shared import in_words, make_axes
from fairtask.model_selection._pareto import pareto_front
from fairtask.model_selection._predictions import predict_all
from fairtask.model_selection._rules import check_number
from fairtask.model_selection._scores import name_of_disparity

__all__ = ["ParetoFrontDisplay"]

COLUMNS = {
    *("method", "label"),
    *("performance", "performance_low", "performance_high"),
    *("disparity", "disparity_low", "disparity_high"),
}
"""Columns that the points must have."""


class ParetoFrontDisplay:
    """Performance against disparity, with the front of each method.

    Models that another one of the same method beats are hollow. A ring marks the one
    that was chosen. A cross marks a model that predicts one class for everybody: equal
    predictions say nothing about fairness. A candidate of a search is marked if it does
    so in a fold, see `best_under_budget`. Labels for which there is no room are left
    out. Make the display with `from_cv_results`, `from_estimators` or
    `from_predictions`.

    Parameters
    ----------
    points : DataFrame
        A row per model, with the columns "method" and "label" (strings) and
        "performance", "performance_low", "performance_high", "disparity",
        "disparity_low", "disparity_high": values and ends of the error bars, NaN for
        none. The columns "constant" and "chosen" (bool) say which get a cross and a
        ring; they may be missing.
    performance_name, disparity_name : str
        Labels of the axes.
    bars : str, default=""
        Description of the error bars.

    Attributes
    ----------
    on_front : ndarray of shape (n_models,), bool
        Models that no other model of the same method beats.
    ax_ : Axes
        The axes.
    figure_ : Figure

    Examples
    --------
    >>> import numpy as np
    >>> from fairtask.model_selection import ParetoFrontDisplay
    >>> y, z = np.tile([0, 1], 50), np.repeat([0, 1], 50)
    >>> everybody, truth = np.ones(100, dtype=int), y
    >>> display = ParetoFrontDisplay.from_predictions(
    ...     y, {"everybody": everybody, "truth": truth}, sensitive_features=z
    ... )
    >>> display.points[["label", "performance"]]
           label  performance
    0  everybody          0.5
    1      truth          1.0
    """

    def __init__(
        self,
        points: pd.DataFrame,
        *,
        performance_name: str,
        disparity_name: str,
        bars: str = "",
    ) -> None:
        missing = COLUMNS.difference(getattr(points, "columns", []))
        if not isinstance(points, pd.DataFrame) or missing:
            raise ValueError(
                f"`points` must be a DataFrame with the columns {sorted(COLUMNS)}; got "
                f"{reprlib.repr(points)}."
            )
        for argument, name in (
            ("performance_name", performance_name),
            ("disparity_name", disparity_name),
            ("bars", bars),
        ):
            if not isinstance(name, str):
                raise ValueError(f"`{argument}` must be a string; got {name!r}.")
        self.points = points
        self.performance_name = performance_name
        self.disparity_name = disparity_name
        self.bars = bars

    @property
    def on_front(self) -> np.ndarray:
        """Models that no other model of the same method beats."""
        on_front = np.zeros(len(self.points), dtype=bool)
        for method in self.points["method"].unique():
            rows = (self.points["method"] == method).to_numpy()
            values = self.points.loc[rows, ["performance", "disparity"]]
            on_front[rows] = pareto_front(values, greater_is_better=[True, False])
        return on_front

    @classmethod
    def from_cv_results(
        cls,
        cv_results: Any,
        *,
        performance: str,
        disparity: str,
        method: str | None = None,
        chosen: int | None = None,
        ax: Any = None,
        budget: float | None = None,
        show_labels: bool = True,
    ) -> Self:
        """Draw the candidates of a search, with one standard error over the folds.

        Parameters
        ----------
        cv_results : mapping or estimator
            ``cv_results_`` of a search, or a fitted search; or a dict of the names of
            methods to these.
        performance : str
            Name of a score in ``scoring``, such as "roc_auc".
        disparity : str
            Name of a difference between groups in ``scoring``, of either sign. Of a
            metric of which 1 is the best, such as a ratio, 1 minus it is drawn.
        method : str, default=None
            A parameter of the search, such as "fairness_loss". Each of its values is
            drawn as a method.
        chosen : int, default=None
            Position of a candidate to mark. None: ``best_index_`` of a search.
        ax, budget, show_labels
            See `plot`.
        """
        display = cls.of_cv_results(
            cv_results,
            performance=performance,
            disparity=disparity,
            method=method,
            chosen=chosen,
        )
        return display.plot(ax=ax, budget=budget, show_labels=show_labels)

    @classmethod
    def of_cv_results(
        cls,
        cv_results: Any,
        *,
        performance: str,
        disparity: str,
        method: str | None = None,
        chosen: Any = None,
    ) -> Self:
        """Return the display of `from_cv_results` before anything is drawn."""
        points = pd.DataFrame(
            points_of_searches(
                cv_results, performance=performance, disparity=disparity, method=method
            )
        )
        if chosen is None:
            chosen = getattr(cv_results, "best_index_", None)
        if chosen is not None:
            is_position = isinstance(chosen, Integral) and not isinstance(chosen, bool)
            if not is_position or not 0 <= chosen < len(points):
                raise ValueError(
                    f"`chosen` must be the position of one of {len(points)} "
                    f"candidates; got {chosen!r}."
                )
            points["chosen"] = np.arange(len(points)) == chosen
        return cls(
            points,
            performance_name=performance,
            disparity_name=name_of_disparity(disparity),
            bars="one standard error over the folds",
        )

    @classmethod
    def from_estimators(
        cls,
        estimators: Mapping[str, Any],
        X: Any,
        y: Any,
        *,
        sensitive_features: Any,
        performance: str = "roc_auc",
        disparity: str | Callable = "equalized_odds_difference",
        **params: Any,
    ) -> Self:
        """Draw fitted classifiers, with bootstrap intervals.

        Parameters
        ----------
        estimators : dict of str to estimator, or dict of str to such dicts
            Fitted classifiers, such as pipelines and searches, by label; or by method,
            and in each by label.
        X : array-like of shape (n_samples, n_features)
            Samples that were not used for training.
        y : array-like of shape (n_samples,)
            Their labels.
        sensitive_features, performance, disparity, **params
            See `from_predictions`.
        """
        metric = find_metric(disparity, "disparity")
        with_scores = name_that_needs_scores(performance, metric) is not None
        y_pred: dict[str, dict] = {}
        y_score: dict[str, dict] = {}
        labels = None
        for (method, label), model in flatten(estimators, "estimators").items():
            found, predicted, scores = predict_all(
                model, X, y, with_scores=with_scores, argument="estimators"
            )
            y_pred.setdefault(method, {})[label] = predicted
            y_score.setdefault(method, {})[label] = scores
            labels = found if labels is None else labels
        return cls.from_predictions(
            y,
            y_pred,
            y_score if with_scores else None,
            sensitive_features=sensitive_features,
            performance=performance,
            disparity=disparity,
            **{"labels": labels, **params},
        )

    @classmethod
    def from_predictions(
        cls,
        y_true: Any,
        y_pred: Mapping[str, Any],
        y_score: Mapping[str, Any] | None = None,
        *,
        sensitive_features: Any,
        performance: str | None = None,
        disparity: str | Callable = "equalized_odds_difference",
        n_resamples: int = 200,
        confidence_level: float = 0.95,
        random_state: Any = None,
        ax: Any = None,
        budget: float | None = None,
        show_labels: bool = True,
        **metric_params: Any,
    ) -> Self:
        """Draw predictions, with bootstrap intervals.

        Parameters
        ----------
        y_true : array-like of shape (n_samples,)
            True labels.
        y_pred : dict of str to array-like, or dict of str to such dicts
            Predicted labels by label of the model; or by method, and in each by label.
        y_score : mapping, default=None
            Scores in the same form, see `fairness_report`.
        sensitive_features : array-like of shape (n_samples,) or \
                (n_samples, n_attributes)
            Group of each sample.
        performance : {"accuracy", "roc_auc"}, default=None
            None: "roc_auc" if there are scores. For several classes it is the mean AUC
            of those that occur, each against the rest.
        disparity : str or callable, default="equalized_odds_difference"
            A metric of `fairtask.metrics`, or its name. Where 1 is the best, as for a
            ratio, 1 minus it is drawn.
        n_resamples : int, default=200
            Number of bootstrap resamples; 0 for no error bars.
        confidence_level : float, default=0.95
            Confidence level of the error bars.
        random_state : int, RandomState or None, default=None
            Seed of the resamples.
        ax, budget, show_labels
            See `plot`.
        **metric_params
            Further arguments of the metric.
        """
        if performance is None:
            performance = "accuracy" if y_score is None else "roc_auc"
        metric = find_metric(disparity, "disparity")
        points = points_of_predictions(
            y_true,
            y_pred,
            y_score,
            performance=performance,
            metric=metric,
            resampling={
                "n_resamples": n_resamples,
                "confidence_level": confidence_level,
                "random_state": random_state,
            },
            sensitive_features=sensitive_features,
            **metric_params,
        )
        display = cls(
            pd.DataFrame(points),
            performance_name=performance,
            disparity_name=name_of_disparity(metric.name),
            bars=f"{confidence_level:.0%} intervals" if n_resamples else "",
        )
        return display.plot(ax=ax, budget=budget, show_labels=show_labels)

    def plot(
        self, ax: Any = None, *, budget: float | None = None, show_labels: bool = True
    ) -> Self:
        """Draw the points and fronts.

        Parameters
        ----------
        ax : Axes, default=None
            Axes to draw in. None: make a figure.
        budget : float, default=None
            Disparity to mark with a line.
        show_labels : bool, default=True
            Whether to label the models on a front.
        """
        if budget is not None:
            check_number("budget", budget)
        check_bool("show_labels", show_labels)
        self.figure_, axes = make_axes(ax, 1, 1, size=(7.2, 4.4))
        self.ax_ = axes[0, 0]
        on_front = self.on_front
        draw_models(self.ax_, self.points, on_front)
        if budget is not None:
            self.ax_.axvline(
                budget, color="0.3", linestyle=":", label=f"budget {budget:g}", zorder=0
            )
        self.ax_.set(
            xlabel=f"{in_words(self.disparity_name)} (lower is better)",
            ylabel=f"{in_words(self.performance_name)} (higher is better)",
        )
        self.ax_.margins(0.08)
        title = f"bars: {self.bars}" if self.bars else None
        draw_legend(self.ax_, self.points, on_front, title, is_beside=ax is None)
        if show_labels:
            label_fronts(self.ax_, self.points, on_front)
        return self
