"""Performance against disparity."""

from collections.abc import Iterator, Mapping
from typing import Any, Self, cast

import numpy as np
import pandas as pd
from sklearn.utils.validation import check_is_fitted

from fairtask.metrics import BootstrapResult, bootstrap
from fairtask.metrics._bootstrap import check_resampling, make_generator
from fairtask.metrics._comparison import Comparison, check_one_of
from fairtask.metrics._difference import DIFFERENCES, check_metric, make_difference
from fairtask.metrics._report import limits
from fairtask.metrics._statistics import GroupAUCs, GroupRates
from fairtask.model_selection._displays._style import make_axes, styles
from fairtask.model_selection._pareto import pareto_front
from fairtask.model_selection._selection import read_scores

__all__ = ["ParetoFrontDisplay"]

COLUMNS = [
    "performance",
    "performance_low",
    "performance_high",
    "disparity",
    "disparity_low",
    "disparity_high",
]


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
        **plot_params: Any,
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
        ax : Axes, default=None
            Where to draw. None: in a new figure.
        **plot_params
            For `plot`.

        Returns
        -------
        display : ParetoFrontDisplay
        """
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
            params = results["params"]
            varied = [p for p in params[0] if len({repr(c.get(p)) for c in params}) > 1]
            if method is not None and method not in params[0]:
                raise ValueError(
                    f"`method` must be a parameter of the search, one of "
                    f"{list(params[0])}; got {method!r}."
                )
            shown = [p for p in varied if p != method]
            for i, candidate in enumerate(params):
                parts = [name] if name else []
                if method is not None:
                    parts.append(str(candidate[method]))
                row = {
                    "method": ", ".join(parts) or "candidates",
                    "label": _label(candidate, shown),
                }
                for kind, score in scores.items():
                    error = np.nan
                    if np.isfinite(score.folds).sum(axis=1).max() > 1:
                        error = score.standard_errors(kind)[i]
                    mean = score.means[i]
                    row |= {
                        kind: mean,
                        f"{kind}_low": mean - error,
                        f"{kind}_high": mean + error,
                    }
                rows.append(row)
        display = cls(
            pd.DataFrame(rows),
            performance_name=performance,
            disparity_name=disparity,
            bars="one standard error over the folds",
        )
        return display.plot(ax=ax, **plot_params)

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
        plot_params: Mapping[str, Any] | None = None,
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
                plot_params, **metric_params
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
        for method, models in _nested(estimators, "estimators").items():
            y_pred[method], y_score[method] = {}, {}
            for label, model in models.items():
                check_is_fitted(model)
                y_pred[method][label] = model.predict(X)
                if needs_scores:
                    scores = model.predict_proba(X)
                    is_binary = scores.shape[1] == 2
                    y_score[method][label] = scores[:, 1] if is_binary else scores
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
            plot_params=plot_params,
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
        plot_params: Mapping[str, Any] | None = None,
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
            None: "roc_auc" if there are scores. Of several classes the mean AUC of each
            against the rest.
        disparity : str, default="equalized_odds_difference"
            A difference metric of `fairtask.metrics`.
        n_resamples : int, default=200
            Number of bootstrap resamples; 0 for no error bars.
        confidence_level : float, default=0.95
            Of the error bars.
        random_state : int, RandomState or None, default=None
            Seed of the resamples.
        ax : Axes, default=None
            Where to draw. None: in a new figure.
        plot_params : dict, default=None
            For `plot`.
        **metric_params
            Further arguments of the difference metric.

        Returns
        -------
        display : ParetoFrontDisplay
        """
        if performance is None:
            performance = "accuracy" if y_score is None else "roc_auc"
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
                {"sensitive_features": sensitive_features, **metric_params},
                **resampling,
            )
            values = dict(zip(COLUMNS, [*gain, *cost], strict=True))
            rows.append({"method": method or "models", "label": label, **values})
        display = cls(
            pd.DataFrame(rows),
            performance_name=performance,
            disparity_name=disparity,
            bars=f"{confidence_level:.0%} intervals" if n_resamples else "",
        )
        return display.plot(ax=ax, **(plot_params or {}))

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
                offset = (5, -10) if i % 2 == 0 else (-5, 6)
                for _, point in self.points[rows & on_front].iterrows():
                    self.ax_.annotate(
                        point["label"],
                        (point["disparity"], point["performance"]),
                        textcoords="offset points",
                        xytext=offset,
                        ha="left" if i % 2 == 0 else "right",
                        fontsize=7,
                    )
        if budget is not None:
            self.ax_.axvline(
                budget, color="0.3", linestyle=":", label=f"budget {budget:g}", zorder=0
            )
        self.ax_.set(
            xlabel=f"{_words(self.disparity_name)} (lower is better)",
            ylabel=f"{_words(self.performance_name)} (higher is better)",
        )
        self.ax_.margins(0.08)
        self.ax_.legend(
            title=f"bars: {self.bars}" if self.bars else None,
            title_fontsize="small",
            fontsize="small",
            loc="upper left",
            bbox_to_anchor=(1.01, 1),
            borderaxespad=0,
        )
        return self

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
    data = Comparison.encode(y_true, y_pred, sensitive_features=one_group, **labelling)
    if name == "accuracy":
        rates = GroupRates(data, ["accuracy"])
        value = float(rates.observed()[0][0, 0])
        if not n_resamples:
            return [value, np.nan, np.nan]
        low, high = limits(data, [rates], None, confidence_level)
        return [value, low["accuracy"].iloc[0], high["accuracy"].iloc[0]]
    areas = GroupAUCs(data, data.scores(y_score, "y_score"))
    value = float(areas.observed()[0].mean())
    if not n_resamples:
        return [value, np.nan, np.nan]
    resampled = areas.resampled(n_resamples, make_generator(random_state))[0]
    tail = (1 - confidence_level) / 2
    means = resampled.mean(axis=(1, 2))
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
    nested = _nested(y_pred, "y_pred")
    nested_scores = None if y_score is None else _nested(y_score, "y_score")
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


def _nested(models: Any, name: str) -> dict[str, dict]:
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
        f"{name.rpartition('__')[2]}={f'{v:g}' if isinstance(v, float) else v}"
        for name, v in candidate.items()
        if name in shown
    )


def _words(name: str) -> str:
    return {"roc_auc": "AUC"}.get(name, name.replace("_", " "))
