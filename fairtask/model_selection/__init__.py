"""Choosing a model by performance and disparity, and looking at the choice."""

from fairtask.model_selection._displays._group_losses import GroupLossDisplay
from fairtask.model_selection._displays._group_rates import GroupRatesDisplay
from fairtask.model_selection._displays._latent import LatentDisplay
from fairtask.model_selection._displays._pareto import ParetoFrontDisplay
from fairtask.model_selection._pareto import hypervolume, pareto_front
from fairtask.model_selection._rules import (
    best_under_budget,
    knee_point,
    least_disparity,
)

__all__ = [
    "GroupLossDisplay",
    "GroupRatesDisplay",
    "LatentDisplay",
    "ParetoFrontDisplay",
    "best_under_budget",
    "hypervolume",
    "knee_point",
    "least_disparity",
    "pareto_front",
]
