"""The template that estimators and baselines share."""

import warnings
from abc import ABCMeta, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
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
from torch import Tensor, nn
from torch.optim.lr_scheduler import OneCycleLR

from fairtask._net import PREDICT_BATCH_SIZE, FairnessNet, InMemoryDataset
from fairtask._validation import (
    SensitiveFeatures,
    encode_labels,
    encode_sensitive_features,
)
from fairtask.exceptions import CollapsedHeadWarning, NothingPenalizedWarning
from fairtask.losses import FAIRNESS_LOSSES, PARITIES, FairnessLoss
from fairtask.modules import FAIRNESS_HEADS, FairnessHead, MultiTaskNetwork
from fairtask.objective import Objective

__all__ = ["BaseAuxiliaryFairnessClassifier"]

OPTIMIZERS: dict[str, tuple[type[torch.optim.Optimizer], dict[str, Any]]] = {
    "adamw": (torch.optim.AdamW, {}),
    "sgd": (torch.optim.SGD, {"momentum": 0.9}),
}
"""Optimizers by name, with the settings that are not parameters of the estimator."""

COLLAPSED_SPREAD = 0.1
"""A head whose probabilities vary less than this share of the task head's is flat."""


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
        "weight_decay": [Interval(Real, 0, None, closed="left")],
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
            Series. They are used in training only. A sample whose value is None or NaN
            counts for the task alone.

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
        """
        X, y = validate_data(self, X, y, dtype=np.float32, force_writeable=True)
        codes, self.classes_ = encode_labels(y)
        sensitive = encode_sensitive_features(sensitive_features, n_samples=len(codes))
        self.sensitive_feature_names_ = sensitive.names
        self.groups_ = sensitive.groups
        penalized = self._select_penalized(sensitive)

        # A seed for each purpose: fairness heads do not move the random numbers of
        # trunk, task head and batches, so that `lam=1` is single-task learning to the
        # last bit.
        rng = check_random_state(self.random_state)
        network_seed, heads_seed, training_seed = rng.randint(2**31 - 1, size=3)
        n_classes = len(self.classes_)
        with _seeded(network_seed):
            trunk, width = self._make_trunk()
            task_heads = [self._make_head(width, n_classes)]
        with _seeded(heads_seed):
            fairness_heads = [
                self._make_fairness_head(width, [n_classes]) for _ in penalized.names
            ]
        fairness_losses = [
            [self._make_fairness_loss(len(groups), n_classes)]
            for groups in penalized.groups
        ]
        self._n_features_out = width

        device = _resolve_device(self.device)
        dataset = InMemoryDataset(
            torch.as_tensor(X, device=device),
            {
                "y": torch.as_tensor(codes[:, None], device=device),
                "groups": torch.as_tensor(penalized.codes, device=device),
            },
        )
        self.net_ = self._make_net(
            MultiTaskNetwork(trunk, task_heads, fairness_heads),
            # Without a fairness loss there is nothing to weigh the task against.
            Objective(self.lam if fairness_losses else 1.0, fairness_losses),
            attribute_names=penalized.names,
            n_samples=len(codes),
            device=device,
        )
        with _seeded(training_seed, device):
            self.net_.fit(dataset)
        self._check_finite()
        self._warn_if_collapsed(dataset, penalized.names)
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
        dataset = self._make_prediction_dataset(X)
        logits = self._evaluate(dataset, lambda network, X: network(X)[0][0])
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
        dataset = self._make_prediction_dataset(X)
        return self._evaluate(dataset, lambda network, X: network.trunk(X)).numpy()

    @property
    def history_(self) -> pd.DataFrame:
        """Mean of each term of the objective: a row per epoch, a column per term."""
        check_is_fitted(self)
        bookkeeping = ("batches", "_batch_count", "_best")
        epochs = [
            {key: v for key, v in epoch.items() if not key.endswith(bookkeeping)}
            for epoch in self.net_.history
        ]
        return pd.DataFrame(epochs).set_index("epoch")

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
        loss = make_loss(
            n_groups,
            n_classes,
            parity=self.parity,
            group_momentum=self.group_momentum,
        )
        if not isinstance(loss, FairnessLoss):
            raise ValueError(
                f"`fairness_loss` must be one of {sorted(FAIRNESS_LOSSES)} or make a "
                f"FairnessLoss; {self.fairness_loss!r} made a {type(loss).__name__}."
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
        callbacks = list(self.callbacks or [])
        if self.lr_schedule == "one_cycle":
            n_batches = -(-n_samples // self.batch_size)
            one_cycle = LRScheduler(
                OneCycleLR,
                max_lr=self.lr,
                total_steps=self.max_epochs * n_batches,
                # Not every optimizer has a momentum to cycle.
                cycle_momentum=False,
                step_every="batch",
            )
            callbacks.append(("lr_schedule", one_cycle))
        return FairnessNet(
            network,
            objective,
            term_names=[
                "task_loss",
                *(f"fairness_loss_{name}" for name in attribute_names),
            ],
            optimizer=optimizer,
            lr=self.lr,
            optimizer__weight_decay=self.weight_decay,
            **{f"optimizer__{name}": value for name, value in settings.items()},
            batch_size=self.batch_size,
            max_epochs=self.max_epochs,
            callbacks=callbacks,
            device=device,
            verbose=int(self.verbose),
        )

    def _select_penalized(self, sensitive: SensitiveFeatures) -> SensitiveFeatures:
        """Keep the attributes that the objective compares; warn if one drops out."""
        if self.lam == 1:
            return sensitive.select([])
        if not sensitive.names:
            warnings.warn(
                "`fit` got no `sensitive_features`, so that no difference between "
                f"groups is penalised although lam={self.lam}. Pass them, or set "
                "lam=1 for a model of the task alone.",
                NothingPenalizedWarning,
                stacklevel=4,
            )
        comparable = [s for s, groups in enumerate(sensitive.groups) if len(groups) > 1]
        for s in set(range(len(sensitive.names))) - set(comparable):
            warnings.warn(
                f"`sensitive_features` column {sensitive.names[s]!r} has fewer than "
                f"two known groups ({list(sensitive.groups[s])}): no difference is "
                "penalised for it.",
                NothingPenalizedWarning,
                stacklevel=4,
            )
        return sensitive.select(comparable)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = []  # the network computes in float32
        return tags

    def _make_prediction_dataset(self, X: Any) -> InMemoryDataset:
        check_is_fitted(self)
        X = validate_data(self, X, reset=False, dtype=np.float32, force_writeable=True)
        return InMemoryDataset(torch.as_tensor(X))

    def _evaluate(
        self,
        dataset: InMemoryDataset,
        function: Callable[[MultiTaskNetwork, Tensor], Tensor],
    ) -> Tensor:
        """Apply a function of the network and a batch, without gradient or dropout."""
        network = self.net_.module_.eval()
        batches = self.net_.get_iterator(dataset, training=False)
        with torch.inference_mode():
            outputs = [function(network, X.to(self.net_.device)) for X, _ in batches]
        return torch.cat(outputs).cpu()

    def _check_finite(self) -> None:
        if not all(p.isfinite().all() for p in self.net_.module_.parameters()):
            raise ValueError(
                "The training diverged: weights are NaN or infinite. Standardise `X`, "
                f"whose features may be large, or lower `lr`, which is {self.lr}."
            )

    def _warn_if_collapsed(
        self, dataset: InMemoryDataset, attribute_names: Sequence[str]
    ) -> None:
        """Compare how much the heads' probabilities vary over the training samples."""
        step = -(-len(dataset) // PREDICT_BATCH_SIZE)
        network = self.net_.module_.eval()
        with torch.inference_mode():
            task_logits, fairness_logits, _ = network(dataset.X[::step])
        for name, logits in zip(attribute_names, fairness_logits, strict=True):
            for k, task in enumerate(task_logits):
                spread, task_spread = _spread(logits[k]), _spread(task)
                if spread < COLLAPSED_SPREAD * task_spread:
                    warnings.warn(
                        f"The fairness head of {name!r} has collapsed: the standard "
                        f"deviation of its probabilities is {spread:.2g}, that of the "
                        f"task head's {task_spread:.2g}. A constant head makes every "
                        "difference between groups zero, so that the fairness loss "
                        "did not act on the representation. Use fairness_head='probe', "
                        "whose head is fitted to the task and cannot do this.",
                        CollapsedHeadWarning,
                        stacklevel=4,
                    )


def _spread(logits: Tensor) -> float:
    """Standard deviation over the samples of a head's probabilities."""
    return logits.softmax(dim=1).std(dim=0).mean().item()


def _resolve_device(device: str | torch.device) -> torch.device:
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        return torch.device(device)
    except RuntimeError as error:
        raise ValueError(
            f"`device` must be 'auto' or a device of torch such as 'cpu' or 'cuda:0'; "
            f"got {device!r}."
        ) from error


@contextmanager
def _seeded(seed: int, device: torch.device | None = None) -> Iterator[None]:
    """Seed torch, and leave its global random state as it was."""
    on_cuda = device is not None and device.type == "cuda"
    with torch.random.fork_rng(devices=[device] if on_cuda else []):
        torch.manual_seed(int(seed))
        yield
