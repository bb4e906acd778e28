"""The bases of all fairness losses: running means of cells, penalties per stratum."""

import copy
from abc import ABCMeta, abstractmethod
from collections.abc import Sequence
from typing import ClassVar, Literal, Self

import torch
from torch import Tensor, nn

from fairtask._processes import sum_over_processes
from fairtask.losses._checks import (
    are_codes,
    check_columns,
    check_number,
    check_samples,
    check_size,
    check_values,
)

__all__ = [
    "CellPenalty",
    "FairnessLoss",
    "cell_members",
    "group_sums",
    "mean_over_strata",
]

AUTO_WINDOW = 200
"""Number of samples that the running mean of a cell covers with "auto" momentum."""

AUTO_MAX_MOMENTUM = 0.99
"""Limit of about 100 batches: the network has changed since older ones."""


def group_sums(columns: Sequence[Tensor], codes: Tensor, n_groups: int) -> list[Tensor]:
    """Sum columns of numbers over the samples of each group.

    The membership is a dense matrix. There is no branch on the data and no wait for the
    device, ``torch.compile`` and ``torch.func.vmap`` can trace it, and the sums are
    bitwise reproducible, unlike scattered additions on a GPU.

    Parameters
    ----------
    columns : sequence of Tensor of shape (n_samples, n_strata)
        Finite numbers of one type.
    codes : Tensor of shape (n_samples,), integer
        Group of each sample, 0 to ``n_groups - 1``. A sample with another code, such
        as -1 for an unknown group, belongs to no group.
    n_groups : int
        Number of groups.

    Returns
    -------
    sums : list of Tensor of shape (n_strata, n_groups)

    Examples
    --------
    >>> import torch
    >>> from fairtask.losses import group_sums
    >>> losses = torch.tensor([[1.0], [2.0], [4.0]])
    >>> (sums,) = group_sums([losses], torch.tensor([0, 1, 1]), n_groups=2)
    >>> sums
    tensor([[1., 6.]])
    """
    groups = torch.arange(n_groups, device=codes.device)
    # Mixed precision would round the sums and thus their differences.
    with torch.autocast(codes.device.type, enabled=False):
        members = (codes.unsqueeze(-1) == groups).to(columns[0].dtype)
        return [column.mT @ members for column in columns]


def cell_members(included: Tensor, codes: Tensor, n_groups: int) -> Tensor:
    """Return which samples are in each cell.

    Parameters
    ----------
    included : Tensor of shape (n_samples, n_strata), bool
        Whether a sample is in a stratum.
    codes : Tensor of shape (n_samples,), integer
        Group of each sample; see `group_sums`.
    n_groups : int

    Returns
    -------
    members : Tensor of shape (n_samples, n_strata, n_groups), bool
    """
    is_group = codes.unsqueeze(-1) == torch.arange(n_groups, device=codes.device)
    return included.unsqueeze(-1) & is_group.unsqueeze(-2)


