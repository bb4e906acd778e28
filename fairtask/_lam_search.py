"""Choosing `lam` by cross-validation, with all values trained at once."""

import copy
from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, replace
from numbers import Integral, Real
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd
import torch
from sklearn.base import _fit_context, clone
from sklearn.exceptions import FitFailedWarning
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.metaestimators import available_if
from sklearn.utils.parallel import Parallel, delayed
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

from fairtask._data import SampleDataset
from fairtask._estimator import FairnessEstimator
from fairtask._folds import cv_results, score_fold
from fairtask._net import FairnessNet
from fairtask._parameters import estimator
from fairtask._search_settings import (
    choose,
    make_rule,
    make_scoring,
    read_lams,
    read_samples,
    split,
)
from fairtask._stack import ModuleStack
from fairtask._training import OPTIMIZERS, Model
from fairtask._validation import groups_by_name, warn_user
from fairtask.model_selection import ParetoFrontDisplay
from fairtask.modules import HeadOutputs, MultiTaskNetwork
from fairtask.objective import Objective

__all__ = ["LamSearch"]


class NetworkStack(ModuleStack):
    """Networks of one form that get the same samples."""

    module: MultiTaskNetwork

    def __init__(self, network: MultiTaskNetwork, n_copies: int) -> None:
        super().__init__(network, n_copies, in_dims=(None,), shares_constants=True)

    def prediction_logits(self, outputs: HeadOutputs) -> list[Tensor]:
        """Return the logits for predictions, see `MultiTaskNetwork`."""
        return self.module.prediction_logits(outputs)


class ObjectiveStack(ModuleStack):
    """Objectives of one form, each for the outputs of its network."""

    module: Objective

    def __init__(self, objective: Objective, lams: Sequence[float]) -> None:
        super().__init__(objective, len(lams), in_dims=(0,))
        lam = self.module.lam
        if isinstance(lam, Tensor):  # there are groups to compare
            lam.copy_(torch.tensor(lams))

    @property
    def distances(self) -> nn.ModuleList:
        """Distances in the representation, see `Objective`."""
        return self.module.distances


def _has_partial_fit(search: "LamSearch") -> bool:
    raise AttributeError(
        f"{type(search).__name__} has no `partial_fit`; train its `estimator_` further."
    )


