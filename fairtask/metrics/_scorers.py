"""Scorers for cross-validation and searches."""

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import Any, cast

import numpy as np
import pandas as pd
from sklearn.metrics import get_scorer, get_scorer_names, make_scorer
from sklearn.metrics._scorer import _cached_call, _Scorer
from sklearn.utils.metadata_routing import MetadataRequest

from fairtask._frames import check_same_rows
from fairtask._validation import warn_user
from fairtask.exceptions import ConstantClassifierWarning
from fairtask.metrics._class_labels import labels_of_model
from fairtask.metrics._group_metric import GroupMetric
from fairtask.metrics._names import METRICS, find_metric, metric_of_name
from fairtask.metrics._samples import is_constant
from fairtask.metrics._signatures import DATA

__all__ = ["CONSTANT", "make_fairness_scorer", "make_fairness_scoring"]

CONSTANT = "constant_predictions"
"""Name of the score that marks constant classifiers."""

RESPONSES = {
    "y_pred": "predict",
    "y_score": ("decision_function", "predict_proba"),
    "y_prob": "predict_proba",
}


class _ScoreFunction:
    """A metric with the arguments that are data.

    scikit-learn treats every named argument of a metric as metadata that may be routed,
    and ``groups`` would be those of a `~sklearn.model_selection.GroupKFold`.
    """

    def __init__(self, metric: GroupMetric) -> None:
        self.__name__ = metric.name
        self._metric = metric

    def __call__(
        self,
        y_true: Any,
        y_output: Any,
        *,
        sensitive_features: Any,
        sample_weight: Any = None,
        control_features: Any = None,
        **settings: Any,
    ) -> float:
        comparison = self._metric.compare(
            y_true,
            y_output,
            sensitive_features=sensitive_features,
            sample_weight=sample_weight,
            control_features=control_features,
            **settings,
        )
        if is_constant(np.asarray(y_true), np.asarray(y_output)):
            warn_user(
                ConstantClassifierWarning,
                "A classifier predicts the same for all samples that are scored, "
                f"although they have several classes: its `{self.__name__}` says "
                "nothing about fairness.",
            )
        return cast(float, comparison.value())


def _constant_predictions(y_true: Any, y_pred: Any) -> float:
    return float(is_constant(np.asarray(y_true), np.asarray(y_pred)))


