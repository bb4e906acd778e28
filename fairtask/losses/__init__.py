"""Fairness losses: penalties on the differences between groups.

Each is a `torch.nn.Module` for any training loop. It takes the mean of a statistic over
the samples of each group, and penalises the differences between the groups.
`GroupLossPenalty` compares group losses, which are mean losses over the samples of a
group. `RatePenalty` compares the rates at which a class is predicted.
`GroupMeanDistance` compares the means of the representation itself.
"""

from fairtask._processes import sum_over_processes
from fairtask.losses._fairness_loss import FairnessLoss, group_sums
from fairtask.losses._group_losses import (
    PARITIES,
    SAMPLE_LOSSES,
    BoundedGroupLoss,
    GroupLossDivergence,
    GroupLossFairness,
    GroupLossPenalty,
)
from fairtask.losses._group_mean_distance import GroupMeanDistance
from fairtask.losses._rate_losses import (
    DemographicParityLoss,
    FalsePositiveRateLoss,
    RatePenalty,
    TruePositiveRateLoss,
)

__all__ = [
    "FAIRNESS_LOSSES",
    "PARITIES",
    "SAMPLE_LOSSES",
    "BoundedGroupLoss",
    "DemographicParityLoss",
    "FairnessLoss",
    "FalsePositiveRateLoss",
    "GroupLossDivergence",
    "GroupLossFairness",
    "GroupLossPenalty",
    "GroupMeanDistance",
    "RatePenalty",
    "TruePositiveRateLoss",
    "group_sums",
    "sum_over_processes",
]

FAIRNESS_LOSSES: dict[str, type[FairnessLoss]] = {
    "bgl": BoundedGroupLoss,
    "dpl": DemographicParityLoss,
    "fprl": FalsePositiveRateLoss,
    "gld": GroupLossDivergence,
    "glf": GroupLossFairness,
    "tprl": TruePositiveRateLoss,
}
"""Fairness losses by the names that estimators take."""
