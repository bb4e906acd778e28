"""Penalties on group losses, which are mean losses over the samples of a group."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, relu

from fairtask._validation import check_one_of
from fairtask.losses._checks import check_number
from fairtask.losses._fairness_loss import FairnessLoss

__all__ = [
    "PARITIES",
    "SAMPLE_LOSSES",
    "BoundedGroupLoss",
    "GroupLossDivergence",
    "GroupLossFairness",
    "GroupLossPenalty",
]

Parity = Literal["overall", "equalized_odds", "equal_opportunity"]
PARITIES = ("overall", "equalized_odds", "equal_opportunity")
"""Which samples of the groups a penalty on group losses can compare."""

SampleLoss = Literal["cross_entropy", "zero_one"]
SAMPLE_LOSSES = ("cross_entropy", "zero_one")
"""Losses of a sample, whose means are the group losses."""


class GroupLossPenalty(FairnessLoss):
    r"""Penalty on the differences between group losses.

    The group loss is the mean loss over the samples of a group, or over those of its
    samples that are in a class. A subclass defines `penalty`.

    Parameters
    ----------
    n_groups : int, default=2
        Number of groups G of the sensitive attribute.
    n_classes : int, default=2
        Number of classes C of the task.
    parity : {"equalized_odds", "equal_opportunity", "overall"}
        Samples in which groups are compared: those of each class; those of each
        positive class; all.
    sample_loss : {"cross_entropy", "zero_one"}, default="cross_entropy"
        Loss of a sample: the cross-entropy :math:`-\log p(y_i)`, or
        :math:`1 - p(y_i)`, the zero-one loss of a prediction drawn from p. The latter
        is bounded, and inside a class its mean is an error rate.
    positive_classes, group_momentum
        See `FairnessLoss`.

    Examples
    --------
    The largest difference between group losses, squared:

    >>> import torch
    >>> from fairtask.losses import GroupLossPenalty
    >>> class SquaredGap(GroupLossPenalty):
    ...     def penalty(self, means, present):
    ...         largest = torch.where(present, means, 0).amax(-1)
    ...         smallest = torch.where(present, means, torch.inf).amin(-1)
    ...         return (largest - smallest).square()
    >>> loss = SquaredGap(parity="overall", sample_loss="zero_one")
    >>> logits = torch.tensor([[2.0, 0.0], [0.0, 0.0]])
    >>> loss(logits, y=torch.tensor([0, 0]), groups=torch.tensor([0, 1]))
    tensor(0.1450)
    """

    settings = (*FairnessLoss.settings, "parity", "sample_loss")

    def __init__(
        self,
        n_groups: int = 2,
        n_classes: int = 2,
        *,
        parity: Parity = "equalized_odds",
        sample_loss: SampleLoss = "cross_entropy",
        positive_classes: Sequence[int] | None = None,
        group_momentum: float | Literal["auto"] = "auto",
    ) -> None:
        check_one_of("parity", parity, PARITIES)
        check_one_of("sample_loss", sample_loss, SAMPLE_LOSSES)
        if positive_classes is not None and parity != "equal_opportunity":
            raise ValueError(
                "`positive_classes` goes with parity='equal_opportunity' and with "
                f"rates; got parity={parity!r}."
            )
        self.parity = parity  # the base class calls `compared_classes`
        self.sample_loss = sample_loss
        super().__init__(
            n_groups,
            n_classes,
            positive_classes=positive_classes,
            group_momentum=group_momentum,
        )

    def compared_classes(self) -> Sequence[int]:
        """Return the class of each stratum; none if all samples are one stratum."""
        if self.parity == "overall":
            return ()
        if self.parity == "equalized_odds":
            return range(self.n_classes)
        if self.positive_classes is None and self.n_classes != 2:
            raise ValueError(
                "`positive_classes` must name classes for "
                f"parity='equal_opportunity' of a task with {self.n_classes} classes."
            )
        return (1,) if self.positive_classes is None else self.positive_classes

    def statistics(self, logits: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Return the loss of each sample, in the stratum of its class or of all."""
        losses = self.sample_losses(logits, y).unsqueeze(-1)
        if self.parity == "overall":
            return losses, torch.ones_like(losses, dtype=torch.bool)
        included = y.unsqueeze(-1) == self.stratum_classes
        return losses.expand_as(included), included

    def sample_losses(self, logits: Tensor, y: Tensor) -> Tensor:
        """Return the loss of each sample, shape (n_samples,), at least 0."""
        losses = cross_entropy(logits, y, reduction="none")
        return losses if self.sample_loss == "cross_entropy" else -torch.expm1(-losses)

    def extra_repr(self) -> str:
        """Return sizes and settings, for the module's repr."""
        return (
            f"{super().extra_repr()}, parity={self.parity!r}, "
            f"sample_loss={self.sample_loss!r}"
        )


