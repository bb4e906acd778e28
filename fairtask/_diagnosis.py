"""Checks of a training: the groups before it; weights, losses and heads after it."""

from collections.abc import Sequence

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from torch import Tensor

from fairtask._data import SampleDataset, Source
from fairtask._labels import Tasks
from fairtask._net import FairnessNet
from fairtask._validation import warn_user
from fairtask.exceptions import CollapsedHeadWarning, NothingPenalizedWarning
from fairtask.modules import MultiTaskNetwork

__all__ = [
    "check_finite",
    "warn_if_collapsed",
    "warn_if_never_scored",
    "warn_if_nothing_is_compared",
    "warn_if_nothing_learnt",
    "warn_without_sensitive_features",
    "warn_without_two_groups",
]

REMEDIES = {
    True: (
        "It has not learnt the task yet: train for more epochs, raise `lr`, or "
        "penalise less."
    ),
    False: "A head that learns the task too, such as a probe, does not collapse.",
}
"""Remedies for a flat head, by whether it has a task loss of its own."""

COLLAPSED_SPREAD = 0.1
"""A head whose probabilities vary less than this share of the task head's is flat."""


def warn_without_sensitive_features() -> None:
    """Warn that a method that needs groups got none."""
    warn_user(
        NothingPenalizedWarning,
        "`fit` got no `sensitive_features`, so that no difference between groups is "
        "penalised. Pass them (through a pipeline or a search as "
        "`<step>__sensitive_features`, or by metadata routing), or learn the task "
        "alone, with lam=1.",
    )


def warn_without_two_groups(attribute: str, groups: np.ndarray) -> None:
    """Warn that the groups of an attribute cannot be compared."""
    warn_user(
        NothingPenalizedWarning,
        f"`sensitive_features` column {attribute!r} has no two known groups to "
        f"compare{' inside a class' if len(groups) > 1 else ''}; its groups are "
        f"{groups.tolist()}. No difference is penalised for it.",
    )


def warn_if_nothing_is_compared(n_attributes: int, is_known: np.ndarray) -> None:
    """Warn if a continued training penalises nothing.

    Parameters
    ----------
    n_attributes : int
        Number of fairness heads.
    is_known : ndarray of shape (n_samples, n_attributes), bool
        Whether the group of a sample is known.
    """
    if is_known.any():
        return
    reason = "the samples have no known group"
    if not n_attributes:
        reason = "the network that is trained further has no fairness head"
    warn_user(
        NothingPenalizedWarning,
        f"No difference between groups is penalised: {reason}.",
    )


def check_finite(net: FairnessNet, remedy: str) -> None:
    """Raise a ValueError that names a remedy if the training diverged."""
    if not all(p.isfinite().all() for p in net.module_.parameters()):
        raise ValueError(
            "The training diverged: weights are NaN or infinite. "
            f"{_lower_rate(net, remedy)}"
        )


def _lower_rate(net: FairnessNet, remedy: str) -> str:
    lower = f"lower `lr`, which is {net.lr}."
    return f"{remedy}, or {lower}" if remedy else lower.capitalize()


def warn_if_never_scored(net: FairnessNet) -> None:
    """Warn if no epoch had a score."""
    callbacks = dict(net.callbacks_)
    if "best_epoch" in callbacks and net.kept_epoch_ is None:
        warn_user(
            UserWarning,
            "`epoch_scoring` gave no number for any epoch: the last epoch is kept.",
        )


def warn_if_nothing_learnt(net: FairnessNet, tasks: Tasks, remedy: str) -> None:
    """Compare the task losses of the epoch that was kept with those of a guess."""
    kept = -1 if net.kept_epoch_ is None else net.kept_epoch_ - 1
    for n_classes, term in zip(tasks.n_classes, net.term_names, strict=False):
        # An epoch that a callback ended at its beginning has no terms.
        loss = net.history[kept].get(f"train_{term}", 0.0)
        guessing = np.log(n_classes)
        if loss > 2 * guessing:
            warn_user(
                ConvergenceWarning,
                f"The task loss is {loss:.3g} after training, while that of a guess is "
                f"{guessing:.3g}. {_lower_rate(net, remedy)}",
            )


def warn_if_collapsed(
    net: FairnessNet, source: Source, attribute_names: Sequence[str]
) -> None:
    """Compare how much the heads' probabilities vary over the training samples."""
    n_tasks = len(net.module_.task_heads)
    heads = [
        s for s, head in enumerate(net.module_.fairness_heads) if head.may_collapse
    ]
    if not heads:
        return

    def probabilities(network: MultiTaskNetwork, X: Tensor, _: object) -> list[Tensor]:
        outputs = network(X)
        compared = [outputs.task, *(outputs.fairness[s] for s in heads)]
        return [logits.softmax(dim=1) for head in compared for logits in head]

    some = SampleDataset(source.thinned(-(-len(source) // source.evaluated_at_once)))
    spreads = [p.std(dim=0).mean().item() for p in net.evaluate(some, probabilities)]
    for i, s in enumerate(heads, start=1):
        for k in range(n_tasks):
            spread, of_task = spreads[i * n_tasks + k], spreads[k]
            if spread < COLLAPSED_SPREAD * of_task:
                learns_task = net.module_.fairness_heads[s].learns_task
                warn_user(
                    CollapsedHeadWarning,
                    f"The fairness head of {attribute_names[s]!r} "
                    f"{'is' if learns_task else 'has collapsed: it is'} almost "
                    "constant. "
                    f"The standard deviation of its probabilities is {spread:.2g}, "
                    f"that of the task head's {of_task:.2g}. A constant head makes "
                    "every difference between groups zero, so that the fairness loss "
                    f"does not act on the representation. {REMEDIES[learns_task]}",
                )
