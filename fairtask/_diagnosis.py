"""What a training may have come to: weights, losses and heads looked at after it."""

from collections.abc import Sequence

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from torch import Tensor

from fairtask._data import SampleDataset
from fairtask._labels import Labels
from fairtask._net import FairnessNet
from fairtask._warnings import warn_user
from fairtask.exceptions import CollapsedHeadWarning
from fairtask.modules import MultiTaskNetwork

__all__ = [
    "check_finite",
    "warn_if_collapsed",
    "warn_if_never_scored",
    "warn_if_nothing_learnt",
]

REMEDIES = {
    True: "It has not learnt the task yet: train for more epochs, or raise `lr`.",
    False: "The head of fairness_head='probe' is fitted to the task.",
}
"""What to do about a head, by whether it has a task loss of its own."""

COLLAPSED_SPREAD = 0.1
"""A head whose probabilities vary less than this share of the task head's is flat."""


def check_finite(net: FairnessNet, remedy: str) -> None:
    """Raise a ValueError if the training diverged; tell the remedy."""
    if not all(p.isfinite().all() for p in net.module_.parameters()):
        raise ValueError(
            f"The training diverged: weights are NaN or infinite. {remedy} `lr`, which "
            f"is {net.lr}."
        )


def warn_if_never_scored(net: FairnessNet) -> None:
    """Tell that no epoch had a score."""
    callbacks = dict(net.callbacks_)
    if "best_epoch" in callbacks and net.kept_epoch_ is None:
        warn_user(
            UserWarning,
            "`epoch_scoring` gave no number for any epoch: the last epoch is kept.",
        )


def warn_if_nothing_learnt(net: FairnessNet, labels: Labels, remedy: str) -> None:
    """Compare the task losses of the epoch that was kept with those of a guess."""
    kept = -1 if net.kept_epoch_ is None else net.kept_epoch_ - 1
    for n_classes, term in zip(labels.n_classes, net.term_names, strict=False):
        # An epoch that a callback ended at its beginning has no terms.
        loss = net.history[kept].get(f"train_{term}", 0.0)
        guessing = np.log(n_classes)
        if loss > 2 * guessing:
            warn_user(
                ConvergenceWarning,
                f"The task loss is {loss:.3g} after training, while that of a guess is "
                f"{guessing:.3g}. {remedy} `lr`, which is {net.lr}.",
            )


def warn_if_collapsed(
    net: FairnessNet, dataset: SampleDataset, attribute_names: Sequence[str]
) -> None:
    """Compare how much the heads' probabilities vary over the training samples."""
    heads = [
        s for s, head in enumerate(net.module_.fairness_heads) if head.may_collapse
    ]
    if not heads:
        return

    def probabilities(network: MultiTaskNetwork, X: Tensor, _: object) -> list[Tensor]:
        outputs = network(X)
        compared = [outputs.task, *(outputs.fairness[s] for s in heads)]
        return [logits.softmax(dim=1) for head in compared for logits in head]

    some = dataset.thinned(-(-len(dataset) // dataset.evaluated_at_once))
    spreads = [p.std(dim=0).mean().item() for p in net.evaluate(some, probabilities)]
    n_tasks = len(net.module_.task_heads)
    for i, s in enumerate(heads, start=1):
        for k in range(n_tasks):
            spread, of_task = spreads[i * n_tasks + k], spreads[k]
            if spread < COLLAPSED_SPREAD * of_task:
                is_fitted = net.module_.fairness_heads[s].is_fitted
                warn_user(
                    CollapsedHeadWarning,
                    f"The fairness head of {attribute_names[s]!r} "
                    f"{'is' if is_fitted else 'has collapsed: it is'} almost constant. "
                    f"The standard deviation of its probabilities is {spread:.2g}, "
                    f"that of the task head's {of_task:.2g}. A constant head makes "
                    "every difference between groups zero, so that the fairness loss "
                    f"does not act on the representation. {REMEDIES[is_fitted]}",
                )
