"""Methods that add fairness losses to the task loss."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import nn

from fairtask._aggregation import AggregatedBackward, check_aggregator
from fairtask._labels import Tasks, positive_codes
from fairtask._method import MakeHead, Method
from fairtask.losses import FAIRNESS_LOSSES, FairnessLoss, GroupMeanDistance
from fairtask.modules import FAIRNESS_HEADS, FairnessHead, NoHead
from fairtask.objective import Objective

__all__ = ["LOSS_SETTINGS", "Auxiliary", "Penalty", "WeightedSum"]

LOSS_SETTINGS: dict[str, Any] = {
    "parity": "equalized_odds",
    "sample_loss": "cross_entropy",
    "positive_classes": None,
    "group_momentum": "auto",
}
"""Parameters of an estimator that it passes on to its fairness losses, with defaults.

A loss names those that it takes in `FairnessLoss.settings`.
"""


@dataclass(kw_only=True)
class WeightedSum(Method):
    """Minimise a weighted sum of task and fairness losses.

    The parameters are those of `~fairtask.AuxiliaryFairnessClassifier`.
    """

    lam: float
    aggregator: Any = None
    weighted_losses: str = "all"

    def __post_init__(self) -> None:
        self.uses_groups = self.lam < 1
        self.weighs_groups = self.weighted_losses == "all"

    def make_objective(
        self, losses: Sequence[Sequence[Any]], in_features: int
    ) -> nn.Module:
        """See `Method.make_objective`."""
        # Without a fairness loss there is nothing to weigh the task against.
        return Objective(self.lam if losses else 1.0, losses)

    def make_backward(self) -> AggregatedBackward | None:
        """See `Method.make_backward`."""
        if self.aggregator is None:
            return None
        return AggregatedBackward(check_aggregator(self.aggregator))


@dataclass(kw_only=True)
class Penalty(WeightedSum):
    """Penalise differences between groups in the outputs of heads.

    The parameters are those of `~fairtask.AuxiliaryFairnessClassifier`.
    """

    fairness_loss: str | FairnessLoss | Callable[..., FairnessLoss]
    parity: str
    sample_loss: str
    positive_classes: Sequence[Any] | None
    group_momentum: float | str

    fixed_parameters: ClassVar[tuple[str, ...]] = (
        "fairness_loss",
        "parity",
        "sample_loss",
        "positive_classes",
    )

    def make_losses(self, tasks: Tasks, n_groups: int) -> list[FairnessLoss]:
        """See `Method.make_losses`."""
        positive = positive_codes(self.positive_classes, tasks)
        return [
            self._make_loss(n_groups, n_classes, positive[k])
            for k, n_classes in enumerate(tasks.n_classes)
        ]

    def can_compare(
        self, losses: Sequence[FairnessLoss], y: np.ndarray, groups: np.ndarray
    ) -> bool:
        """Whether a loss finds two groups that it compares."""
        cells = np.unique(np.column_stack([y, groups]), axis=0)
        *labels, members = torch.from_numpy(cells).T
        return any(
            loss.can_compare(labels[k], members) for k, loss in enumerate(losses)
        )

    def _make_loss(
        self, n_groups: int, n_classes: int, positive: list[int] | None
    ) -> FairnessLoss:
        """Return the loss of one attribute on one task."""
        if isinstance(self.fairness_loss, FairnessLoss):
            self._refuse_unused_settings(())
            return self.fairness_loss.resized(n_groups, n_classes)
        make: Any = self.fairness_loss
        if isinstance(make, str):
            make = FAIRNESS_LOSSES[make]
        taken = getattr(make, "settings", ())
        if not set(taken) <= set(LOSS_SETTINGS) or isinstance(taken, str):
            raise ValueError(
                f"`settings` of {make!r} must be a tuple of names among "
                f"{list(LOSS_SETTINGS)}; got {taken!r}."
            )
        self._refuse_unused_settings(taken)
        settings = {name: getattr(self, name) for name in taken}
        if "positive_classes" in settings:
            settings["positive_classes"] = positive
        loss, cause = None, None
        try:
            loss = make(n_groups, n_classes, **settings)
        except TypeError as error:
            cause = error
        if not isinstance(loss, FairnessLoss):
            problem = f"which returned {loss!r}"
            if cause is not None:
                problem = f"which cannot be made with {settings}: {cause}"
            raise ValueError(
                f"`fairness_loss` must be one of {sorted(FAIRNESS_LOSSES)}, a "
                "FairnessLoss, a subclass of it, or a callable from the numbers of "
                f"groups and classes to one; got {self.fairness_loss!r}, {problem}."
            ) from cause
        return loss

    def _refuse_unused_settings(self, taken: Sequence[str]) -> None:
        """Raise a ValueError if a setting was changed that the loss does not take."""
        for name, default in LOSS_SETTINGS.items():
            value = getattr(self, name)
            is_default = type(value) is type(default) and value == default
            if name not in taken and not is_default:
                raise ValueError(
                    f"`fairness_loss={self.fairness_loss!r}` does not take "
                    f"`{name}={value!r}`; leave `{name}` at its default, {default!r}. "
                    f"It takes {list(taken) or 'settings of its own, when it is made'}."
                )


@dataclass(kw_only=True)
class Auxiliary(Penalty):
    """Fairness losses on heads of their own and on the representation they share."""

    fairness_head: str | None
    representation_weight: float
    erase: bool

    fixed_parameters: ClassVar[tuple[str, ...]] = (
        *Penalty.fixed_parameters,
        "fairness_head",
        "erase",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        self.needs_trained_trunk = self.uses_groups
        self.erases = self.erase
        is_empty = self.fairness_head is None and not self.representation_weight
        if self.uses_groups and is_empty:
            raise ValueError(
                "`fairness_head=None` leaves the penalty on the representation, and "
                "`representation_weight=0` leaves that out; change one of them."
            )

    def make_fairness_head(
        self,
        in_features: int,
        n_classes: Sequence[int],
        n_groups: int,
        make_head: MakeHead,
    ) -> FairnessHead:
        """See `Method.make_fairness_head`."""
        if self.fairness_head is None:
            return NoHead()
        head_class = FAIRNESS_HEADS[self.fairness_head]
        own = n_classes if head_class.has_own_heads else ()
        return head_class(make_head(in_features, n) for n in own)

    def make_objective(
        self, losses: Sequence[Sequence[Any]], in_features: int
    ) -> nn.Module:
        """See `Method.make_objective`."""
        if not losses or not self.representation_weight:
            return super().make_objective(losses, in_features)
        return Objective(
            self.lam,
            losses,
            # In the strata, and with the memory, of the losses on the heads.
            distances=[
                [
                    GroupMeanDistance(
                        in_features,
                        loss.strata().unique(dim=0),
                        loss.n_groups,
                        group_momentum=loss.group_momentum,
                    )
                    for loss in of_attribute
                ]
                for of_attribute in losses
            ],
            distance_weight=self.representation_weight,
        )
