"""Fairness losses: penalties on the differences between the losses of groups.

A fairness loss looks at one head's output in three steps: a loss per sample, its mean
in each cell of samples that should be treated alike, and a penalty on the differences
between the cells of a stratum. Each is a `torch.nn.Module` that can be used in any
training loop.
"""

from abc import ABCMeta, abstractmethod
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, relu

from fairtask._groups import UNKNOWN, group_means

__all__ = [
    "FAIRNESS_LOSSES",
    "PARITIES",
    "BoundedGroupLoss",
    "FairnessLoss",
    "GroupLossDivergence",
    "GroupLossFairness",
]

Parity = Literal["overall", "equalized_odds", "equal_opportunity"]
PARITIES = ("overall", "equalized_odds", "equal_opportunity")
"""What a fairness loss can compare."""


class FairnessLoss(nn.Module, metaclass=ABCMeta):
    r"""Penalty on the differences between the losses of groups.

    A subclass defines `penalty`; it may also replace `sample_losses`.

    With ``group_momentum`` m > 0 the penalty is taken at running means of the cell
    losses, :math:`u \leftarrow m u + (1 - m) L` for the cells present in the batch.
    The gradient is that of the penalty at :math:`u` times that of the batch's
    :math:`L`, as in stochastic compositional gradient descent [1]_. On mini-batches a
    penalty on the batch's own means is biased: it punishes the noise of small cells.
    In evaluation mode, and with m = 0, the batch's own means are used.

    Parameters
    ----------
    n_groups : int
        Number of groups G of the sensitive attribute.
    n_classes : int, default=2
        Number of classes C of the task.
    parity : {"equalized_odds", "equal_opportunity", "overall"}
        What is compared: the groups inside each class; inside the positive class
        (code 1) of a binary task; over all samples.
    group_momentum : float in [0, 1), default=0
        Momentum m of the running means.

    Attributes
    ----------
    running_losses : Tensor of shape (n_strata, n_groups)
        Running mean loss of each cell. There is one stratum, or one per class
        compared.
    seen : Tensor of shape (n_strata, n_groups), bool
        Cells that have occurred in training.

    References
    ----------
    .. [1] M. Wang, E. X. Fang and H. Liu. "Stochastic compositional gradient descent".
       Mathematical Programming 161, 2017.
    """

    running_losses: Tensor
    seen: Tensor

    def __init__(
        self,
        n_groups: int,
        n_classes: int = 2,
        *,
        parity: Parity = "equalized_odds",
        group_momentum: float = 0.0,
    ) -> None:
        super().__init__()
        if parity not in PARITIES:
            raise ValueError(f"`parity` must be one of {PARITIES}; got {parity!r}.")
        if parity == "equal_opportunity" and n_classes != 2:
            raise ValueError(
                "`parity='equal_opportunity'` compares groups inside the positive "
                f"class of a binary task; got {n_classes} classes."
            )
        if not 0 <= group_momentum < 1:
            raise ValueError(
                f"`group_momentum` must be in [0, 1); got {group_momentum!r}."
            )
        self.n_groups = n_groups
        self.n_classes = n_classes
        self.parity = parity
        self.group_momentum = group_momentum
        n_strata = n_classes if parity == "equalized_odds" else 1
        self.register_buffer("running_losses", torch.zeros(n_strata, n_groups))
        self.register_buffer("seen", torch.zeros(n_strata, n_groups, dtype=torch.bool))

    def forward(self, logits: Tensor, y: Tensor, groups: Tensor) -> Tensor:
        """Compute the fairness loss of a batch.

        Parameters
        ----------
        logits : Tensor of shape (n_samples, n_classes)
            Output of the head.
        y : Tensor of shape (n_samples,), int64
            Class codes.
        groups : Tensor of shape (n_samples,), int64
            Group codes, -1 where the group is unknown.

        Returns
        -------
        loss : Tensor, scalar
            Mean over the strata. A stratum in which fewer than two groups are known
            contributes 0.
        """
        losses, present = self.cell_losses(logits, y, groups)
        if self.training and self.group_momentum > 0:
            losses, present = self._track(losses, present)
        comparable = present.sum(-1) >= 2
        penalties = self.penalty(losses, present)
        return torch.where(comparable, penalties, torch.zeros_like(penalties)).mean()

    def sample_losses(self, logits: Tensor, y: Tensor) -> Tensor:
        """Loss of each sample, shape (n_samples,): the cross-entropy."""
        return cross_entropy(logits, y, reduction="none")

    def cell_losses(
        self, logits: Tensor, y: Tensor, groups: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Mean loss of each cell, and whether the cell has samples.

        Returns
        -------
        losses : Tensor of shape (n_strata, n_groups)
        present : Tensor of shape (n_strata, n_groups), bool
        """
        known = (groups >= 0) & (groups < self.n_groups)
        cells = groups
        if self.parity == "equalized_odds":
            cells = y * self.n_groups + groups
        elif self.parity == "equal_opportunity":
            known = known & (y == 1)
        cells = torch.where(known, cells, UNKNOWN)
        means, counts = group_means(
            self.sample_losses(logits, y), cells, self.seen.numel()
        )
        return means.view_as(self.seen), (counts > 0).view_as(self.seen)

    def can_compare(self, y: Tensor, groups: Tensor) -> bool:
        """Whether there are two groups to compare among these labels and groups."""
        _, present = self.cell_losses(torch.zeros(len(y), self.n_classes), y, groups)
        return bool((present.sum(-1) >= 2).any())

    @abstractmethod
    def penalty(self, losses: Tensor, present: Tensor) -> Tensor:
        """Penalty of each stratum.

        Must be free of branches on the data, and finite, with a finite gradient, for
        every `losses` >= 0 and every `present`.

        Parameters
        ----------
        losses : Tensor of shape (n_strata, n_groups)
            Cell losses.
        present : Tensor of shape (n_strata, n_groups), bool
            Cells to compare.

        Returns
        -------
        penalties : Tensor of shape (n_strata,)
            At least 0. The value of a stratum with fewer than two cells is not used.
        """

    def _track(self, losses: Tensor, present: Tensor) -> tuple[Tensor, Tensor]:
        """Update the running means; return them with the gradient of the batch."""
        with torch.no_grad():
            m = self.group_momentum
            # A cell's first batch starts its mean, so that there is no pull to zero.
            moved = torch.where(
                self.seen, m * self.running_losses + (1 - m) * losses, losses
            )
            self.running_losses.copy_(torch.where(present, moved, self.running_losses))
            self.seen.logical_or_(present)
        # Value of the running means, gradient of the batch. The graph keeps `seen`,
        # and a later batch changes the buffer in place: hence the clone.
        return self.running_losses + (losses - losses.detach()), self.seen.clone()

    def extra_repr(self) -> str:
        """Sizes and settings, for the module's repr."""
        return (
            f"{self.n_groups}, {self.n_classes}, parity={self.parity!r}, "
            f"group_momentum={self.group_momentum}"
        )


class GroupLossFairness(FairnessLoss):
    r"""Group loss fairness (GLF).

    For two groups the gap, for more one minus Jain's fairness index [1]_ (eq. 5 of the
    paper; the inner sum's limit there is a misprint for G):

    .. math::

        \left|L_1 - L_2\right| \quad (G = 2), \qquad
        1 - \frac{\left(\sum_{g=1}^{G} L_g\right)^2}{G \sum_{g=1}^{G} L_g^2}
        \quad (G > 2)

    where :math:`L_g` is the loss of group g and G is ``n_groups``, less the groups
    that are absent. The second form does not change when all losses are scaled and
    stays below :math:`1 - 1/G`; the first is neither, so their values, and useful
    weights, are not comparable.

    Parameters
    ----------
    n_groups, n_classes, parity, group_momentum
        See `FairnessLoss`.

    References
    ----------
    .. [1] R. Jain, D.-M. Chiu and W. Hawe. "A quantitative measure of fairness and
       discrimination for resource allocation in shared computer systems".
       DEC Research Report TR-301, 1984.

    Examples
    --------
    >>> import torch
    >>> from fairtask.losses import GroupLossFairness
    >>> loss = GroupLossFairness(n_groups=2, parity="overall")
    >>> logits = torch.tensor([[2.0, 0.0], [0.0, 0.0]])
    >>> loss(logits, y=torch.tensor([0, 0]), groups=torch.tensor([0, 1]))
    tensor(0.5662)
    """

    def penalty(self, losses: Tensor, present: Tensor) -> Tensor:
        """Gap (two groups) or one minus Jain's index (more) of each stratum."""
        if self.n_groups == 2:
            return (losses[..., 0] - losses[..., 1]).abs()
        losses = torch.where(present, losses, 0)
        # Scaling by the largest loss keeps tiny losses from underflowing when squared.
        scale = losses.detach().amax(-1, keepdim=True)
        shares = losses / torch.where(scale > 0, scale, 1)
        squared_sum = shares.sum(-1).square()
        sum_of_squares = shares.square().sum(-1)
        n_present = present.sum(-1)
        jain = squared_sum / (n_present * sum_of_squares).clamp_min(1)
        return torch.where(scale.squeeze(-1) > 0, _at_least_zero(1 - jain), 0)


class GroupLossDivergence(FairnessLoss):
    r"""Group loss divergence (GLD).

    The divergence from the uniform distribution of a softmax over the negative group
    losses (eq. 6 and 7 of the paper):

    .. math::

        \exp\left(\sum_{g=1}^{G} P_g \log (G P_g)\right) - 1, \qquad
        P_g = \frac{\exp(-L_g)}{\sum_{j=1}^{G} \exp(-L_j)}

    where :math:`L_g` is the loss of group g and G is ``n_groups``, less the groups
    that are absent. Near equality it is about half the variance of the losses (for two
    groups the squared gap over 8): smooth where `GroupLossFairness` is harsh.

    Parameters
    ----------
    n_groups, n_classes, parity, group_momentum
        See `FairnessLoss`.

    Examples
    --------
    >>> import torch
    >>> from fairtask.losses import GroupLossDivergence
    >>> loss = GroupLossDivergence(n_groups=2, parity="overall")
    >>> logits = torch.tensor([[2.0, 0.0], [0.0, 0.0]])
    >>> loss(logits, y=torch.tensor([0, 0]), groups=torch.tensor([0, 1]))
    tensor(0.0393)
    """

    def penalty(self, losses: Tensor, present: Tensor) -> Tensor:
        """Exponential of the divergence, less one, of each stratum."""
        absent_logit = torch.finfo(losses.dtype).min / 2  # finite: 0 * inf is NaN
        log_p = torch.where(present, -losses, absent_logit).log_softmax(-1)
        n_present = present.sum(-1, keepdim=True, dtype=losses.dtype).clamp_min(1)
        terms = log_p.exp() * (log_p + n_present.log())
        return torch.expm1(_at_least_zero(torch.where(present, terms, 0).sum(-1)))


class BoundedGroupLoss(FairnessLoss):
    r"""Bounded group loss (BGL): the excess of the worst group over a bound [1]_.

    .. math::

        \max\left(\max_g L_g - \zeta,\ 0\right)

    where :math:`L_g` is the loss of group g and :math:`\zeta` is ``bound``. It does not
    compare groups: it is positive also when all have the same loss above the bound.

    Parameters
    ----------
    n_groups, n_classes, parity, group_momentum
        See `FairnessLoss`.
    bound : float, default=0
        Loss that each group may have.

    References
    ----------
    .. [1] A. Agarwal, M. Dudík and Z. S. Wu. "Fair regression: quantitative definitions
       and reduction-based algorithms". ICML 2019.

    Examples
    --------
    >>> import torch
    >>> from fairtask.losses import BoundedGroupLoss
    >>> loss = BoundedGroupLoss(n_groups=2, parity="overall")
    >>> logits = torch.tensor([[2.0, 0.0], [0.0, 0.0]])
    >>> loss(logits, y=torch.tensor([0, 0]), groups=torch.tensor([0, 1]))
    tensor(0.6931)
    """

    def __init__(
        self,
        n_groups: int,
        n_classes: int = 2,
        *,
        parity: Parity = "equalized_odds",
        group_momentum: float = 0.0,
        bound: float = 0.0,
    ) -> None:
        super().__init__(
            n_groups, n_classes, parity=parity, group_momentum=group_momentum
        )
        self.bound = bound

    def penalty(self, losses: Tensor, present: Tensor) -> Tensor:
        """Excess over the bound of the largest loss of each stratum."""
        # Losses are at least 0, so that an absent cell set to 0 is never the largest.
        return relu(torch.where(present, losses, 0).amax(-1) - self.bound)

    def extra_repr(self) -> str:
        """Sizes and settings, for the module's repr."""
        return f"{super().extra_repr()}, bound={self.bound}"


FAIRNESS_LOSSES: dict[str, type[FairnessLoss]] = {
    "bgl": BoundedGroupLoss,
    "gld": GroupLossDivergence,
    "glf": GroupLossFairness,
}
"""Fairness losses by the name an estimator knows them under."""


def _at_least_zero(values: Tensor) -> Tensor:
    """Clip what rounding took below zero, and let the gradient pass."""
    return values - values.detach().clamp_max(0)