class CellPenalty(nn.Module):
    """Penalty on the differences between the means of cells, which run over batches.

    A cell is one group inside one stratum, such as the samples of a class.

    Parameters
    ----------
    group_momentum : float in [0, 1) or "auto"
        See `FairnessLoss`.

    Attributes
    ----------
    running_means : Tensor of shape (n_strata, n_groups, ...)
        Running mean of each cell.
    seen : Tensor of shape (n_strata, n_groups), bool
        Cells that have occurred in training.
    """

    n_groups: int
    running_means: Tensor
    seen: Tensor

    def __init__(self, group_momentum: float | Literal["auto"]) -> None:
        super().__init__()
        if not isinstance(group_momentum, str) or group_momentum != "auto":
            check_number("group_momentum", group_momentum, below=1, other=" or 'auto'")
        self.group_momentum = group_momentum

    def _set_cells(self, n_strata: int, n_groups: int, *shape: int) -> None:
        """Make the running means of the cells, each of `shape`; none is seen."""
        self._n_batches = 0
        cells = n_strata, n_groups
        means = torch.zeros((*cells, *shape), dtype=torch.float32)
        self.register_buffer("running_means", means)
        self.register_buffer("seen", torch.zeros(cells, dtype=torch.bool))

    def _check_batch(
        self,
        n_samples: int,
        n_classes: int,
        y: Tensor,
        groups: Tensor,
        weight: Tensor | None,
    ) -> None:
        """Raise a ValueError if labels, groups or weights are not as described."""
        check_samples(n_samples, y, groups, weight)
        if torch.compiler.is_compiling():
            return
        # NOTE: a GPU waits while values are looked at. To look at the batches 1, 2, 4
        # and so on costs nothing, and finds most mistakes.
        self._n_batches += 1
        is_looked_at = self._n_batches.bit_count() == 1
        if not is_looked_at or (y.is_cuda and torch.cuda.is_current_stream_capturing()):
            return
        try:
            check_values(y, groups, weight, n_classes=n_classes, n_groups=self.n_groups)
        except RuntimeError as error:
            # No single value is known in `vmap` over these tensors. Other errors are
            # those of the device.
            if not str(error).startswith("vmap"):
                raise

    @property
    def _runs(self) -> bool:
        """Whether this batch moves the running means, and is penalised at them."""
        return self.training and self.group_momentum != 0

    def _track(self, means: Tensor, sizes: Tensor) -> tuple[Tensor, Tensor]:
        """Update the running means; return them with the gradient of the batch."""
        with torch.no_grad():
            cells = (*sizes.shape, *[1] * (means.ndim - sizes.ndim))
            m = self._momentum(sizes).reshape(cells)
            # The first batch of a cell starts its mean: there is no bias towards zero.
            moved = torch.where(
                self.seen.reshape(cells),
                m * self.running_means + (1 - m) * means,
                means,
            )
            present = sizes > 0
            # NaN and infinity, of a batch that a loop of mixed precision then skips,
            # would stay in the means for ever.
            is_finite = means.isfinite().reshape(*sizes.shape, -1).all(-1)
            tracked = present & is_finite
            self.running_means.copy_(
                torch.where(tracked.reshape(cells), moved, self.running_means)
            )
            self.seen.logical_or_(tracked)
        # NOTE: the value is that of the running means, the gradient that of the batch.
        # The graph keeps the cells, and a later batch changes `seen` in place.
        return self.running_means + (means - means.detach()), self.seen | present

    def _momentum(self, sizes: Tensor) -> Tensor:
        """Momentum of each cell, given the number of its samples in the batch."""
        if self.group_momentum == "auto":
            return (1 - sizes / AUTO_WINDOW).clamp(0, AUTO_MAX_MOMENTUM)
        return torch.full_like(sizes, self.group_momentum)


def mean_over_strata(penalties: Tensor, present: Tensor) -> Tensor:
    """Return the mean penalty; a stratum with fewer than two cells contributes 0."""
    comparable = present.sum(-1) >= 2
    return torch.where(comparable, penalties, torch.zeros_like(penalties)).mean()


