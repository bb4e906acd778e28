"""One training: its samples, how an epoch is scored, and its callbacks."""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import torch
from sklearn.metrics import roc_auc_score
from sklearn.utils import _safe_indexing
from skorch.callbacks import GradientNormClipping, LRScheduler

from fairtask._callbacks import BestEpoch, LearningRate, ProgressBar
from fairtask._data import holdout
from fairtask._labels import Labels
from fairtask._net import FairnessNet
from fairtask._sensitive import SensitiveFeatures
from fairtask._validation import check_callbacks

__all__ = [
    "EPOCH_SCORES",
    "OPTIMIZERS",
    "Samples",
    "check_epoch_scoring",
    "make_callbacks",
    "resolve_batch_size",
    "score_probabilities",
    "take_rows",
]

OPTIMIZERS: dict[str, tuple[type[torch.optim.Optimizer], dict[str, Any]]] = {
    "adamw": (torch.optim.AdamW, {"weight_decay": 1.0}),
    "sgd": (torch.optim.SGD, {"momentum": 0.9, "weight_decay": 5e-4}),
}
"""Optimizers by name, with their settings. AdamW's decay is multiplied by the rate."""

MIN_CYCLE = 10
"""Fewer steps than this have no room to warm up and cool down."""


@dataclass(frozen=True)
class Samples:
    """Samples with their labels, groups and weights, all encoded.

    Attributes
    ----------
    X : array of shape (n_samples, ...)
    labels : Labels
    sensitive : SensitiveFeatures
    task_weight : ndarray of shape (n_samples, n_tasks), float32, or None
        Weights in the task losses.
    group_weight : ndarray of shape (n_samples,), float32, or None
        Weights in the fairness losses.
    """

    X: Any
    labels: Labels
    sensitive: SensitiveFeatures
    task_weight: np.ndarray | None = None
    group_weight: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.labels.codes)

    def take(self, rows: np.ndarray) -> "Samples":
        """Return the samples at these positions."""
        return Samples(
            self.X[rows],
            replace(self.labels, codes=self.labels.codes[rows]),
            self.sensitive.take(rows),
            None if self.task_weight is None else self.task_weight[rows],
            None if self.group_weight is None else self.group_weight[rows],
        )

    def hold_out(
        self, fraction: float, rng: np.random.RandomState
    ) -> tuple["Samples", "Samples"]:
        """Split at random; the part held out has no weights.

        Classes and groups are in both parts in about the same proportions.
        """
        kept, held_out = holdout(self.labels.codes, self.sensitive.codes, fraction, rng)
        if not len(held_out):
            raise ValueError(
                "`early_stopping` has nothing to hold out: each of the "
                f"n_samples={len(self)} is the only one of its class."
            )
        validation = replace(self.take(held_out), task_weight=None, group_weight=None)
        return self.take(kept)._rescaled(), validation

    def _rescaled(self) -> "Samples":
        """Return the samples with weights whose mean is 1 again."""
        rescaled = []
        for weight in (self.task_weight, self.group_weight):
            if weight is not None and not weight.any(axis=0).all():
                raise ValueError(
                    "`early_stopping` holds out all samples whose weight is above 0; "
                    "pass `X_val` and `y_val`."
                )
            rescaled.append(None if weight is None else weight / weight.mean(axis=0))
        return replace(self, task_weight=rescaled[0], group_weight=rescaled[1])

    def target(self, attributes: Sequence[int]) -> dict[str, np.ndarray]:
        """Return what the objective is computed from, with some of the attributes.

        The groups of all attributes go along, to be recorded.
        """
        target = {
            "y": self.labels.codes,
            "groups": self.sensitive.codes[:, attributes],
        }
        if self.sensitive.names:
            target["recorded_groups"] = self.sensitive.codes
        if self.task_weight is not None:
            target["task_weight"] = self.task_weight
        if self.group_weight is not None:
            target["group_weight"] = self.group_weight
        return target

    def cells(self) -> pd.MultiIndex:
        """Return attribute, task, class and group of all that is recorded of groups.

        A single task has no name, and no level.
        """
        labels, sensitive = self.labels, self.sensitive
        tasks: list[tuple[str, ...]] = [(name,) for name in labels.names] or [()]
        cells = [
            (attribute, *task, label, group)
            for attribute, groups in zip(sensitive.names, sensitive.groups, strict=True)
            for task, classes in zip(tasks, labels.classes, strict=True)
            for label in pd.Series(classes)
            for group in pd.Series(groups)
        ]
        # In this order pandas must take the names for sorted: look-ups warn otherwise.
        named = {"attribute": sensitive.names}
        if labels.names:
            named["task"] = labels.names
        table = pd.DataFrame(cells, columns=[*named, "class", "group"], dtype=object)
        for level, names in named.items():
            table[level] = pd.Categorical(table[level], names)
        index = pd.MultiIndex.from_frame(table)
        return index.set_levels(list(named.values()), level=list(named))


def _accuracy(y: np.ndarray, probabilities: np.ndarray) -> float:
    return float((probabilities.argmax(axis=1) == y).mean())


