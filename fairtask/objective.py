"""The objective: a weighted sum of task losses and fairness losses."""

import sys
from collections.abc import Sequence
from functools import reduce
from numbers import Real
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from fairtask._processes import mean_over_processes
from fairtask.modules import HeadOutputs

__all__ = ["Objective", "Terms", "cross_entropies"]


class Terms(NamedTuple):
    """Terms of an objective on one batch.

    Attributes
    ----------
    values : list of Tensor, scalar, detached
        For the history: the loss of each task, the fairness loss of each attribute with
        its weighted distance, then the distances by themselves, if there are any.
    weighted : list of Tensor, scalar
        The weighted task loss, then the weighted fairness loss of each attribute. Their
        sum is the value of the objective.
    head_loss : Tensor, scalar
        Task loss of the fairness heads. Its gradient stays in these heads, and its
        value is not part of the objective.

    Examples
    --------
    A task alone, with a loss of log 2 because its logits say nothing:

    >>> import torch
    >>> from fairtask.modules import HeadOutputs
    >>> from fairtask.objective import Objective
    >>> outputs = HeadOutputs(torch.zeros(4, 8), [torch.zeros(4, 2)], [], [])
    >>> y, no_groups = torch.tensor([[0], [1], [0], [1]]), torch.empty(4, 0)
    >>> terms = Objective(lam=0.5)(outputs, y, no_groups)
    >>> print(f"{terms.values[0]:.3f}, weighted {terms.weighted[0]:.3f}")
    0.693, weighted 0.347
    >>> terms.total() == terms.weighted[0]
    tensor(True)
    """

    values: list[Tensor]
    weighted: list[Tensor]
    head_loss: Tensor

    def total(self) -> Tensor:
        """Return the value of the objective, with the gradient of all terms."""
        # NOTE: `head_loss` less its detached value is 0, and has its gradient.
        return sum(self.weighted, self.head_loss - self.head_loss.detach())


