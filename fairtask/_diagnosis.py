"""Checks of a training: the groups before it; weights, losses and heads after it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning
from torch import Tensor
from torch.nn.functional import nll_loss

from fairtask._data import SampleDataset
from fairtask._labels import Tasks
from fairtask._net import FairnessNet
from fairtask._validation import warn_user
from fairtask.exceptions import (
    CollapsedHeadWarning,
    LossyErasureWarning,
    NothingPenalizedWarning,
)
from fairtask.modules import MultiTaskNetwork

__all__ = [
    "TaskFit",
    "check_finite",
    "task_fits",
    "warn_if_erased",
    "warn_if_never_scored",
    "warn_if_nothing_is_compared",
    "warn_if_useless",
    "warn_without_sensitive_features",
    "warn_without_two_groups",
]

REMEDIES = {
    True: (
        "It has not learnt the task yet: train for more epochs, raise `lr`, or "
        "penalise less (raise `lam`)."
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

SMALLEST_REST = 0.5
"""An erasure takes a task if less than this share of its gain in log loss is left.

An AUC of .8 is about .72 then, for normal scores.
"""


@dataclass(frozen=True)
class TaskFit:
    """How well a task is learnt, in its log loss on some of the training samples.

    Accuracy would not do: it is high for a model that predicts the common class of a
    rare one. Such predictions may be right, and the probabilities useful.

    Attributes
    ----------
    loss : float
        NaN after an overflow.
    loss_of_shares : float
        That of predicting the class shares for everybody.
    largest_share : float
        Of a class. Where nearly all weight is on one, there is hardly a task to learn.
    """

    loss: float
    loss_of_shares: float
    largest_share: float

    @classmethod
    def of(cls, output: Tensor, y: Tensor, weights: Tensor) -> Self:
        """Judge log probabilities, shape (n_samples, n_classes)."""
        total = weights.sum()
        of_classes = torch.zeros(output.shape[1], dtype=weights.dtype)
        shares = of_classes.index_add(0, y, weights) / total
        losses = nll_loss(output, y, reduction="none")
        return cls(
            ((weights * losses).sum() / total).item(),
            torch.special.entr(shares).sum().item(),
            shares.max().item(),
        )

    @property
    def gain(self) -> float:
        """How much smaller the loss is than that of the class shares."""
        return self.loss_of_shares - self.loss

    @property
    def is_judged(self) -> bool:
        """Whether there is a task to learn."""
        return self.largest_share <= LARGEST_SHARE

    @property
    def is_learnt(self) -> bool:
        """Whether the loss is clearly below that of the class shares."""
        return self.loss <= (1 - SMALLEST_GAIN) * self.loss_of_shares


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
    listed = groups.tolist()
    problem = f"has no two known groups to compare; its groups are {listed}"
    if len(listed) > 1:
        problem = (
            f"has the groups {listed}, but no class in which they are compared has "
            "samples of two of them, as if they were made from `y`"
        )
    warn_user(
        NothingPenalizedWarning,
        f"`sensitive_features` column {attribute!r} {problem}. No difference is "
        "penalised for it.",
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
        "penalise less (raise `lam`)",
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
    """Compare the log loss of each task with that of its class shares."""
    for k, (output, fit) in enumerate(
        zip(outputs, _task_fits(outputs, target), strict=True)
    ):
        if fit.is_learnt or not fit.is_judged:
            continue
        frequencies = output.argmax(dim=1).bincount() / len(output)
        most_frequent = tasks.classes[k].tolist()[frequencies.argmax()]
        warn_user(
            ConvergenceWarning,
            "The network has learnt next to nothing about the task"
            f"{_name(tasks, k)}: it "
            f"predicts {most_frequent!r} for {100 * frequencies.max():.4g} % of the "
            f"training samples. Their log loss is {fit.loss:.4g}, that of predicting "
            f"the class shares for everybody {fit.loss_of_shares:.4g}. {advice}",
        )


def _name(tasks: Tasks, k: int) -> str:
    """Name a task where there are several, with a space before it."""
    return f" {tasks.names[k]!r}" if tasks.names else ""


def _task_fits(
    outputs: Sequence[Tensor], target: Mapping[str, Tensor]
) -> list[TaskFit]:
    y = target["y"].cpu()
    weights = target.get("task_weight", torch.ones_like(y, dtype=torch.float32)).cpu()
    return [
        TaskFit.of(output, y[:, k], weights[:, k]) for k, output in enumerate(outputs)
    ]


def task_fits(net: FairnessNet, dataset: SampleDataset) -> list[TaskFit]:
    """Judge how well each task is learnt, on some of the training samples."""

    def log_probabilities(
        network: MultiTaskNetwork, X: Tensor, target: Mapping[str, Tensor]
    ) -> list[Tensor]:
        of_tasks = network.prediction_logits(network(X), target["groups"])
        return [logits.log_softmax(dim=1) for logits in of_tasks]

    some = dataset.some()
    return _task_fits(net.evaluate(some, log_probabilities), some.target)


def warn_if_erased(
    before: Sequence[TaskFit], after: Sequence[TaskFit], tasks: Tasks, width: int
) -> None:
    """Warn of tasks that an erasure has taken from the representation.

    A task that was not learnt before it has a warning of its own.
    """
    for k, (old, new) in enumerate(zip(before, after, strict=True)):
        could_be_taken = old.is_judged and old.is_learnt
        is_kept = new.is_learnt and new.gain >= SMALLEST_REST * old.gain
        if is_kept or not could_be_taken:
            continue
        warn_user(
            LossyErasureWarning,
            f"The erasure has taken a large part of the task{_name(tasks, k)} from the "
            f"representation, which has {width} units: the log loss on the training "
            f"samples has risen from {old.loss:.4g} to {new.loss:.4g}, and that of "
            "predicting the class shares for everybody is "
            f"{new.loss_of_shares:.4g}. Fit with erase=False, learn related tasks with "
            "a network each, compare fewer groups, or make a narrow representation "
            "wider.",
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
