"""Checks of a training: the groups before it; weights, losses and heads after it."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning
from torch import Tensor
from torch.nn.functional import nll_loss

from fairtask._data import SampleDataset
from fairtask._labels import Tasks
from fairtask._net import FairnessNet
from fairtask._validation import warn_user
from fairtask.exceptions import CollapsedHeadWarning, NothingPenalizedWarning
from fairtask.modules import MultiTaskNetwork

__all__ = [
    "check_finite",
    "warn_if_never_scored",
    "warn_if_nothing_is_compared",
    "warn_if_useless",
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

SMALLEST_GAIN = 0.01
"""A task is learnt if its log loss is this share below that of the class shares.

An AUC of .57 gains about as much where both classes are as frequent. A network that
predicts one class for everybody gains 0 or less.
"""

LARGEST_SHARE = 0.999
"""A task is not judged if a class has a larger share of the training samples."""


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
            + _advice(remedy, f"lower `lr`, which is {net.lr}")
        )


def _advice(*clauses: str) -> str:
    """Make a sentence of the clauses that are not empty."""
    *others, last = filter(None, clauses)
    text = f"{', '.join(others)}, or {last}." if others else f"{last}."
    return text[0].upper() + text[1:]


def warn_if_never_scored(net: FairnessNet) -> None:
    """Warn if no epoch had a score."""
    callbacks = dict(net.callbacks_)
    if "best_epoch" in callbacks and net.kept_epoch_ is None:
        warn_user(
            UserWarning,
            "`epoch_scoring` gave no number for any epoch: the last epoch is kept.",
        )


def warn_if_useless(
    net: FairnessNet,
    dataset: SampleDataset,
    tasks: Tasks,
    attribute_names: Sequence[str],
    remedy: str,
) -> None:
    """Warn of tasks that are not learnt and of constant fairness heads.

    Both show in the outputs of the heads for some of the training samples.

    Parameters
    ----------
    net : FairnessNet
    dataset : SampleDataset
        Training samples with their targets.
    tasks : Tasks
    attribute_names : sequence of str
        Attribute of each fairness head.
    remedy : str
        A clause, see `Modality.divergence_remedy`.
    """
    heads = [
        s for s, head in enumerate(net.module_.fairness_heads) if head.may_collapse
    ]

    def log_probabilities(
        network: MultiTaskNetwork, X: Tensor, target: Mapping[str, Tensor]
    ) -> list[Tensor]:
        outputs = network(X)
        of_tasks = network.prediction_logits(outputs, target["groups"])
        compared = [of_tasks, *(outputs.fairness[s] for s in heads)]
        return [logits.log_softmax(dim=1) for head in compared for logits in head]

    some = dataset.some()
    outputs = net.evaluate(some, log_probabilities)
    of_tasks = outputs[: len(tasks.classes)]
    advice = _advice(
        remedy,
        f"change `lr`, which is {net.lr}",
        "train for more epochs",
        "penalise less",
    )
    _warn_if_not_learnt(of_tasks, some.target, tasks, advice)
    spreads = [output.exp().std(dim=0).mean().item() for output in outputs]
    for i, s in enumerate(heads, start=1):
        _warn_if_collapsed(
            spreads[i * len(of_tasks) : (i + 1) * len(of_tasks)],
            spreads[: len(of_tasks)],
            attribute_names[s],
            learns_task=net.module_.fairness_heads[s].learns_task,
        )


def _warn_if_not_learnt(
    outputs: Sequence[Tensor], target: Mapping[str, Tensor], tasks: Tasks, advice: str
) -> None:
    """Compare the log loss of each task with that of its class shares.

    Accuracy would not do: it is high for a model that predicts the common class of a
    rare one. Such predictions may be right, and the probabilities useful.
    """
    y = target["y"].cpu()
    weights = target.get("task_weight", torch.ones_like(y, dtype=torch.float32)).cpu()
    for k, output in enumerate(outputs):
        total = weights[:, k].sum()
        of_classes = torch.zeros(output.shape[1], dtype=weights.dtype)
        shares = of_classes.index_add(0, y[:, k], weights[:, k]) / total
        of_shares = torch.special.entr(shares).sum().item()
        losses = nll_loss(output, y[:, k], reduction="none")
        loss = ((weights[:, k] * losses).sum() / total).item()
        # Where nearly all weight is on one class, there is hardly a task to learn. A
        # loss may be NaN after an overflow.
        is_judged = shares.max() <= LARGEST_SHARE
        if not is_judged or loss <= (1 - SMALLEST_GAIN) * of_shares:
            continue
        frequencies = output.argmax(dim=1).bincount() / len(output)
        most_frequent = tasks.classes[k].tolist()[frequencies.argmax()]
        of_task = f" {tasks.names[k]!r}" if tasks.names else ""
        warn_user(
            ConvergenceWarning,
            f"The network has learnt next to nothing about the task{of_task}: it "
            f"predicts {most_frequent!r} for {100 * frequencies.max():.4g} % of the "
            f"training samples. Their log loss is {loss:.4g}, that of predicting the "
            f"class shares for everybody {of_shares:.4g}. {advice}",
        )


def _warn_if_collapsed(
    spreads: Sequence[float],
    of_tasks: Sequence[float],
    attribute: str,
    *,
    learns_task: bool,
) -> None:
    """Compare how much the probabilities of a fairness head and of the tasks vary."""
    for spread, of_task in zip(spreads, of_tasks, strict=True):
        if spread < COLLAPSED_SPREAD * of_task:
            warn_user(
                CollapsedHeadWarning,
                f"The fairness head of {attribute!r} "
                f"{'is' if learns_task else 'has collapsed: it is'} almost constant. "
                f"The standard deviation of its probabilities is {spread:.2g}, "
                f"that of the task head's {of_task:.2g}. A constant head makes "
                "every difference between groups zero, so that the fairness loss "
                f"does not act on the representation. {REMEDIES[learns_task]}",
            )