class _FairnessScorer(_Scorer):
    """A scorer of scikit-learn that finds the sensitive features of its samples.

    They are passed (by metadata routing), or found by the index of the samples. It is a
    subclass of the private `_Scorer`, because scikit-learn shares predictions between
    scorers only through its method ``_score``, which also gets the samples with their
    index.
    """

    def __init__(
        self,
        metric: GroupMetric,
        settings: dict,
        bound: Mapping[str, pd.DataFrame],
    ) -> None:
        sign = 1 if metric.transform.greater_is_better else -1
        response = RESPONSES[metric.family.output]
        super().__init__(_ScoreFunction(metric), sign, settings, response)
        self._bound = bound
        # Sensitive features are routed without a call of `set_score_request`, as to the
        # `fit` of the estimators. Before version 1.9 a request that is declared in the
        # class hides `set_score_request`, or is not seen.
        self._metadata_request = MetadataRequest(owner=repr(self))
        self._metadata_request.score.add_request(param="sensitive_features", alias=True)
        self._metadata_request.score.add_request(param="sample_weight", alias=None)

    def __call__(
        self,
        estimator: Any,
        X: Any,
        y_true: Any,
        *,
        sensitive_features: Any = None,
        sample_weight: Any = None,
        control_features: Any = None,
    ) -> float:
        return self._score(
            partial(_cached_call, None),
            estimator,
            X,
            y_true,
            # The base class takes them with metadata routing only.
            sensitive_features=sensitive_features,
            sample_weight=sample_weight,
            control_features=control_features,
        )

    def set_score_request(self, **kwargs: Any) -> Any:
        """Set the requests; sensitive features stay requested unless named."""
        unknown = kwargs.keys() - set(DATA)
        if unknown:
            raise TypeError(
                f"set_score_request() takes {', '.join(DATA)}; got {sorted(unknown)}."
            )
        return super().set_score_request(**{"sensitive_features": True, **kwargs})

    def __repr__(self) -> str:
        settings = "".join(f", {name}={v!r}" for name, v in self._kwargs.items())
        return f"make_fairness_scorer({self._score_func.__name__!r}{settings})"

    def _score(
        self,
        method_caller: Callable,
        estimator: Any,
        X: Any,
        y_true: Any,
        **kwargs: Any,
    ) -> float:
        check_same_rows({"X": X, "y": y_true, **kwargs})
        for argument in {"sensitive_features": None, **self._bound}:
            if kwargs.get(argument) is None:
                kwargs[argument] = self._find(argument, X, y_true)
        if "labels" not in self._kwargs:
            kwargs["labels"] = labels_of_model(
                getattr(estimator, "classes_", None),
                y_true,
                with_scores=self._response_method != "predict",
            )
        return super()._score(method_caller, estimator, X, y_true, **kwargs)

    def _find(self, argument: str, X: Any, y_true: Any) -> pd.DataFrame:
        """Look up an argument for the samples that are scored."""
        name, bound = self._score_func.__name__, self._bound.get(argument)
        if bound is None:
            raise ValueError(
                f"The scorer of `{name}` needs `sensitive_features`: enable metadata "
                "routing and pass them to the search or cross-validation, or make the "
                "scorer with `sensitive_features=`, a pandas object with the index of "
                "the samples."
            )
        indexes = [
            values.index
            for values in (X, y_true)
            if isinstance(values, pd.DataFrame | pd.Series)
        ]
        if not indexes:
            raise ValueError(
                f"The scorer of `{name}` finds `{argument}` by index, so that "
                "`X` or `y` must be a pandas object; got "
                f"{type(X).__name__} and {type(y_true).__name__}."
            )
        positions = bound.index.get_indexer(indexes[0])
        missing = indexes[0][positions < 0].tolist()
        if missing:
            raise ValueError(
                f"The scorer of `{name}` has no `{argument}` for "
                f"{len(missing)} of {len(positions)} samples; their index is not among "
                f"those it was made with: {missing[:5]}."
            )
        return bound.iloc[positions]


def make_fairness_scorer(
    metric: str | Callable,
    *,
    sensitive_features: pd.Series | pd.DataFrame | None = None,
    control_features: pd.Series | pd.DataFrame | None = None,
    **metric_params: Any,
) -> Callable:
    """Make a scorer of a metric, such as a difference between groups.

    Greater is better, as for every scorer: the score is minus a difference or a largest
    value, and a ratio or a smallest value as it is. It can be used wherever
    scikit-learn takes ``scoring``.

    Parameters
    ----------
    metric : str or callable
        A metric of this module, or its name, see also `make_group_metric`.
    sensitive_features : Series or DataFrame, default=None
        Groups of all samples that may be scored, with the index that they have in `X`
        or `y`: those of a fold are found by that index. Not needed with metadata
        routing, where they are passed beside `X` and `y` and take precedence over
        these. A default RangeIndex is only reliable if it is never reset.
    control_features : Series or DataFrame, default=None
        Columns inside whose levels groups are compared, found in the same way. With
        metadata routing ``scorer.set_score_request(control_features=True)`` has them
        passed.
    **metric_params
        Further arguments of the metric, such as ``agg``, ``attributes``, ``groups`` or
        ``min_group_size``.

    Returns
    -------
    scorer : callable
        With the signature ``scorer(estimator, X, y, *, sensitive_features=None,
        sample_weight=None, control_features=None)``.

    Raises
    ------
    ValueError
        If an argument is not as described. The scorer raises it if it finds no
        sensitive features.

    Warns
    -----
    ConstantClassifierWarning
        When the scorer is called, if the predictions (or scores) are the same for all
        samples although `y` has several classes. No difference is best for a score,
        so that a search by this score alone chooses such a classifier.

    See Also
    --------
    make_fairness_scoring : Several scorers by name.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.model_selection import cross_val_score
    >>> from fairtask.datasets import make_biased_classification
    >>> from fairtask.metrics import make_fairness_scorer
    >>> X, y, z = make_biased_classification(n_samples=2_000, random_state=0)
    >>> X, z = pd.DataFrame(X), pd.Series(z, name="group")
    >>> scorer = make_fairness_scorer(
    ...     "equalized_odds_difference", sensitive_features=z
    ... )
    >>> scores = cross_val_score(LogisticRegression(), X, y, scoring=scorer, cv=3)
    >>> (scores < 0).all()
    np.True_
    """
    found = find_metric(metric)
    found.check_settings(metric_params)
    if metric_params.get("attributes") == "each":
        raise ValueError(
            "`attributes` of a scorer must be 'worst_case' or 'intersection', which "
            "give one number; got 'each'. Make a scorer for each attribute."
        )
    bound = {
        name: _check_bound(features, name)
        for name, features in {
            "sensitive_features": sensitive_features,
            "control_features": control_features,
        }.items()
        if features is not None
    }
    return _FairnessScorer(found, metric_params, bound)