class GroupLossFairness(GroupLossPenalty):
    r"""Group loss fairness (GLF).

    It is the gap for two groups, and one minus Jain's fairness index [1]_ for more
    (eq. 5 of [2]_; the limit of the inner sum there is a misprint for G):

    .. math::

        \left|L_1 - L_2\right| \quad (G = 2), \qquad
        1 - \frac{\left(\sum_{g=1}^{G} L_g\right)^2}{G \sum_{g=1}^{G} L_g^2}
        \quad (G > 2)

    where :math:`L_g` is the loss of group g and G is ``n_groups``, less the groups
    that are absent. The second form does not change if all losses are scaled and stays
    below :math:`1 - 1/G`; neither is true of the first. Values and useful weights of
    the two forms are therefore not comparable.

    Parameters
    ----------
    n_groups, n_classes, parity, sample_loss, positive_classes, group_momentum
        See `GroupLossPenalty`.

    References
    ----------
    .. [1] R. Jain, D.-M. Chiu and W. Hawe. "A quantitative measure of fairness and
       discrimination for resource allocation in shared computer systems".
       DEC Research Report TR-301, 1984.
    .. [2] "Learning fair latent representation with multi-task deep learning".

    Examples
    --------
    >>> import torch
    >>> from fairtask.losses import GroupLossFairness
    >>> loss = GroupLossFairness(n_groups=2, parity="overall")
    >>> logits = torch.tensor([[2.0, 0.0], [0.0, 0.0]])
    >>> loss(logits, y=torch.tensor([0, 0]), groups=torch.tensor([0, 1]))
    tensor(0.5662)
    """

    def penalty(self, means: Tensor, present: Tensor) -> Tensor:
        """Return the gap (two groups) or one minus Jain's index of each stratum."""
        if self.n_groups == 2:
            return (means[..., 0] - means[..., 1]).abs()
        losses = torch.where(present, means, 0)
        # Scaling by the largest loss keeps tiny losses from underflowing when squared.
        scale = losses.detach().amax(-1, keepdim=True)
        shares = losses / torch.where(scale > 0, scale, 1)
        squared_sum = shares.sum(-1).square()
        sum_of_squares = shares.square().sum(-1)
        n_present = present.sum(-1)
        jain = squared_sum / (n_present * sum_of_squares).clamp_min(1)
        return torch.where(scale.squeeze(-1) > 0, _at_least_zero(1 - jain), 0)


class GroupLossDivergence(GroupLossPenalty):
    r"""Group loss divergence (GLD).

    It is the divergence of a softmax over the negative group losses from the uniform
    distribution (eq. 6 and 7 of [1]_):

    .. math::

        \exp\left(\sum_{g=1}^{G} P_g \log (G P_g)\right) - 1, \qquad
        P_g = \frac{\exp(-L_g)}{\sum_{j=1}^{G} \exp(-L_j)}

    where :math:`L_g` is the loss of group g and G is ``n_groups``, less the groups
    that are absent. Near equality it is about half the variance of the losses (for two
    groups, the squared gap over 8), and so gentler than `GroupLossFairness`.

    Parameters
    ----------
    n_groups, n_classes, parity, sample_loss, positive_classes, group_momentum
        See `GroupLossPenalty`.

    References
    ----------
    .. [1] "Learning fair latent representation with multi-task deep learning".

    Examples
    --------
    >>> import torch
    >>> from fairtask.losses import GroupLossDivergence
    >>> loss = GroupLossDivergence(n_groups=2, parity="overall")
    >>> logits = torch.tensor([[2.0, 0.0], [0.0, 0.0]])
    >>> loss(logits, y=torch.tensor([0, 0]), groups=torch.tensor([0, 1]))
    tensor(0.0393)
    """

    def penalty(self, means: Tensor, present: Tensor) -> Tensor:
        """Return the exponential of the divergence, less one, of each stratum."""
        absent_logit = torch.finfo(means.dtype).min / 2  # finite: 0 * inf is NaN
        log_p = torch.where(present, -means, absent_logit).log_softmax(-1)
        n_present = present.sum(-1, keepdim=True, dtype=means.dtype).clamp_min(1)
        terms = log_p.exp() * (log_p + n_present.log())
        return torch.expm1(_at_least_zero(torch.where(present, terms, 0).sum(-1)))


class BoundedGroupLoss(GroupLossPenalty):
    r"""Bounded group loss (BGL): the excess of the worst group over a bound.

    It is the penalty of [1]_:

    .. math::

        \max\left(\max_g L_g - \zeta,\ 0\right)

    where :math:`L_g` is the loss of group g and :math:`\zeta` is ``bound``. It does not
    compare groups: it is also positive if all have the same loss above the bound.

    Parameters
    ----------
    n_groups, n_classes, parity, sample_loss, positive_classes, group_momentum
        See `GroupLossPenalty`.
    bound : float, default=0
        Loss that is not penalised, at least 0.

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
        n_groups: int = 2,
        n_classes: int = 2,
        *,
        parity: Parity = "equalized_odds",
        sample_loss: SampleLoss = "cross_entropy",
        positive_classes: Sequence[int] | None = None,
        group_momentum: float | Literal["auto"] = "auto",
        bound: float = 0.0,
    ) -> None:
        super().__init__(
            n_groups,
            n_classes,
            parity=parity,
            sample_loss=sample_loss,
            positive_classes=positive_classes,
            group_momentum=group_momentum,
        )
        check_number("bound", bound)
        self.bound = bound

    def penalty(self, means: Tensor, present: Tensor) -> Tensor:
        """Return the excess of each stratum's largest loss over the bound."""
        # Losses are at least 0: an absent cell, set to 0, is never the largest.
        return relu(torch.where(present, means, 0).amax(-1) - self.bound)

    def extra_repr(self) -> str:
        """Return sizes and settings, for the module's repr."""
        return f"{super().extra_repr()}, bound={self.bound}"


def _at_least_zero(values: Tensor) -> Tensor:
    """Clip values that are below zero by rounding, and keep the gradient."""
    return values - values.detach().clamp_max(0)
