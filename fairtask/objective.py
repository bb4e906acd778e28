"""The objective: task losses and fairness losses in one number."""

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from fairtask.losses import FairnessLoss

__all__ = ["Objective"]


class Objective(nn.Module):
    r"""Task loss and fairness losses in one number (eq. 3 of the paper).

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
    fairness_losses : sequence of S sequences of K FairnessLoss
        The loss of each attribute on each task. Empty for single-task learning.
    """

    def __init__(
        self, lam: float, fairness_losses: Sequence[Sequence[FairnessLoss]] = ()
    ) -> None:
        super().__init__()
        self.lam = lam
        self.fairness_losses = nn.ModuleList(
            nn.ModuleList(losses) for losses in fairness_losses
        )

    def forward(
        self,
        task_logits: Sequence[Tensor],
        fairness_logits: Sequence[Sequence[Tensor]],
        fitted_logits: Sequence[Sequence[Tensor]],
        y: Tensor,
        groups: Tensor,
    ) -> tuple[Tensor, list[Tensor]]:
        """Compute the objective of a batch.

        Parameters
        ----------
        task_logits : sequence of K Tensor of shape (n_samples, n_classes)
            Output of the task heads.
        fairness_logits : sequence of S sequences of K Tensor
            What the fairness losses are evaluated on.
        fitted_logits : sequence of S sequences of K Tensor
            Output of the fairness heads that are fitted to the task; a sequence is
            empty where an attribute's head is not.
        y : Tensor of shape (n_samples, K), int64
            Class codes.
        groups : Tensor of shape (n_samples, S), int64
            Group codes, -1 where unknown.

        Returns
        -------
        objective : Tensor, scalar
        terms : list of 1 + S Tensor, scalar, detached
            The task loss and the fairness loss of each attribute.
        """
        task_loss = _cross_entropy(task_logits, y)
        objective = self.lam * task_loss
        terms = [task_loss.detach()]
        for s, losses in enumerate(self.fairness_losses):
            per_task = [
                loss(fairness_logits[s][k], y[:, k], groups[:, s])
                for k, loss in enumerate(cast(nn.ModuleList, losses))
            ]
            fairness_loss = torch.stack(per_task).sum()
            terms.append(fairness_loss.detach())
            objective = objective + (1 - self.lam) * fairness_loss
            if fitted_logits[s]:
                fit = _cross_entropy(fitted_logits[s], y)
                objective = objective + (fit - fit.detach())
        return objective, terms

    def extra_repr(self) -> str:
        """Weight of the task, for the module's repr."""
        return f"lam={self.lam}"


def _cross_entropy(logits: Sequence[Tensor], y: Tensor) -> Tensor:
    return torch.stack(
        [cross_entropy(task, y[:, k]) for k, task in enumerate(logits)]
    ).sum()