@estimator
class LamSearch(FairnessEstimator):
    """Choose `lam` by cross-validation; the parameters are described in subclasses.

    A subclass derives from an estimator with a parameter ``lam``, which it takes out,
    and names that estimator in `_single`.
    """

    _: KW_ONLY
    lams: int | Sequence[float] = 8
    cv: Any = None
    performance: str = "roc_auc"
    disparity: str = "equalized_odds_difference"
    scoring: dict[str, Callable] | None = None
    budget: float | None = None
    rule: str | Callable[..., int] | None = None
    lams_at_once: int | None = None
    n_jobs: int | None = None

    _parameter_constraints: ClassVar[dict] = {
        "lams": ["array-like", Interval(Integral, 2, None, closed="left")],
        "cv": ["cv_object"],
        "performance": [str],
        "disparity": [str],
        "scoring": [dict, None],
        "budget": [Interval(Real, 0, None, closed="left"), None],
        "rule": [StrOptions({"knee_point", "least_disparity"}), callable, None],
        "lams_at_once": [Interval(Integral, 1, None, closed="left"), None],
        "n_jobs": [
            Interval(Integral, None, -1, closed="right"),
            Interval(Integral, 1, None, closed="left"),
            None,
        ],
    }

    _single: ClassVar[type[FairnessEstimator]]
    """The estimator with one `lam`."""

    @_fit_context(prefer_skip_nested_validation=True)
    @groups_by_name
    def fit(
        self,
        X: Any,
        y: Any,
        *,
        sensitive_features: Any = None,
        sample_weight: Any = None,
        X_val: Any = None,
        y_val: Any = None,
        sensitive_features_val: Any = None,
    ) -> Self:
        """Choose ``lam`` by cross-validation, and fit with it on all samples.

        Parameters
        ----------
        X, y, sensitive_features, sample_weight
            See `fairtask.AuxiliaryFairnessClassifier.fit`. Groups are needed. The
            scores of the folds have no weights, as in a grid search.
        X_val, y_val, sensitive_features_val
            The same validation samples for all trainings.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        ValueError
            If a parameter or an argument is not as described.

        Warns
        -----
        BudgetNotMetWarning
            If no value is within ``budget``.
        FitFailedWarning
            If a training in a fold diverged. Its scores are NaN.
        """
        self._check_can_search(X, sensitive_features)
        data, labels = read_samples(
            X,
            y,
            sensitive_features,
            sample_weight,
            intersectional=self.intersectional,
        )
        validation = {
            "X_val": X_val,
            "y_val": y_val,
            "sensitive_features_val": sensitive_features_val,
        }
        data |= {k: v for k, v in validation.items() if v is not None}

        lams = self._check_lams()
        scores = {"performance": self.performance, "disparity": self.disparity}
        rule = make_rule(self.rule, self.budget, **scores)
        scoring = make_scoring(
            self.scoring,
            data,
            labels,
            **scores,
            positive_classes=self.positive_classes,
        )
        splits = split(self.cv, data["X"], data["y"])

        search = self._unfitted()
        folds = Parallel(n_jobs=self.n_jobs)(
            # Each argument is sent to other processes once, not for every fold.
            delayed(score_fold)(search, lams, scoring, train, test, **data)
            for train, test in splits
        )
        results = cv_results(lams, list(scoring), folds)
        best = choose(rule, results)

        self._become(self._with_lam(lams[best]).fit(**data))
        self.lams_ = np.array(lams)
        self.lam_ = lams[best]
        self.best_index_ = best
        self.cv_results_ = results
        self.n_splits_ = len(splits)
        return self

    @available_if(_has_partial_fit)
    def partial_fit(self) -> None:
        """Not available: a part of the samples chooses no ``lam``."""

    def save(self, path: str | Path) -> None:
        """Write `estimator_`, the model with the chosen ``lam``, to a file.

        Parameters
        ----------
        path : str or Path
            File to write.
        """
        check_is_fitted(self)
        self.estimator_.save(path)

    @classmethod
    def load(cls, path: str | Path, *, device: str | torch.device | None = None) -> Any:
        """Read the model with the chosen ``lam`` that `save` wrote.

        Nothing in the file is executed, and nothing in it is ignored.

        Parameters
        ----------
        path : str or Path
            File to read.
        device : str or torch.device, default=None
            Where the model goes, in place of its parameter ``device``.

        Returns
        -------
        estimator : object
            The model, which has the class of `estimator_` and is no search.

        Raises
        ------
        ValueError
            If the file is damaged, is of another class or format, or has content that
            is unknown.
        """
        return cls._single.load(path, device=device)

    @property
    def front_(self) -> pd.DataFrame:
        """Values of ``lam`` that no other beats, by increasing disparity.

        The columns are ``lam``, ``performance``, ``disparity``, and the ends of their
        intervals, one standard error over the folds to either side.
        """
        display = self._display()
        table = display.points.assign(lam=self.lams_)[display.on_front]
        names = [
            name + end
            for name in ("performance", "disparity")
            for end in ("", "_low", "_high")
        ]
        table = table[["lam", *names]].sort_values("disparity", kind="stable")
        return table.reset_index(drop=True)

    def plot_front(self, ax: Any = None) -> ParetoFrontDisplay:
        """Draw performance against disparity of all values, with the choice marked.

        Parameters
        ----------
        ax : Axes, default=None
            Axes to draw in. None: make a figure.

        Returns
        -------
        display : ParetoFrontDisplay
        """
        return self._display().plot(ax, budget=self.budget)

    def _display(self) -> ParetoFrontDisplay:
        check_is_fitted(self)
        return ParetoFrontDisplay.of_cv_results(
            self.cv_results_,
            performance=self.performance,
            disparity=self.disparity,
            chosen=self.best_index_,
        )

    def _check_can_search(self, X: Any, sensitive_features: Any) -> None:
        if sensitive_features is None:
            raise ValueError(
                "`sensitive_features` must be given: the choice of `lam` depends on "
                "the difference between groups; got None."
            )
        if self._make_modality().open(X, "X") is not None:
            raise ValueError(
                "`X` must be in memory, where it is cut into folds; got Parquet files."
            )
        if self.warm_start:
            raise ValueError(
                "`warm_start=True` has no use in a search; set it on `estimator_`."
            )

    def _check_lams(self) -> list[float]:
        """Return the values of `lam`."""
        return read_lams(self.lams)

    def _unfitted(self) -> Self:
        """Return a clone without folds, which may be a generator."""
        parameters = self.get_params(deep=False)
        return clone(type(self)(**{**parameters, "cv": None}))

    def _with_lam(self, lam: float) -> FairnessEstimator:
        """Return an estimator with the parameters of this one and one `lam`."""
        names = self._single._get_param_names()
        parameters = {n: getattr(self, n) for n in names if n != "lam"}
        return clone(self._single(**parameters, lam=lam))

    def _become(self, single: FairnessEstimator) -> None:
        """Take over the fitted attributes of `single`, in place of earlier ones."""
        parameters = self.get_params(deep=False)
        for name in set(vars(self)) - set(parameters):
            delattr(self, name)
        for name, value in vars(single).items():
            if name not in parameters:
                setattr(self, name, value)
        self.estimator_ = single

    def _fit_all(
        self, lams: Sequence[float], data: dict[str, Any]
    ) -> list[FairnessEstimator | None]:
        """Return a fitted estimator for each `lam`; None where a training diverged."""
        if not self._can_stack(lams):
            return [_fit_or_none(self._with_lam(lam), data) for lam in lams]
        fitted: list[FairnessEstimator | None] = []
        at_once = self.lams_at_once or len(lams)
        for start in range(0, len(lams), at_once):
            stack = self._unfitted()
            stack._stacked = lams[start : start + at_once]
            super(LamSearch, stack).fit(**data)
            fitted += stack._fitted
        return fitted

    def _can_stack(self, lams: Sequence[float]) -> bool:
        """Whether the networks of several `lam` can be trained at once."""
        return (
            self.lams_at_once != 1
            and not self.callbacks
            and min(lams) < 1  # otherwise there are no fairness losses to weigh
            and self.optimizer in OPTIMIZERS
            and self.aggregator is None
        )

    # The methods below make the training of one network one of several.

    def _parameters_of(self, part: type) -> dict[str, Any]:
        parameters = super()._parameters_of(part)
        if "lam" in parameters:
            parameters["lam"] = torch.tensor(min(self._stacked), dtype=torch.float32)
        return parameters

    def _make_net(self, model: Model, **settings: Any) -> FairnessNet:
        networks: Any = NetworkStack(model.network, len(self._stacked))
        # A copy: the losses themselves stay as they are.
        objectives = ObjectiveStack(copy.deepcopy(model.objective), self._stacked)
        stack = replace(model, network=networks, objective=objectives)
        settings["processes"] = None  # `vmap` knows no sums over processes
        net = super()._make_net(stack, **settings)
        net.n_groups = ()  # no history of group losses
        net.verbose = 0  # the terms would be lists
        return net

    def _finish(
        self,
        model: Model,
        net: FairnessNet,
        dataset: SampleDataset,
        *,
        is_stream: bool = False,
    ) -> None:
        self._fitted = [
            self._take(i, model, net, dataset) for i in range(len(self._stacked))
        ]

    def _take(
        self, i: int, model: Model, net: FairnessNet, dataset: SampleDataset
    ) -> FairnessEstimator | None:
        """Return network `i` as a fitted estimator."""
        single = self._with_lam(self._stacked[i])
        method = single._make_method()
        network, losses = net.module_.copy(i), model.losses
        if not method.uses_groups:
            losses, network.fairness_heads, network.erasure = {}, nn.ModuleList(), None
        alone = replace(
            model,
            method=method,
            losses=losses,
            network=network,
            objective=method.make_objective(list(losses.values()), model.width),
        )
        device = torch.device(net.device)
        own_net = single._make_net(alone, n_samples=len(dataset), device=device)
        own_net.initialize(makes_optimizer=False)
        for name in ("n_features_in_", "feature_names_in_"):
            if hasattr(self, name):
                setattr(single, name, getattr(self, name))
        try:
            single._finish(alone, own_net, dataset)
        except ValueError as error:
            _warn_of_failure(self._stacked[i], error)
            return None
        return single


def _fit_or_none(
    single: FairnessEstimator, data: dict[str, Any]
) -> FairnessEstimator | None:
    try:
        return single.fit(**data)
    except ValueError as error:
        if "diverged" not in str(error):
            raise
        _warn_of_failure(single.lam, error)
        return None


def _warn_of_failure(lam: float, error: ValueError) -> None:
    warn_user(FitFailedWarning, f"`lam={lam:.4g}` has no scores in a fold: {error}")