class FairnessLoss(CellPenalty, metaclass=ABCMeta):
    r"""Penalty on the differences between groups in the output of a head.

    A stratum is a set of samples in which groups are compared, such as the samples of a
    class. A cell is one group inside one stratum. The loss is computed in three steps:
    a statistic per sample (`statistics`), its mean in each cell, and a penalty on the
    differences between the cells of a stratum (`penalty`). A subclass defines the first
    and the last step, and `compared_classes`; `GroupLossPenalty` and `RatePenalty` have
    the first.

    With ``group_momentum`` m > 0 the penalty is taken at running means of the cells,
    :math:`u \leftarrow m u + (1 - m) L`, where :math:`L` are the means of the cells
    present in the batch. The gradient is that of the penalty at :math:`u` times that of
    :math:`L`, as in stochastic compositional gradient descent [1]_. A penalty on the
    means of a mini-batch alone is biased: it punishes the noise of small cells. It is
    used in evaluation mode, and with m = 0.

    Parameters
    ----------
    n_groups : int, default=2
        Number of groups G of the sensitive attribute, at least 2.
    n_classes : int, default=2
        Number of classes C of the task, at least 2.
    positive_classes : sequence of int, default=None
        Codes of the positive classes, for losses that need them. None: class 1 of a
        binary task.
    group_momentum : float in [0, 1) or "auto", default="auto"
        Momentum m of the running means. With "auto" the mean of each cell covers about
        its last 200 samples, :math:`m = 1 - n / 200` for n samples in the batch, but at
        most about 100 batches, :math:`m \le 0.99`. Large cells then follow the training
        closely, and small ones are averaged for long.

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

    Examples
    --------
    The difference between two groups in the mean confidence, over all samples:

    >>> import torch
    >>> from fairtask.losses import FairnessLoss
    >>> class ConfidenceGap(FairnessLoss):
    ...     def compared_classes(self):
    ...         return ()
    ...
    ...     def statistics(self, logits, y):
    ...         confidence = logits.softmax(-1).amax(-1, keepdim=True)
    ...         return confidence, torch.ones_like(confidence, dtype=torch.bool)
    ...
    ...     def penalty(self, means, present):
    ...         return (means[..., 0] - means[..., 1]).abs()
    >>> loss = ConfidenceGap(n_groups=2)
    >>> logits = torch.tensor([[2.0, 0.0], [0.0, 0.0]])
    >>> loss(logits, y=torch.tensor([0, 0]), groups=torch.tensor([0, 1]))
    tensor(0.3808)
    """

    settings: ClassVar[tuple[str, ...]] = ("positive_classes", "group_momentum")
    """Parameters of an estimator that it passes on when it makes the loss."""

    stratum_classes: Tensor

    def __init__(
        self,
        n_groups: int = 2,
        n_classes: int = 2,
        *,
        positive_classes: Sequence[int] | None = None,
        group_momentum: float | Literal["auto"] = "auto",
    ) -> None:
        super().__init__(group_momentum)
        self.positive_classes = positive_classes
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

        Raises
        ------
        ValueError
            If a tensor has another shape or type, or a code or weight is out of range.
            The codes and weights of the batches 1, 2, 4 and so on are looked at.
        """
        means, sizes = self.cell_means(logits, y, groups, weight)
        present = sizes > 0
        if self._runs:
            means, present = self._track(means, sizes)
        penalties = self.penalty(means, present)
        if penalties.shape != present.shape[:1]:
            raise ValueError(
                f"`penalty` of {type(self).__name__} must return a tensor of shape "
                f"{tuple(present.shape[:1])}, a number per stratum; got "
                f"{tuple(penalties.shape)}."
            )
        return mean_over_strata(penalties, present)

    def cell_means(
        self, logits: Tensor, y: Tensor, groups: Tensor, weight: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        r"""Compute the mean statistic of each cell, and the number of its samples.

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
        check_columns("logits", logits, "n_classes", self.n_classes)
        self._check_batch(len(logits), self.n_classes, y, groups, weight)
        # The loss of a sample may be more than the largest float16.
        precise = torch.promote_types(logits.dtype, torch.float32)
        values, included = self.statistics(logits.to(precise), y)
        weights = included.to(torch.promote_types(values.dtype, torch.float32))
        if weight is not None:
            weights = weights * weight.unsqueeze(-1)
        columns = [weights * values, weights]
        if weight is not None:
            columns.append(weights.square())
        sums = sum_over_processes(group_sums(columns, groups, self.n_groups))
        means, totals = sums[0] / torch.where(sums[1] > 0, sums[1], 1), sums[1]
        if weight is None:
            return means, totals
        return means, totals.square() / torch.where(sums[2] > 0, sums[2], 1)

    def strata(self) -> Tensor:
        """Return the classes of each stratum, shape (n_strata, n_classes), bool."""
        classes = torch.arange(self.n_classes, device=self.stratum_classes.device)
        logits = torch.zeros(self.n_classes, self.n_classes, device=classes.device)
        _, included = self.statistics(logits, classes)
        return included.T.cpu()

    def can_compare(self, y: Tensor, groups: Tensor) -> bool:
        """Return whether there are two groups to compare in these samples."""
        known = self.strata().T[y] & (groups >= 0).unsqueeze(-1)
        return any(len(groups[stratum].unique()) >= 2 for stratum in known.T)

    @abstractmethod
    def compared_classes(self) -> Sequence[int]:
        """Return the class of each stratum; none if all samples are one stratum."""

    @abstractmethod
    def statistics(self, logits: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Compute the statistic of each sample in each stratum, and its membership.

        Parameters
        ----------
        logits : Tensor of shape (n_samples, n_classes)
        y : Tensor of shape (n_samples,), int64

        Returns
        -------
        values : Tensor of shape (n_samples, n_strata)
            Finite.
        included : Tensor of shape (n_samples, n_strata), bool
            Whether the sample belongs to the stratum. It depends on `y` alone.
        """

    @abstractmethod
    def penalty(self, means: Tensor, present: Tensor) -> Tensor:
        """Compute the penalty of each stratum.

        It must not branch on the data, and must be finite, with a finite gradient, for
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
        check_size("n_classes", n_classes, 2)
        check_size("n_groups", n_groups, 2)
        self.n_groups = n_groups
        self.n_classes = n_classes
        positive = self.positive_classes
        if positive is not None and not are_codes(positive, n_classes):
            raise ValueError(
                f"`positive_classes` must hold codes of the {n_classes} classes, each "
                f"of them once; got {positive!r}."
            )
        classes = torch.tensor(list(self.compared_classes()) or [0])
        # It follows from the settings and need not be saved.
        self.register_buffer("stratum_classes", classes, persistent=False)
        self._set_cells(len(classes), n_groups)

    def extra_repr(self) -> str:
        """Return sizes and settings, for the module's repr."""
        return (
            f"{self.n_groups}, {self.n_classes}, group_momentum={self.group_momentum}"
        )
