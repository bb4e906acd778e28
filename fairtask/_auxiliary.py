"""Estimators of the auxiliary method."""

from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY
from numbers import Real
from typing import Any, ClassVar, Literal

from sklearn.utils._param_validation import HasMethods, Interval, StrOptions

from fairtask._estimator import FairnessEstimator
from fairtask._parameters import estimator
from fairtask._penalty import Auxiliary
from fairtask.losses import FAIRNESS_LOSSES, PARITIES, SAMPLE_LOSSES, FairnessLoss
from fairtask.modules import FAIRNESS_HEADS

__all__ = ["PENALTY_CONSTRAINTS", "AuxiliaryEstimator"]


class _Parities(StrOptions):
    """Names of parities; the error says where the one is that is looked for here."""

    def __str__(self) -> str:
        return f"{super().__str__()} (demographic parity is `fairness_loss='dpl'`)"


PENALTY_CONSTRAINTS: dict[str, list] = {
    "fairness_loss": [StrOptions(set(FAIRNESS_LOSSES)), callable, FairnessLoss],
    "parity": [_Parities(set(PARITIES))],
    "sample_loss": [StrOptions(set(SAMPLE_LOSSES))],
    "positive_classes": ["array-like", None],
    "group_momentum": [Interval(Real, 0, 1, closed="left"), StrOptions({"auto"})],
    "lam": [Interval(Real, 0, 1, closed="both")],
    "aggregator": [HasMethods(["forward"]), None],
    "weighted_losses": [StrOptions({"all", "task"})],
}
"""Constraints of the parameters that methods with a fairness loss have."""


@estimator
class AuxiliaryEstimator(FairnessEstimator):
    """Estimators with fairness losses on heads of their own, for any modality."""

    _: KW_ONLY
    fairness_loss: str | FairnessLoss | Callable[..., FairnessLoss] = "gld"
    parity: Literal["overall", "equalized_odds", "equal_opportunity"] = "equalized_odds"
    sample_loss: Literal["cross_entropy", "zero_one"] = "cross_entropy"
    positive_classes: Sequence[Any] | None = None
    group_momentum: float | Literal["auto"] = "auto"
    fairness_head: Literal["anchored", "literal", "probe", "task"] | None = "probe"
    representation_weight: float = 0.03
    erase: bool = False
    lam: float = 0.3
    aggregator: Any = None
    weighted_losses: Literal["all", "task"] = "all"

    _parameter_constraints: ClassVar[dict] = {
        **PENALTY_CONSTRAINTS,
        "fairness_head": [StrOptions(set(FAIRNESS_HEADS)), None],
        "representation_weight": [Interval(Real, 0, None, closed="left")],
        "erase": ["boolean"],
    }

    def _make_method(self) -> Auxiliary:
        return Auxiliary(**self._parameters_of(Auxiliary))
