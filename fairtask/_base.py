"""The template that estimators and baselines share."""

import copy
from abc import ABCMeta, abstractmethod
from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any

import numpy as np
import pandas as pd
import torch
from sklearn.base import (
    BaseEstimator,
    ClassifierMixin,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    _fit_context,
)
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted, validate_data
from skorch.callbacks import LRScheduler
from torch import nn

from fairtask._diagnosis import (
    check_finite,
    warn_if_collapsed,
    warn_if_nothing_learnt,
    warn_in_fit,
)
from fairtask._net import FairnessNet, InMemoryDataset, OneCycle
from fairtask._random import seeded
from fairtask._validation import (
    SensitiveFeatures,
    check_callbacks,
    check_device,
    encode_labels,
    encode_sensitive_features,
)
from fairtask.exceptions import NothingPenalizedWarning
from fairtask.losses import FAIRNESS_LOSSES, PARITIES, FairnessLoss
from fairtask.modules import FAIRNESS_HEADS, FairnessHead, MultiTaskNetwork
from fairtask.objective import Objective

__all__ = ["BaseAuxiliaryFairnessClassifier"]

OPTIMIZERS: dict[str, tuple[type[torch.optim.Optimizer], dict[str, Any]]] = {
    "adamw": (torch.optim.AdamW, {"weight_decay": 1.0}),
    "sgd": (torch.optim.SGD, {"momentum": 0.9, "weight_decay": 5e-4}),
}
"""Optimizers by name, with their settings. AdamW's decay is multiplied by the rate."""

MIN_CYCLE = 10
"""Fewer steps than this have no room to warm up and cool down."""


