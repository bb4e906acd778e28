"""Penalties on the rates at which groups get a class."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import relu

from fairtask.losses._checks import check_number
from fairtask.losses._fairness_loss import FairnessLoss

__all__ = [
    "DemographicParityLoss",
    "FalsePositiveRateLoss",
    "RatePenalty",
    "TruePositiveRateLoss",
]


class RatePenalty(FairnessLoss):
    r"""Penalty on the largest difference between the soft rates of groups.

    Soft rates are those of FNNC [1]_. The penalty is

    .. math::

        \max\left(\max_g r_g - \min_g r_g - \epsilon,\ 0\right)

    where the soft rate :math:`r_g` is the mean predicted probability of a class over
    those samples of group g that a subclass selects (`counts_in`), and :math:`\epsilon`
    is ``tolerance``. With several positive classes each is taken against the rest, and
    the loss is the mean over them.

    Parameters
    ----------
    n_groups, n_classes, group_momentum
        See `FairnessLoss`.
    positive_classes : sequence of int, default=None
        Codes of the classes whose rates are compared. None: class 1 of a binary task,
        each class of a multiclass one.
    tolerance : float in [0, 1), default=0
        Difference that is not penalised.

    References
    ----------
    .. [1] M. Padala and S. Gujar. "FNNC: achieving fairness through neural networks".
       IJCAI 2020.

    Examples
    --------
    The rate of a class among the samples of the others, as in `FalsePositiveRateLoss`:

    >>> import torch
    >>> from fairtask.losses import RatePenalty
    >>> class RateOfFalseAlarms(RatePenalty):
    ...     def counts_in(self, is_class):
    ...         return ~is_class
    >>> loss = RateOfFalseAlarms(n_groups=2, tolerance=0.1)
    >>> logits = torch.tensor([[0.0, 2.0], [0.0, 0.0]])
    >>> loss(logits, y=torch.tensor([0, 0]), groups=torch.tensor([0, 1]))
    tensor(0.2808)
    """

    def __init__(
        self,
        n_groups: int = 2,
        n_classes: int = 2,
        *,
        positive_classes: Sequence[int] | None = None,
        group_momentum: float | Literal["auto"] = "auto",
        tolerance: float = 0.0,
    ) -> None:
        super().__init__(
            n_groups,
            n_classes,
            positive_classes=positive_classes,
            group_momentum=group_momentum,
        )
        check_number("tolerance", tolerance, below=1)
        self.tolerance = tolerance

    def compared_classes(self) -> Sequence[int]:
        """Return the positive classes; each is a stratum."""
        if self.positive_classes is not None:
            return self.positive_classes
        return (1,) if self.n_classes == 2 else range(self.n_classes)

    def statistics(self, logits: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Return the probability of each stratum's class, and whether it counts."""
        probabilities = logits.softmax(-1).index_select(-1, self.stratum_classes)
        return probabilities, self.counts_in(y.unsqueeze(-1) == self.stratum_classes)

    @abstractmethod
    def counts_in(self, is_class: Tensor) -> Tensor:
        """Return whether a sample counts in a rate.

        Parameters
        ----------
        is_class : Tensor of shape (n_samples, n_strata), bool
            Whether the sample is of the stratum's class.

        Returns
        -------
        included : Tensor of shape (n_samples, n_strata), bool
        """

    def penalty(self, means: Tensor, present: Tensor) -> Tensor:
        """Return the range of the rates of each stratum, less the tolerance."""
        largest = torch.where(present, means, 0).amax(-1)
        smallest = torch.where(present, means, 1).amin(-1)
        return relu(largest - smallest - self.tolerance)

    def extra_repr(self) -> str:
        """Return sizes and settings, for the module's repr."""
        return f"{super().extra_repr()}, tolerance={self.tolerance}"


class DemographicParityLoss(RatePenalty):
    """Penalty on different soft selection rates (DPL), over all samples of a group.

    Parameters
    ----------
    n_groups, n_classes, positive_classes, group_momentum, tolerance
        See `RatePenalty`.

    Examples
    --------
    >>> import torch
    >>> from fairtask.losses import DemographicParityLoss
    >>> loss = DemographicParityLoss(n_groups=2)
    >>> logits = torch.tensor([[0.0, 2.0], [0.0, 0.0]])
    >>> loss(logits, y=torch.tensor([0, 1]), groups=torch.tensor([0, 1]))
    tensor(0.3808)
    """

    def counts_in(self, is_class: Tensor) -> Tensor:
        """Return True for every sample."""
        return torch.ones_like(is_class)


class FalsePositiveRateLoss(RatePenalty):
    """Penalty on different soft false positive rates (FPRL), over the negatives.

    Parameters
    ----------
    n_groups, n_classes, positive_classes, group_momentum, tolerance
        See `RatePenalty`.

    Examples
    --------
    >>> import torch
    >>> from fairtask.losses import FalsePositiveRateLoss
    >>> loss = FalsePositiveRateLoss(n_groups=2)
    >>> logits = torch.tensor([[0.0, 2.0], [0.0, 0.0]])
    >>> loss(logits, y=torch.tensor([0, 0]), groups=torch.tensor([0, 1]))
    tensor(0.3808)
    """

    def counts_in(self, is_class: Tensor) -> Tensor:
        """Return True for the samples of other classes."""
        return ~is_class


class TruePositiveRateLoss(RatePenalty):
    """Penalty on different soft true positive rates (TPRL), over the positives.

    Parameters
    ----------
    n_groups, n_classes, positive_classes, group_momentum, tolerance
        See `RatePenalty`.

    Examples
    --------
    >>> import torch
    >>> from fairtask.losses import TruePositiveRateLoss
    >>> loss = TruePositiveRateLoss(n_groups=2)
    >>> logits = torch.tensor([[0.0, 2.0], [0.0, 0.0]])
    >>> loss(logits, y=torch.tensor([1, 1]), groups=torch.tensor([0, 1]))
    tensor(0.3808)
    """

    def counts_in(self, is_class: Tensor) -> Tensor:
        """Return True for the samples of the class."""
        return is_class