def make_fairness_scoring(
    names: Sequence[str],
    *,
    sensitive_features: pd.Series | pd.DataFrame | None = None,
    control_features: pd.Series | pd.DataFrame | None = None,
    **metric_params: Any,
) -> dict[str, Callable]:
    """Make several scorers, as scikit-learn takes them for ``scoring``.

    Parameters
    ----------
    names : sequence of str
        Metrics of this module and scores of scikit-learn, such as "roc_auc", in any
        order.
    sensitive_features, control_features, **metric_params
        For the metrics of this module, see `make_fairness_scorer`. An argument goes to
        those that take it, and at least one must.

    Returns
    -------
    scoring : dict of str to callable
        A scorer for each name and, beside these metrics, "constant_predictions". This
        score is -1 where all predictions are one class although `y` has several, and
        else 0. The rules of `fairtask.model_selection` look for it.

    Raises
    ------
    ValueError
        If a name is not known, or an argument is not as described.

    Examples
    --------
    >>> from fairtask.metrics import make_fairness_scoring
    >>> list(make_fairness_scoring(["roc_auc", "equalized_odds_difference"]))
    ['roc_auc', 'equalized_odds_difference', 'constant_predictions']
    """
    is_list = isinstance(names, Collection) and getattr(names, "ndim", 1) == 1
    if isinstance(names, str) or not (
        is_list and all(isinstance(name, str) for name in names)
    ):
        raise ValueError(f"`names` must be a sequence of names; got {names!r}.")
    known = set(get_scorer_names())
    metrics = {name: metric_of_name(name) for name in names if name not in known}
    unknown = [name for name, metric in metrics.items() if metric is None]
    if unknown:
        raise ValueError(
            f"`names` must hold metrics of groups, such as {list(METRICS)}, or scores "
            f"of scikit-learn; got {unknown}."
        )
    taken = {name: metric.settings for name, metric in metrics.items() if metric}
    of_groups = {
        "sensitive_features": sensitive_features,
        "control_features": control_features,
    }
    for argument, value in of_groups.items():
        if value is not None and not taken:
            raise ValueError(
                f"`{argument}` is for metrics of groups, and `names` has none: "
                f"{list(names)}."
            )
    for setting in metric_params:
        if not any(setting in of_metric for of_metric in taken.values()):
            raise ValueError(
                f"`{setting}` is no argument of any of the metrics {list(names)}."
            )
    scoring = {
        name: make_fairness_scorer(
            name,
            **of_groups,
            **{k: v for k, v in metric_params.items() if k in taken[name]},
        )
        if name in taken
        else get_scorer(name)
        for name in names
    }
    if taken:
        scoring[CONSTANT] = make_scorer(_constant_predictions, greater_is_better=False)
    return scoring


def _check_bound(features: Any, argument: str) -> pd.DataFrame:
    if not isinstance(features, pd.Series | pd.DataFrame):
        raise ValueError(
            f"`{argument}` of a scorer must be a pandas Series or DataFrame, whose "
            f"index identifies the samples; got {type(features).__name__}."
        )
    if features.index.has_duplicates:
        raise ValueError(
            f"`{argument}` of a scorer must have a distinct index for each sample; it "
            "has duplicates."
        )
    return features.to_frame() if isinstance(features, pd.Series) else features
