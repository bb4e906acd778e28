"""What every fairness loss does: cell means, running means, a penalty per stratum."""

import copy
from abc import ABCMeta, abstractmethod
from collections.abc import Sequence
from typing import Literal, Self

import torch
from torch import Tensor, nn

from fairtask._groups import group_means

__all__ = ["FairnessLoss"]

AUTO_WINDOW = 200
"""Samples of a cell that its running mean looks back on with "auto" momentum."""

AUTO_MAX_MOMENTUM = 0.99
"""Older means than about 100 batches are those of another network."""


class FairnessLoss(nn.Module, metaclass=ABCMeta):
    r"""Penalty on the differences between groups in what a head puts out.

    A loss is computed in three steps: a statistic per sample (`statistics`), its mean
    in each cell of samples that should be treated alike, and a penalty on the
    differences between the cells of a stratum (`penalty`). A subclass defines the first
    and the last; `GroupLoss` has the first for penalties on losses.

    With ``group_momentum`` m > 0 the penalty is taken at running means of the cells,
    :math:`u \leftarrow m u + (1 - m) L` for the cells present in the batch. The
    gradient is that of the penalty at :math:`u` times that of the batch's :math:`L`, as
    in stochastic compositional gradient descent [1]_. On mini-batches a penalty on the
    batch's own means is biased: it punishes the noise of small cells. In evaluation
    mode, and with m = 0, the batch's own means are used.

    Parameters
    ----------
    n_groups : int, default=2
        Number of groups G of the sensitive attribute.
    n_classes : int, default=2
        Number of classes C of the task.
    positive_classes : sequence of int, default=None
        Codes of the classes that count as positive, for losses that look at those.
        None: class 1 of a binary task.
    group_momentum : float in [0, 1) or "auto", default="auto"
        Momentum m of the running means. "auto" makes each cell look back on about 200
        of its own samples, :math:`m = 1 - n / 200` for n samples in the batch, and
        never further than some 100 batches, :math:`m \le 0.99`: large cells follow
        the training closely, and small ones are averaged for long.

    Attributes
    ----------
    running_means : Tensor of shape (n_strata, n_groups)
        Running mean of each cell.
    seen : Tensor of shape (n_strata, n_groups), bool
        Cells that have occurred in training.
    stratum_classes : Tensor of shape (n_strata,), int64
        Class code of each stratum, 0 for the one stratum of all samples.

    References
    ----------
    .. [1] M. Wang, E. X. Fang and H. Liu. "Stochastic compositional gradient descent".
       Mathematical Programming 161, 2017.
    """

    running_means: Tensor
    seen: Tensor
    stratum_classes: Tensor

    def __init__(
        self,
        n_groups: int = 2,
        n_classes: int = 2,
        *,
        positive_classes: Sequence[int] | None = None,
        group_momentum: float | Literal["auto"] = "auto",
    ) -> None:
        super().__init__()
        if group_momentum != "auto" and not 0 <= group_momentum < 1:
            raise ValueError(
                f"`group_momentum` must be in [0, 1) or 'auto'; got {group_momentum!r}."
            )
        self.positive_classes = positive_classes
        self.group_momentum = group_momentum
        self._set_sizes(n_groups, n_classes)

    def resized(self, n_groups: int, n_classes: int) -> Self:
        """Return a copy for other numbers of groups and classes, with nothing seen."""
        loss = copy.deepcopy(self)
        loss._set_sizes(n_groups, n_classes)
        return loss

    def forward(
        self, logits: Tensor, y: Tensor, groups: Tensor, weight: Tensor | None = None
    ) -> Tensor:
        """Compute the fairness loss of a batch.

        Parameters
        ----------
        logits : Tensor of shape (n_samples, n_classes)
            Output of the head.
        y : Tensor of shape (n_samples,), int64
            Class codes.
        groups : Tensor of shape (n_samples,), int64
            Group codes, -1 where the group is unknown.
        weight : Tensor of shape (n_samples,), optional
            Weight of each sample, at least 0. A sample of weight 0 does not count.

        Returns
        -------
        loss : Tensor, scalar
            Mean over the strata. A stratum in which fewer than two groups are known
            contributes 0.
        """
        means, sizes = self.cell_means(logits, y, groups, weight)
        present = sizes > 0
        if self.training and self.group_momentum != 0:
            means, present = self._track(means, sizes)
        comparable = present.sum(-1) >= 2
        penalties = self.penalty(means, present)
        return torch.where(comparable, penalties, torch.zeros_like(penalties)).mean()

    def cell_means(
        self, logits: Tensor, y: Tensor, groups: Tensor, weight: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        r"""Mean statistic of each cell, and the number of its samples.

        Parameters
        ----------
        logits, y, groups, weight
            See `forward`.

        Returns
        -------
        means : Tensor of shape (n_strata, n_groups)
        sizes : Tensor of shape (n_strata, n_groups)
            Number of samples; of weighted ones the effective number
            :math:`(\sum w)^2 / \sum w^2`.
        """
        values, included = self.statistics(logits, y)
        weights = included.to(torch.promote_types(values.dtype, torch.float32))
        if weight is None:
            return group_means(values, weights, groups, self.n_groups)
        weights = weights * weight.unsqueeze(-1)
        means, totals = group_means(values, weights, groups, self.n_groups)
        _, squares = group_means(values, weights.square(), groups, self.n_groups)
        return means, totals.square() / torch.where(squares > 0, squares, 1)

    def can_compare(self, y: Tensor, groups: Tensor) -> bool:
        """Whether there are two groups to compare among these labels and groups."""
        _, sizes = self.cell_means(torch.zeros(len(y), self.n_classes), y, groups)
        return bool(((sizes > 0).sum(-1) >= 2).any())

    @abstractmethod
    def compared_classes(self) -> Sequence[int]:
        """Class of each stratum; an empty sequence if all samples are one stratum."""

    @abstractmethod
    def statistics(self, logits: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Statistic of each sample in each stratum, and whether it belongs there.

        Parameters
        ----------
        logits : Tensor of shape (n_samples, n_classes)
        y : Tensor of shape (n_samples,), int64

        Returns
        -------
        values : Tensor of shape (n_samples, n_strata)
            Finite.
        included : Tensor of shape (n_samples, n_strata), bool
        """

    @abstractmethod
    def penalty(self, means: Tensor, present: Tensor) -> Tensor:
        """Penalty of each stratum.

        Must be free of branches on the data, and finite, with a finite gradient, for
        every `means` >= 0 and every `present`.

        Parameters
        ----------
        means : Tensor of shape (n_strata, n_groups)
            Mean statistic of each cell.
        present : Tensor of shape (n_strata, n_groups), bool
            Cells to compare.

        Returns
        -------
        penalties : Tensor of shape (n_strata,)
            At least 0. The value of a stratum with fewer than two cells is not used.
        """

    def _set_sizes(self, n_groups: int, n_classes: int) -> None:
        self.n_groups = n_groups
        self.n_classes = n_classes
        positive = self.positive_classes
        if positive is not None and not (
            len(positive) and all(0 <= c < n_classes for c in positive)
        ):
            raise ValueError(
                f"`positive_classes` must hold codes of the {n_classes} classes; got "
                f"{positive!r}."
            )
        classes = torch.tensor(list(self.compared_classes()) or [0])
        shape = len(classes), n_groups
        # Made from the settings, so that it is not part of what is saved.
        self.register_buffer("stratum_classes", classes, persistent=False)
        self.register_buffer("running_means", torch.zeros(shape))
        self.register_buffer("seen", torch.zeros(shape, dtype=torch.bool))

    def _track(self, means: Tensor, sizes: Tensor) -> tuple[Tensor, Tensor]:
        """Update the running means; return them with the gradient of the batch."""
        with torch.no_grad():
            m = self._momentum(sizes)
            # A cell's first batch starts its mean, so that there is no pull to zero.
            moved = torch.where(
                self.seen, m * self.running_means + (1 - m) * means, means
            )
            present = sizes > 0
            self.running_means.copy_(torch.where(present, moved, self.running_means))
            self.seen.logical_or_(present)
        # Value of the running means, gradient of the batch. The graph keeps `seen`,
        # and a later batch changes the buffer in place: hence the clone.
        return self.running_means + (means - means.detach()), self.seen.clone()

    def _momentum(self, sizes: Tensor) -> float | Tensor:
        """Momentum of each cell, given the number of its samples in the batch."""
        if self.group_momentum == "auto":
            return (1 - sizes / AUTO_WINDOW).clamp(0, AUTO_MAX_MOMENTUM)
        return self.group_momentum

    def extra_repr(self) -> str:
        """Sizes and settings, for the module's repr."""
        return (
            f"{self.n_groups}, {self.n_classes}, group_momentum={self.group_momentum}"
        )
