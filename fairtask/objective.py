"""The objective: task losses and fairness losses in one number."""

from collections.abc import Sequence
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from fairtask.losses import FairnessLoss
from fairtask.modules import HeadOutputs

__all__ = ["Objective", "Terms", "cross_entropies"]


class Terms(NamedTuple):
    """Terms of an objective on one batch.

    Attributes
    ----------
    values : list of Tensor, scalar, detached
        The loss of each task, then the fairness loss of each attribute: what is worth
        a look.
    weighted : list of Tensor, scalar
        What is minimised, a loss of the tasks and one per attribute; their sum is the
        value of the objective.
    fit : Tensor, scalar
        A loss whose gradient stays in the fairness heads, and whose value does not
        count.
    """

    values: list[Tensor]
    weighted: list[Tensor]
    fit: Tensor

    def total(self) -> Tensor:
        """Value of the objective, with the gradient of all terms."""
        objective = torch.stack(self.weighted).sum()
        return objective + (self.fit - self.fit.detach())


class Objective(nn.Module):
    r"""Task losses and fairness losses in one number (eq. 3 of the paper).

    .. math::

        \lambda \sum_{k=1}^{K} \mathcal{L}_k
        + (1 - \lambda) \sum_{s=1}^{S} \mathcal{F}_s

    where :math:`\mathcal{L}_k` is the cross-entropy of task head k and
    :math:`\mathcal{F}_s` the sum over the tasks of the fairness loss of attribute s.

    A fairness head that is fitted to the task (see `fairtask.modules`) does so by
    a cross-entropy that belongs to the gradient and not to the value, and that has no
    weight: it keeps the head a measuring instrument, whatever is traded.

    Parameters
    ----------
    lam : float in [0, 1]
        Weight :math:`\lambda` of the task.
    fairness_losses : sequence of S sequences of FairnessLoss
        The losses of each attribute, one for each output of its head. Empty for
        single-task learning.
    """

    def __init__(
        self,
        lam: float,
        fairness_losses: Sequence[Sequence[FairnessLoss]] = (),
    ) -> None:
        super().__init__()
        self.lam = lam
        self.fairness_losses = nn.ModuleList(
            nn.ModuleList(losses) for losses in fairness_losses
        )

    def forward(
        self,
        outputs: HeadOutputs,
        y: Tensor,
        groups: Tensor,
        task_weight: Tensor | None = None,
        group_weight: Tensor | None = None,
    ) -> Terms:
        """Compute the terms of a batch.

        Parameters
        ----------
        outputs : HeadOutputs
            What the network puts out.
        y : Tensor of shape (n_samples, K), int64
            Class codes.
        groups : Tensor of shape (n_samples, S), int64
            Group codes, -1 where unknown.
        task_weight : Tensor of shape (n_samples, K), optional
            Weight of each sample in each task loss, with a mean of about 1 over the
            whole training set.
        group_weight : Tensor of shape (n_samples,), optional
            Weight of each sample in the fairness losses.

        Returns
        -------
        Terms
        """
        task_losses = cross_entropies(outputs.task, y, task_weight)
        values = [loss.detach() for loss in task_losses]
        weighted = [self.lam * torch.stack(task_losses).sum()]
        fit = torch.zeros_like(weighted[0])
        for s, losses in enumerate(self.fairness_losses):
            fairness_loss = self._fairness_loss(
                cast(nn.ModuleList, losses),
                outputs.fairness[s],
                y,
                groups[:, s],
                group_weight,
            )
            values.append(fairness_loss.detach())
            weighted.append(self._weigh_fairness(s, fairness_loss))
            if outputs.fitted[s]:
                fit = fit + sum(cross_entropies(outputs.fitted[s], y, task_weight))
        return Terms(values, weighted, fit)

    @staticmethod
    def _fairness_loss(
        losses: nn.ModuleList,
        logits: Sequence[Tensor],
        y: Tensor,
        groups: Tensor,
        weight: Tensor | None,
    ) -> Tensor:
        """Sum over the tasks of the fairness loss of one attribute."""
        per_task = [
            loss(logits[k], y[:, k], groups, weight) for k, loss in enumerate(losses)
        ]
        return torch.stack(per_task).sum()

    def _weigh_fairness(self, s: int, fairness_loss: Tensor) -> Tensor:
        """Weigh the fairness loss of attribute `s`."""
        return (1 - self.lam) * fairness_loss

    def extra_repr(self) -> str:
        """Weight of the task, for the module's repr."""
        return f"lam={self.lam}"


def cross_entropies(
    logits: Sequence[Tensor], y: Tensor, weight: Tensor | None = None
) -> list[Tensor]:
    """Compute the mean cross-entropy of each task.

    Parameters
    ----------
    logits : sequence of K Tensor of shape (n_samples, n_classes)
    y : Tensor of shape (n_samples, K), int64
        Class codes.
    weight : Tensor of shape (n_samples, K), optional
        Weights with a mean of 1 over the whole training set: the weighted losses are
        summed and divided by n_samples, which is unbiased on mini-batches.

    Returns
    -------
    losses : list of K Tensor, scalar
    """
    if weight is None:
        return [cross_entropy(task, y[:, k]) for k, task in enumerate(logits)]
    return [
        (weight[:, k] * cross_entropy(task, y[:, k], reduction="none")).mean()
        for k, task in enumerate(logits)
    ]
