"""Performance against disparity."""

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
import pandas as pd
from sklearn.utils.validation import check_is_fitted

from fairtask.metrics._difference import DIFFERENCES, check_metric
from fairtask.model_selection._displays._pareto_points import (
    by_method,
    points_of_predictions,
    points_of_searches,
)
from fairtask.model_selection._displays._shared import (
    BESIDE,
    MAX_NAMED,
    class_scores,
    make_axes,
    styles,
)
from fairtask.model_selection._pareto import pareto_front

__all__ = ["ParetoFrontDisplay"]


class ParetoFrontDisplay:
    """Performance against disparity, with the front of each method.

    It is made by `from_cv_results`, `from_estimators` or `from_predictions`.

    Parameters
    ----------
    points : DataFrame
        A row per model, with the columns "method" and "label" (strings) and
        "performance", "performance_low", "performance_high", "disparity",
        "disparity_low", "disparity_high": values and ends of the error bars, NaN for
        none.
    performance_name, disparity_name : str
        For the axes.
    bars : str, default=""
        What the error bars are.

    Attributes
    ----------
    on_front : ndarray of shape (n_models,), bool
        Models that no other model of the same method beats.
    ax_ : Axes
        Where it was drawn.
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
        cv_results: Mapping[str, Any],
        *,
        performance: str,
        disparity: str,
        method: str | None = None,
        ax: Any = None,
        budget: float | None = None,
        show_labels: bool = True,
    ) -> Self:
        """Draw the candidates of a search, with one standard error over the folds.

        Parameters
        ----------
        cv_results : mapping
            ``cv_results_`` of a search, or a dict of the names of methods to these.
        performance : str
            Name of a score in ``scoring``, such as "roc_auc".
        disparity : str
            Name of a difference between groups in ``scoring``, of either sign.
        method : str, default=None
            A parameter of the search, such as "fairness_loss", whose values are drawn
            as methods of their own.
        ax, budget, show_labels
            See `plot`.

        Returns
        -------
        display : ParetoFrontDisplay
        """
        points = points_of_searches(
            cv_results, performance=performance, disparity=disparity, method=method
        )
        display = cls(
            points,
            performance_name=performance,
            disparity_name=disparity,
            bars="one standard error over the folds",
        )
        return display.plot(ax=ax, budget=budget, show_labels=show_labels)

    @classmethod
    def from_estimators(
        cls,
        estimators: Mapping[str, Any],
        X: Any,
        y: Any,
        *,
        sensitive_features: Any,
        performance: str = "roc_auc",
        disparity: str = "equalized_odds_difference",
        n_resamples: int = 200,
        confidence_level: float = 0.95,
        random_state: Any = None,
        ax: Any = None,
        budget: float | None = None,
        show_labels: bool = True,
        **metric_params: Any,
    ) -> Self:
        """Draw fitted classifiers, with bootstrap intervals.

        Parameters
        ----------
        estimators : dict of str to estimator, or dict of str to such dicts
            Fitted classifiers by label; or by method, and in each by label.
        X : array-like of shape (n_samples, n_features)
            Samples that were not used for training.
        y : array-like of shape (n_samples,)
            Their labels.
        sensitive_features : array-like of shape (n_samples,) or \
                (n_samples, n_attributes)
            Group of each sample.
        performance, disparity, n_resamples, confidence_level, random_state, ax, \
                budget, show_labels, **metric_params
            See `from_predictions`.

        Returns
        -------
        display : ParetoFrontDisplay
        """
        y_pred: dict[str, dict] = {}
        y_score: dict[str, dict] = {}
        needs_scores = (
            performance == "roc_auc"
            or DIFFERENCES[check_metric(disparity)].output != "y_pred"
        )
        for method, models in by_method(estimators, "estimators").items():
            y_pred[method], y_score[method] = {}, {}
            for label, model in models.items():
                check_is_fitted(model)
                classes = getattr(model, "classes_", None)
                if isinstance(classes, np.ndarray):  # those of `y` may be fewer
                    metric_params.setdefault("labels", classes)
                y_pred[method][label] = model.predict(X)
                if needs_scores:
                    y_score[method][label] = class_scores(model, X)
        return cls.from_predictions(
            y,
            y_pred,
            y_score if needs_scores else None,
            sensitive_features=sensitive_features,
            performance=performance,
            disparity=disparity,
            n_resamples=n_resamples,
            confidence_level=confidence_level,
            random_state=random_state,
            ax=ax,
            budget=budget,
            show_labels=show_labels,
            **metric_params,
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
        disparity: str = "equalized_odds_difference",
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
            None: "roc_auc" if there are scores. Of several classes the mean AUC of
            those that occur, each against the rest.
        disparity : str, default="equalized_odds_difference"
            A difference metric of `fairtask.metrics`.
        n_resamples : int, default=200
            Number of bootstrap resamples; 0 for no error bars.
        confidence_level : float, default=0.95
            Of the error bars.
        random_state : int, RandomState or None, default=None
            Seed of the resamples.
        ax, budget, show_labels
            See `plot`.
        **metric_params
            Further arguments of the difference metric.

        Returns
        -------
        display : ParetoFrontDisplay
        """
        if performance is None:
            performance = "accuracy" if y_score is None else "roc_auc"
        points = points_of_predictions(
            y_true,
            y_pred,
            y_score,
            performance=performance,
            disparity=disparity,
            n_resamples=n_resamples,
            confidence_level=confidence_level,
            random_state=random_state,
            sensitive_features=sensitive_features,
            **metric_params,
        )
        display = cls(
            points,
            performance_name=performance,
            disparity_name=disparity,
            bars=f"{confidence_level:.0%} intervals" if n_resamples else "",
        )
        return display.plot(ax=ax, budget=budget, show_labels=show_labels)

    def plot(
        self, ax: Any = None, *, budget: float | None = None, show_labels: bool = True
    ) -> Self:
        """Draw it.

        Parameters
        ----------
        ax : Axes, default=None
            Where to draw. None: in a new figure.
        budget : float, default=None
            Disparity to mark with a line.
        show_labels : bool, default=True
            Whether the models on a front are labelled.

        Returns
        -------
        display : ParetoFrontDisplay
        """
        self.figure_, axes = make_axes(ax, 1, 1, size=(7.2, 4.4))
        self.ax_ = axes[0, 0]
        on_front = self.on_front
        methods = self.points["method"].unique()
        for i, (method, style) in enumerate(
            zip(methods, styles(len(methods)), strict=True)
        ):
            rows = (self.points["method"] == method).to_numpy()
            self._plot_method(self.points[rows], on_front[rows], method, style)
            if show_labels:
                # Below and above in turn: fronts often lie on each other.
                self._label_front(self.points[rows & on_front], below=i % 2 == 0)
        if budget is not None:
            self.ax_.axvline(
                budget, color="0.3", linestyle=":", label=f"budget {budget:g}", zorder=0
            )
        self.ax_.set(
            xlabel=f"{_words(self.disparity_name)} (lower is better)",
            ylabel=f"{_words(self.performance_name)} (higher is better)",
        )
        self.ax_.margins(0.08)
        # Beside the axes only in a figure of its own.
        place: dict = {} if ax is not None else BESIDE
        self.ax_.legend(
            title=f"bars: {self.bars}" if self.bars else None,
            title_fontsize="small",
            fontsize="small",
            **place,
        )
        return self

    def _label_front(self, front: pd.DataFrame, *, below: bool) -> None:
        """Label the points of a front, evenly some of many."""
        front = front.sort_values("disparity")
        n_labels = min(len(front), MAX_NAMED)
        for i in np.linspace(0, len(front) - 1, n_labels).round().astype(int):
            point = front.iloc[i]
            self.ax_.annotate(
                point["label"],
                (point["disparity"], point["performance"]),
                textcoords="offset points",
                xytext=(5, -10) if below else (-5, 6),
                ha="left" if below else "right",
                fontsize=7,
            )

    def _plot_method(
        self, points: pd.DataFrame, on_front: np.ndarray, method: str, style: dict
    ) -> None:
        x, y = points["disparity"].to_numpy(), points["performance"].to_numpy()
        errors = {}
        for name, kind in (("xerr", "disparity"), ("yerr", "performance")):
            ends = points[[f"{kind}_low", f"{kind}_high"]].to_numpy().T
            errors[name] = np.nan_to_num(np.abs(ends - points[kind].to_numpy()))
        self.ax_.errorbar(
            x, y, **errors, fmt="none", ecolor=style["color"], elinewidth=0.6, alpha=0.6
        )
        front = np.flatnonzero(on_front)[np.argsort(x[on_front], kind="stable")]
        self.ax_.plot(
            x[front], y[front], markersize=7, label=method, linewidth=1, **style
        )
        self.ax_.plot(
            x[~on_front],
            y[~on_front],
            **{**style, "linestyle": "none"},
            markersize=6,
            markerfacecolor="white",
            zorder=1,
        )


def _words(name: str) -> str:
    return {"roc_auc": "AUC"}.get(name, name.replace("_", " "))