class Objective(nn.Module):
    r"""Weighted sum of task losses and fairness losses.

    It is eq. 3 of [1]_:

    .. math::

        \lambda \sum_{k=1}^{K} \mathcal{L}_k
        + (1 - \lambda) \sum_{s=1}^{S} \mathcal{F}_s

    where :math:`\mathcal{L}_k` is the cross-entropy of task head k. Summed over the
    tasks, :math:`\mathcal{F}_s` is the fairness loss of attribute s on its head, plus
    ``distance_weight`` times the distance between its groups in the representation.

    Some fairness heads learn the task too (see `fairtask.modules`). Their cross-entropy
    has a gradient, with weight 1 for any :math:`\lambda`, but is not part of the value:
    such a head only measures the representation.

    Parameters
    ----------
    lam : float in [0, 1], or Tensor, scalar
        Weight :math:`\lambda` of the task. A tensor is a buffer of this module, so that
        `torch.func.functional_call` can replace it.
    fairness_losses : sequence of S sequences of nn.Module
        The losses of each attribute, one for each output of its head, with the forward
        of a `~fairtask.losses.FairnessLoss`. Empty for
        single-task learning.
    distances : sequence of S sequences of K nn.Module
        Penalties of each attribute on the representation, one per task, with the
        forward of a `~fairtask.losses.GroupMeanDistance`. Empty for none.
    distance_weight : float, default=1
        Weight of the distances beside the fairness losses.

    References
    ----------
    .. [1] "Learning fair latent representation with multi-task deep learning".

    Examples
    --------
    A step of training for one task and one attribute of two groups:

    >>> import torch
    >>> from fairtask.losses import GroupLossDivergence
    >>> from fairtask.modules import MLP, MultiTaskNetwork, TaskHead
    >>> from fairtask.objective import Objective
    >>> head = torch.nn.Linear(8, 2)
    >>> network = MultiTaskNetwork(MLP(10, (8,)), [head], [TaskHead()])
    >>> objective = Objective(0.3, [[GroupLossDivergence(n_groups=2)]])
    >>> X, y, z = torch.randn(6, 10), [0, 1, 0, 1, 0, 1], [0, 1, 1, 0, 1, 1]
    >>> y, z = (torch.tensor(codes)[:, None] for codes in (y, z))
    >>> terms = objective(network(X), y, z)
    >>> terms.total().backward()
    >>> len(terms.weighted)  # of the task and of the attribute
    2
    """

    lam: float | Tensor

    def __init__(
        self,
        lam: float | Tensor,
        fairness_losses: Sequence[Sequence[nn.Module]] = (),
        *,
        distances: Sequence[Sequence[nn.Module]] = (),
        distance_weight: float = 1.0,
    ) -> None:
        super().__init__()
        if isinstance(lam, Tensor):
            self.register_buffer("lam", lam, persistent=False)
        else:
            _check_weight("lam", lam, "a number from 0 to 1", largest=1)
            self.lam = lam
        _check_weight(
            "distance_weight",
            distance_weight,
            "a finite number of at least 0",
            largest=sys.float_info.max,
        )
        if not all(fairness_losses):
            raise ValueError(
                "`fairness_losses` must hold a loss for each output of an attribute's "
                "head; got none for an attribute."
            )
        self.fairness_losses = nn.ModuleList(
            nn.ModuleList(losses) for losses in fairness_losses
        )
        self.distances = nn.ModuleList(nn.ModuleList(each) for each in distances)
        self.distance_weight = distance_weight

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
            Outputs of the network.
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

        Raises
        ------
        ValueError
            If labels or groups have another number of columns.
        """
        _check_columns("y", y, len(outputs.task), "task")
        if self.fairness_losses:
            n_attributes = len(self.fairness_losses)
            _check_columns("groups", groups, n_attributes, "sensitive attribute")
        task_losses = cross_entropies(outputs.task, y, task_weight)
        values = [loss.detach() for loss in task_losses]
        weighted = [self.lam * _sum(task_losses)]
        head_loss = torch.zeros_like(weighted[0])
        all_distances = []
        labels = y.unbind(dim=1)
        for s in range(len(self.fairness_losses)):
            of_samples = labels, groups[:, s], group_weight
            terms = self._losses(s, outputs, *of_samples)
            if self.distances:
                distance = self._distance(s, outputs, *of_samples)
                all_distances.append(distance.detach())
                terms.append(self.distance_weight * distance)
            fairness_loss = _sum(terms)
            values.append(fairness_loss.detach())
            weighted.append(self._weigh_fairness(s, fairness_loss))
            if outputs.detached[s]:
                head_loss = head_loss + sum(
                    cross_entropies(outputs.detached[s], y, task_weight)
                )
        return Terms(values + all_distances, weighted, head_loss)

    def _losses(
        self,
        s: int,
        outputs: HeadOutputs,
        labels: Sequence[Tensor],
        groups: Tensor,
        weight: Tensor | None,
    ) -> list[Tensor]:
        """Return the fairness loss of attribute `s` on each output of its head."""
        if not outputs.fairness[s]:
            return []
        losses = cast(nn.ModuleList, self.fairness_losses[s])
        return [
            loss(logits, labels[k], groups, weight)
            for k, (loss, logits) in enumerate(
                zip(losses, outputs.fairness[s], strict=True)
            )
        ]

    def _distance(
        self,
        s: int,
        outputs: HeadOutputs,
        labels: Sequence[Tensor],
        groups: Tensor,
        weight: Tensor | None,
    ) -> Tensor:
        """Return the distance between the groups of attribute `s`, over the tasks."""
        distances = cast(nn.ModuleList, self.distances[s])
        h = outputs.representation
        return _sum(
            [
                distance(h, labels[k], groups, weight)
                for k, distance in enumerate(distances)
            ]
        )

    def _weigh_fairness(self, s: int, fairness_loss: Tensor) -> Tensor:
        """Weigh the fairness loss of attribute `s`."""
        return (1 - self.lam) * fairness_loss

    def extra_repr(self) -> str:
        """Return the weight of the task, for the module's repr."""
        return f"lam={self.lam}"


def _sum(terms: Sequence[Tensor]) -> Tensor:
    """Add up terms; a single one, which is usual, takes no operation."""
    return reduce(torch.add, terms)


def _check_weight(argument: str, value: Any, expected: str, *, largest: float) -> None:
    """Raise a ValueError unless it is a number from 0 to the largest."""
    is_number = isinstance(value, Real)
    if not is_number or not 0 <= value <= largest:
        raise ValueError(f"`{argument}` must be {expected}; got {value!r}.")


def _check_columns(argument: str, codes: Tensor, n_columns: int, unit: str) -> None:
    """Raise a ValueError unless there is a column of codes for each `unit`."""
    if codes.ndim != 2 or codes.shape[1] != n_columns:
        raise ValueError(
            f"`{argument}` must have the shape (n_samples, {n_columns}), a column for "
            f"each {unit}; got the shape {tuple(codes.shape)}."
        )


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
        Weights with a mean of 1 over the whole training set. The weighted losses are
        summed and divided by n_samples, which is unbiased on mini-batches.

    Returns
    -------
    losses : list of K Tensor, scalar

    Examples
    --------
    >>> import torch
    >>> from fairtask.objective import cross_entropies
    >>> y = torch.tensor([[0], [1], [1], [0]])
    >>> [loss] = cross_entropies([torch.zeros(4, 2)], y)
    >>> round(loss.item(), 3)  # log 2
    0.693
    """
    # The loss of a sample may be more than the largest float16.
    logits = [t.to(torch.promote_types(t.dtype, torch.float32)) for t in logits]
    if weight is None:
        means = [cross_entropy(task, y[:, k]) for k, task in enumerate(logits)]
    else:
        means = [
            (weight[:, k] * cross_entropy(task, y[:, k], reduction="none")).mean()
            for k, task in enumerate(logits)
        ]
    return mean_over_processes(means, len(y))
