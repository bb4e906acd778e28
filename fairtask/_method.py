"""The interface of a method: fairness heads, their losses and the objective."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np
from torch import Tensor, nn

from fairtask._labels import Tasks
from fairtask.modules import FairnessHead, MultiTaskNetwork

__all__ = ["MakeHead", "Method"]

MakeHead = Callable[[int, int], nn.Module]
"""From the width of the input and the number of outputs to a head."""


class Method(ABC):
    """The part of a training that concerns groups: heads, losses, and their weights.

    An estimator makes one for each training, from its parameters. It knows nothing of
    the kind of samples. `make_fairness_head` and `make_objective` have to be written;
    the other methods have a default.
    """

    fixed_parameters: ClassVar[tuple[str, ...]] = ()
    """Parameters that cannot change in a continued training."""

    network_class: ClassVar[type[MultiTaskNetwork]] = MultiTaskNetwork

    # A subclass sets these in `__post_init__` where they depend on its parameters.
    uses_groups: bool = True
    """Whether groups matter in training. If not, `fit` makes no heads and no losses."""

    needs_trained_trunk: bool = False
    """Whether groups act on predictions through the trunk, which must have weights."""

    erases: bool = False
    """Whether the groups' means are made equal after the training."""

    weighs_groups: bool = True
    """Whether sample weights count in the losses that depend on the groups."""

    @abstractmethod
    def make_fairness_head(
        self,
        in_features: int,
        n_classes: Sequence[int],
        n_groups: int,
        make_head: MakeHead,
    ) -> FairnessHead:
        """Return the head of one attribute.

        Parameters
        ----------
        in_features : int
            Width of the representation.
        n_classes : sequence of int
            Number of classes of each task.
        n_groups : int
            Number of groups of the attribute.
        make_head : callable
            Makes a head as the modality does, from the width of the input and the
            number of outputs.
        """

    def make_losses(self, tasks: Tasks, n_groups: int) -> list[Any]:
        """Return the losses of one attribute, one for each output of its head.

        `~fairtask.objective.Objective` needs them: it sums
        ``loss(logits[k], y[:, k], groups, weight)`` over the outputs k. An objective of
        another kind may do without.
        """
        return []

    def can_compare(
        self, losses: Sequence[Any], y: np.ndarray, groups: np.ndarray
    ) -> bool:
        """Whether there are groups of an attribute to compare.

        Parameters
        ----------
        losses : sequence
            Output of `make_losses` for the attribute.
        y : ndarray of shape (n_samples, n_tasks)
            Class codes.
        groups : ndarray of shape (n_samples,)
            Group codes, -1 where unknown.
        """
        return len(np.unique(groups[groups >= 0])) > 1

    @abstractmethod
    def make_objective(
        self, losses: Sequence[Sequence[Any]], in_features: int
    ) -> nn.Module:
        """Return the objective, from the losses of each attribute that is compared.

        Its ``forward`` is that of `~fairtask.objective.Objective`. `in_features` is the
        width of the representation.
        """

    def make_backward(self) -> Callable[..., Tensor] | None:
        """Return a replacement of the backward pass, if any; see `FairnessNet`."""
        return None