class BaseAuxiliaryFairnessClassifier(
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    ClassifierMixin,
    BaseEstimator,
    metaclass=ABCMeta,
):
    """Fit a trunk, a task head and fairness heads; predict with the task head.

    A subclass says which trunk reads the samples (`_make_trunk`). A method that differs
    in what is penalised replaces `_make_fairness_head` or `_make_fairness_loss`.
    """

    _parameter_constraints: dict = {  # noqa: RUF012 (scikit-learn's own form)
        "fairness_loss": [StrOptions(set(FAIRNESS_LOSSES)), callable],
        "parity": [StrOptions(set(PARITIES))],
        "fairness_head": [StrOptions(set(FAIRNESS_HEADS))],
        "lam": [Interval(Real, 0, 1, closed="both")],
        "group_momentum": [Interval(Real, 0, 1, closed="left")],
        "optimizer": [StrOptions(set(OPTIMIZERS)), callable],
        "lr": [Interval(Real, 0, None, closed="neither")],
        "weight_decay": [Interval(Real, 0, None, closed="left"), None],
        "lr_schedule": [StrOptions({"one_cycle", "constant"})],
        "batch_size": [Interval(Integral, 1, None, closed="left")],
        "max_epochs": [Interval(Integral, 1, None, closed="left")],
        "callbacks": [list, None],
        "device": [str, torch.device],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    # Pipelines and searches route it without a call of `set_fit_request`.
    __metadata_request__fit = {"sensitive_features": True}  # noqa: RUF012

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(
        self, X: Any, y: Any, *, sensitive_features: Any = None
    ) -> "BaseAuxiliaryFairnessClassifier":
        """Fit the network.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Training samples.
        y : array-like of shape (n_samples,)
            Class labels.
        sensitive_features : array-like of shape (n_samples,) or \
                (n_samples, n_attributes), default=None
            Sensitive attributes, one column each; names are kept from a DataFrame or
            Series, and rows are matched to those of `X` by position. They are used in
            training only. A sample whose value is None or NaN counts for the task
            alone.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        ValueError
            If a parameter or an argument is not as described, or the training diverged.

        Warns
        -----
        NothingPenalizedWarning
            If ``lam < 1`` and there are no two groups to compare.
        CollapsedHeadWarning
            If a fairness head has become constant.
        ConvergenceWarning
            If the task loss is more than twice that of a guess.
        """
        X, y = self._validate_samples(X, y=y, reset=True)
        codes, classes = encode_labels(y)
        sensitive = encode_sensitive_features(sensitive_features, n_samples=len(codes))
        device = check_device(self.device)

        # A seed for each purpose: fairness heads do not move the random numbers of
        # trunk, task head and batches, so that `lam=1` is single-task learning to the
        # last bit.
        rng = check_random_state(self.random_state)
        network_seed, fairness_seed, training_seed = rng.randint(2**31 - 1, size=3)
        with seeded(network_seed):
            trunk, width = self._make_trunk()
            task_heads = [self._make_head(width, len(classes))]
        with seeded(fairness_seed):
            penalized, fairness_losses = self._make_fairness_losses(
                sensitive, codes, len(classes)
            )
            fairness_heads = [
                self._make_fairness_head(width, [len(classes)]) for _ in penalized.names
            ]
        target = {"y": codes[:, None], "groups": penalized.codes}
        dataset = self._make_dataset(X, target, device)
        net = self._make_net(
            MultiTaskNetwork(trunk, task_heads, fairness_heads),
            # Without a fairness loss there is nothing to weigh the task against.
            Objective(self.lam if fairness_losses else 1.0, fairness_losses),
            attribute_names=penalized.names,
            n_samples=len(codes),
            device=device,
        )
        with seeded(training_seed, device):
            net.fit(dataset)
        if net.interrupted_:
            raise KeyboardInterrupt
        check_finite(net)

        self.net_ = net
        self.classes_ = classes
        self.sensitive_feature_names_ = sensitive.names
        self.groups_ = sensitive.groups
        self._n_features_out = width
        warn_if_nothing_learnt(net, len(classes))
        warn_if_collapsed(net, dataset, penalized.names)
        return self

    def predict(self, X: Any) -> np.ndarray:
        """Predict the class of each sample.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Samples. Sensitive attributes are not needed.

        Returns
        -------
        y_pred : ndarray of shape (n_samples,)
            Labels, of the type seen in `fit`.
        """
        class_codes = self.predict_proba(X).argmax(axis=1)
        return self.classes_[class_codes]

    def predict_proba(self, X: Any) -> np.ndarray:
        """Predict the probability of each class.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Samples. Sensitive attributes are not needed.

        Returns
        -------
        probabilities : ndarray of shape (n_samples, n_classes)
            In the order of ``classes_``.
        """
        check_is_fitted(self)
        dataset = self._make_dataset(self._validate_samples(X, reset=False))
        logits = self.net_.evaluate(dataset, lambda network, X: network(X)[0][0])
        if not logits.isfinite().all():
            raise ValueError("`X` has values so large that the network overflows.")
        return logits.double().softmax(dim=1).numpy()

    def transform(self, X: Any) -> np.ndarray:
        """Compute the representation that the heads share.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Samples. Sensitive attributes are not needed.

        Returns
        -------
        h : ndarray of shape (n_samples, n_features_out), float32
            Output of the trunk.
        """
        check_is_fitted(self)
        dataset = self._make_dataset(self._validate_samples(X, reset=False))
        return self.net_.evaluate(dataset, lambda network, X: network.trunk(X)).numpy()

    @property
    def history_(self) -> pd.DataFrame:
        """Mean of each term of the objective: a row per epoch, a column per term."""
        check_is_fitted(self)
        return self.net_.history_table()

    def _validate_samples(self, X: Any, *, reset: bool, **labels: Any) -> Any:
        """Check the samples, and with ``y=...`` the labels; return what was given."""
        checks = {"dtype": np.float32, "force_writeable": True}
        try:
            return validate_data(self, X, reset=reset, **labels, **checks)
        except ValueError as error:
            if "could not convert string" not in str(error):
                raise
            # The message of numpy names neither the argument nor a remedy.
            raise ValueError(
                f"`X` must hold numbers; encode categories first: {error}"
            ) from error

    def _make_dataset(
        self,
        X: Any,
        target: dict[str, np.ndarray] | None = None,
        device: torch.device | None = None,
    ) -> InMemoryDataset:
        """Put samples, and in training their targets, where batches are cut."""
        tensors = {
            name: torch.as_tensor(values, device=device)
            for name, values in (target or {}).items()
        }
        return InMemoryDataset(torch.as_tensor(X, device=device), tensors)

    @abstractmethod
    def _make_trunk(self) -> tuple[nn.Module, int]:
        """Return the trunk and the width of its output."""

    def _make_head(self, in_features: int, n_classes: int) -> nn.Module:
        """Return a head from the representation to class logits."""
        return nn.Linear(in_features, n_classes)

    def _make_fairness_head(
        self, in_features: int, n_classes: Sequence[int]
    ) -> FairnessHead:
        """Return the head of one attribute, with an output per task."""
        head_class = FAIRNESS_HEADS[self.fairness_head]
        own = n_classes if head_class.has_own_heads else ()
        return head_class(self._make_head(in_features, n) for n in own)

    def _make_fairness_loss(self, n_groups: int, n_classes: int) -> FairnessLoss:
        """Return the loss of one attribute on one task."""
        make_loss: Any = FAIRNESS_LOSSES.get(self.fairness_loss, self.fairness_loss)
        settings = {"parity": self.parity, "group_momentum": self.group_momentum}
        loss, problem = None, ""
        if not isinstance(make_loss, nn.Module):
            try:
                loss = make_loss(n_groups, n_classes, **settings)
            except TypeError as error:
                problem = f" ({error})"
        if not isinstance(loss, FairnessLoss):
            raise ValueError(
                f"`fairness_loss` must be one of {sorted(FAIRNESS_LOSSES)}, a subclass "
                "of FairnessLoss or a callable that makes one, such as a "
                f"functools.partial of a subclass; got {self.fairness_loss!r}{problem}."
            )
        return loss

    def _make_net(
        self,
        network: MultiTaskNetwork,
        objective: Objective,
        *,
        attribute_names: Sequence[str],
        n_samples: int,
        device: torch.device,
    ) -> FairnessNet:
        optimizer, settings = OPTIMIZERS.get(self.optimizer, (self.optimizer, {}))
        if self.weight_decay is not None:
            settings = {**settings, "weight_decay": self.weight_decay}
        # Copies: a callback keeps what it saw, and belongs to one training.
        callbacks = copy.deepcopy(check_callbacks(self.callbacks))
        if self.lr_schedule != "constant" and any(
            isinstance(entry[-1] if isinstance(entry, tuple) else entry, LRScheduler)
            for entry in callbacks
        ):
            raise ValueError(
                "`callbacks` has a schedule of the learning rate, and so has "
                f"`lr_schedule={self.lr_schedule!r}`; set it to 'constant'."
            )
        n_steps = self.max_epochs * -(-n_samples // self.batch_size)
        if self.lr_schedule == "one_cycle" and n_steps >= MIN_CYCLE:
            callbacks.append(("one_cycle", OneCycle(self.lr, n_steps)))
        return FairnessNet(
            network,
            objective,
            term_names=[
                "task_loss",
                *(f"fairness_loss_{name}" for name in attribute_names),
            ],
            optimizer=optimizer,
            lr=self.lr,
            **{f"optimizer__{name}": value for name, value in settings.items()},
            batch_size=self.batch_size,
            max_epochs=self.max_epochs,
            callbacks=callbacks,
            device=device,
            verbose=int(self.verbose),
        )

    def _make_fairness_losses(
        self, sensitive: SensitiveFeatures, y: np.ndarray, n_classes: int
    ) -> tuple[SensitiveFeatures, list[list[FairnessLoss]]]:
        """Return the attributes that can be compared, and their losses per task."""
        if self.lam == 1:
            return sensitive.select([]), []
        if not sensitive.names:
            warn_in_fit(
                NothingPenalizedWarning,
                "`fit` got no `sensitive_features`, so that no difference between "
                f"groups is penalised although lam={self.lam}. Pass them (through a "
                "pipeline or a search as `<step>__sensitive_features`, or by metadata "
                "routing), or set lam=1 for a model of the task alone.",
            )
        comparable, losses = [], []
        for s, name in enumerate(sensitive.names):
            groups = sensitive.groups[s]
            loss = self._make_fairness_loss(len(groups), n_classes)
            cells = pd.DataFrame({"y": y, "z": sensitive.codes[:, s]}).drop_duplicates()
            if loss.can_compare(*torch.tensor(cells.to_numpy()).T):
                comparable.append(s)
                losses.append([loss])
            else:
                warn_in_fit(
                    NothingPenalizedWarning,
                    f"`sensitive_features` column {name!r} has no two known groups to "
                    f"compare with parity={self.parity!r}; its groups are "
                    f"{groups.tolist()}. No difference is penalised for it.",
                )
        return sensitive.select(comparable), losses

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = []  # the network computes in float32
        return tags
