"""What a training may have come to: weights, losses and heads looked at after it."""

import warnings
from collections.abc import Sequence

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning
from torch import Tensor

from fairtask._net import PREDICT_BATCH_SIZE, FairnessNet, InMemoryDataset
from fairtask.exceptions import CollapsedHeadWarning
from fairtask.modules import MultiTaskNetwork

__all__ = [
    "check_finite",
    "warn_if_collapsed",
    "warn_if_nothing_learnt",
    "warn_in_fit",
]

COLLAPSED_SPREAD = 0.1
"""A head whose probabilities vary less than this share of the task head's is flat."""


def check_finite(net: FairnessNet) -> None:
    """Raise a ValueError if the training diverged."""
    if not all(p.isfinite().all() for p in net.module_.parameters()):
        raise ValueError(
            "The training diverged: weights are NaN or infinite. Standardise `X`, "
            f"whose features may be large, or lower `lr`, which is {net.lr}."
        )


def warn_if_nothing_learnt(net: FairnessNet, n_classes: int) -> None:
    """Compare the task loss of the last epoch with that of a guess."""
    loss, guessing = net.history[-1, "train_task_loss"], np.log(n_classes)
    if loss > 2 * guessing:
        warn_in_fit(
            ConvergenceWarning,
            f"The task loss is {loss:.3g} after training, while that of a guess is "
            f"{guessing:.3g}. Standardise `X`, whose features may be large, or lower "
            f"`lr`, which is {net.lr}.",
        )


def warn_if_collapsed(
    net: FairnessNet, dataset: InMemoryDataset, attribute_names: Sequence[str]
) -> None:
    """Compare how much the heads' probabilities vary over the training samples."""
    step = -(-len(dataset) // PREDICT_BATCH_SIZE)

    def probabilities(network: MultiTaskNetwork, X: Tensor) -> Tensor:
        task_logits, fairness_logits, _ = network(X)
        heads = [task_logits, *fairness_logits]
        return torch.stack([head[0].softmax(dim=1) for head in heads])

    outputs = net.evaluate(InMemoryDataset(dataset.X[::step]), probabilities, dim=1)
    spreads = outputs.std(dim=1).mean(dim=1)
    for i, name in enumerate(attribute_names, start=1):
        if spreads[i] < COLLAPSED_SPREAD * spreads[0]:
            warn_in_fit(
                CollapsedHeadWarning,
                f"The fairness head of {name!r} has collapsed: the standard deviation "
                f"of its probabilities is {spreads[i]:.2g}, that of the task head's "
                f"{spreads[0]:.2g}. A constant head makes every difference between "
                "groups zero, so that the fairness loss no longer acts on the "
                "representation. The head of fairness_head='probe' is fitted to the "
                "task.",
            )


def warn_in_fit(category: type[Warning], message: str) -> None:
    """Warn at the line that called `fit`; the caller is called by `fit` itself."""
    warnings.warn(message, category, stacklevel=5)
