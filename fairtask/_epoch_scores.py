"""Scores of an epoch on validation data, that select the best epoch."""

from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.metrics import roc_auc_score
from torch import Tensor

from fairtask._data import Samples
from fairtask._labels import Tasks
from fairtask._net import FairnessNet
from fairtask._sensitive import SensitiveAttributes
from fairtask._stored import StoredSamples

__all__ = ["EPOCH_SCORES", "EpochScore", "softmax"]


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
"""Scores by name, from the class codes and probabilities of one task."""


class EpochScore:
    """Score of a net on the validation data of the epoch, the greater the better.

    Parameters
    ----------
    scoring : str or callable
        A key of `EPOCH_SCORES`, whose score is averaged over the tasks, or a callable
        from labels, probabilities and groups to a number.
    validation : Samples or StoredSamples
    tasks : Tasks
    attributes : SensitiveAttributes

    Raises
    ------
    ValueError
        If the validation data cannot be scored.
    """

    def __init__(
        self,
        scoring: str | Callable[..., float],
        validation: Samples | StoredSamples,
        tasks: Tasks,
        attributes: SensitiveAttributes,
    ) -> None:
        self.scoring = scoring
        self.y, self.groups = validation.y, validation.groups
        self.tasks = tasks
        self.attributes = attributes
        if scoring == "roc_auc":
            self._check_every_class()

    def _check_every_class(self) -> None:
        for k, classes in enumerate(self.tasks.classes):
            missing = np.setdiff1d(np.arange(len(classes)), self.y[:, k])
            if len(missing):
                raise ValueError(
                    "`epoch_scoring='roc_auc'` needs every class in the validation "
                    f"data; missing: {classes[missing].tolist()}. A larger "
                    "`validation_fraction`, or `X_val` and `y_val`, may have them."
                )

    def __call__(self, net: FairnessNet) -> Any:
        """Score the logits of the validation data in the last epoch.

        Of models that are trained together each has a score.
        """
        logits = net.valid_logits()
        if logits[0].ndim == 2:
            return self._of_model(logits)
        return [self._of_model(list(model)) for model in zip(*logits, strict=True)]

    def _of_model(self, logits: list[Tensor]) -> float:
        probabilities = softmax(logits)
        if not callable(self.scoring):
            of_task = EPOCH_SCORES[self.scoring]
            scores = [of_task(self.y[:, k], p) for k, p in enumerate(probabilities)]
            return float(np.mean(scores))
        score: Any = self.scoring(
            self.tasks.decode(self.y),
            probabilities if self.tasks.is_multioutput else probabilities[0],
            self.attributes.decode(self.groups),
        )
        if isinstance(score, str) or not hasattr(score, "__float__"):
            raise ValueError(f"`epoch_scoring` must return a number; got {score!r}.")
        return float(score)


def softmax(logits: list[Tensor]) -> list[np.ndarray]:
    """Return the probabilities of each task's classes."""
    return [task.double().softmax(dim=1).numpy() for task in logits]
