"""Fairness losses: penalties on the differences between groups.

Each is a `torch.nn.Module` that can be used in any training loop: a statistic per
sample, its mean in each cell of samples that should be treated alike, and a penalty on
the differences between the cells of a stratum. `GroupLoss` compares losses, `RateLoss`
the rates at which a class is predicted.
"""

from fairtask.losses._fairness_loss import FairnessLoss
from fairtask.losses._group_losses import (
    GROUP_LOSSES,
    PARITIES,
    BoundedGroupLoss,
    GroupLoss,
    GroupLossDivergence,
    GroupLossFairness,
)
from fairtask.losses._rate_losses import (
    DemographicParityLoss,
    FalsePositiveRateLoss,
    RateLoss,
    TruePositiveRateLoss,
)

__all__ = [
    "FAIRNESS_LOSSES",
    "GROUP_LOSSES",
    "PARITIES",
    "BoundedGroupLoss",
    "DemographicParityLoss",
    "FairnessLoss",
    "FalsePositiveRateLoss",
    "GroupLoss",
    "GroupLossDivergence",
    "GroupLossFairness",
    "RateLoss",
    "TruePositiveRateLoss",
]

FAIRNESS_LOSSES: dict[str, type[FairnessLoss]] = {
    "bgl": BoundedGroupLoss,
    "dpl": DemographicParityLoss,
    "fprl": FalsePositiveRateLoss,
    "gld": GroupLossDivergence,
    "glf": GroupLossFairness,
    "tprl": TruePositiveRateLoss,
}
"""Fairness losses by the name an estimator knows them under."""