def _neg_log_loss(y: np.ndarray, probabilities: np.ndarray) -> float:
    return float(np.log(probabilities[np.arange(len(y)), y].clip(1e-300)).mean())


def _roc_auc(y: np.ndarray, probabilities: np.ndarray) -> float:
    n_classes = probabilities.shape[1]
    if n_classes == 2:
        return roc_auc_score(y, probabilities[:, 1])
    return roc_auc_score(
        y, probabilities, multi_class="ovr", labels=np.arange(n_classes)
    )


EPOCH_SCORES: dict[str, Callable[[np.ndarray, np.ndarray], float]] = {
    "accuracy": _accuracy,
    "neg_log_loss": _neg_log_loss,
    "roc_auc": _roc_auc,
}
"""Scores of an epoch by name, from class codes and probabilities of one task."""


def check_epoch_scoring(epoch_scoring: Any, labels: Labels) -> None:
    """Raise a ValueError if the validation data cannot be scored."""
    if epoch_scoring != "roc_auc":
        return
    for k, classes in enumerate(labels.classes):
        missing = np.setdiff1d(np.arange(len(classes)), labels.codes[:, k])
        if len(missing):
            raise ValueError(
                "`epoch_scoring='roc_auc'` needs every class in the validation data; "
                f"missing: {classes[missing].tolist()}. A larger "
                "`validation_fraction`, or `X_val` and `y_val`, may have them."
            )


def score_probabilities(
    epoch_scoring: Any, validation: Samples, probabilities: list[np.ndarray]
) -> float:
    """Score predictions for validation data, the greater the better.

    Parameters
    ----------
    epoch_scoring : str or callable
        A key of `EPOCH_SCORES`, which is averaged over the tasks, or a callable.
    validation : Samples
    probabilities : list of ndarray of shape (n_samples, n_classes)
    """
    labels = validation.labels
    if not callable(epoch_scoring):
        score = EPOCH_SCORES[epoch_scoring]
        return float(
            np.mean([score(labels.codes[:, k], p) for k, p in enumerate(probabilities)])
        )
    score = epoch_scoring(
        labels.decode(labels.codes),
        probabilities if labels.is_multioutput else probabilities[0],
        validation.sensitive.decode(),
    )
    if isinstance(score, str) or not hasattr(score, "__float__"):
        raise ValueError(f"`epoch_scoring` must return a number; got {score!r}.")
    return float(score)


def take_rows(values: Any, rows: np.ndarray) -> Any:
    """Return the rows of what users pass with the samples, or None if there are none.

    Parameters
    ----------
    values : array-like, dict of array-likes, or None
    rows : ndarray of int
    """
    if values is None:
        return None
    if isinstance(values, dict):
        return {name: _safe_indexing(column, rows) for name, column in values.items()}
    return _safe_indexing(values, rows)


def resolve_batch_size(batch_size: int | str, n_samples: int) -> int:
    """Return the number of samples in a batch.

    "auto" leaves a small data set with enough steps per epoch.
    """
    if batch_size == "auto":
        return min(512, max(32, n_samples // 32))
    return int(batch_size)


def make_callbacks(
    estimator: Any,
    *,
    n_samples: int,
    max_epochs: int,
    is_planned: bool,
    epoch_score: Callable[[FairnessNet], float] | None,
) -> list:
    """Return the callbacks of one training, the user's among them.

    Parameters
    ----------
    estimator : estimator
        Whose parameters say what is wanted.
    n_samples : int
    max_epochs : int
    is_planned : bool
        Whether this training is the whole of it, over which a learning rate can change.
    epoch_score : callable or None
        Score of the net after an epoch, to keep the best.
    """
    # Copies: a callback keeps what it saw, and belongs to one training.
    callbacks = copy.deepcopy(check_callbacks(estimator.callbacks))
    if estimator.lr_schedule != "constant" and any(
        isinstance(entry[-1] if isinstance(entry, tuple) else entry, LRScheduler)
        for entry in callbacks
    ):
        raise ValueError(
            "`callbacks` has a schedule of the learning rate, and so has "
            f"`lr_schedule={estimator.lr_schedule!r}`; set it to 'constant'."
        )
    if estimator.max_grad_norm is not None:
        callbacks.append(("clip", GradientNormClipping(estimator.max_grad_norm)))
    batch_size = resolve_batch_size(estimator.batch_size, n_samples)
    n_steps = max_epochs * -(-n_samples // batch_size)
    if is_planned and estimator.lr_schedule != "constant" and n_steps >= MIN_CYCLE:
        callbacks.append(("lr", LearningRate(estimator.lr_schedule, n_steps)))
    if estimator.progress_bar:
        callbacks.append(("progress_bar", ProgressBar()))
    if epoch_score is not None:
        # The first: a callback of the user may end the training after an epoch.
        callbacks.insert(
            0, ("best_epoch", BestEpoch(epoch_score, estimator.n_iter_no_change))
        )
    return callbacks
