"""Choosing a model by performance and disparity, and figures of the choice.

The rules `best_under_budget`, `least_disparity` and `knee_point` make a function that
takes ``cv_results_`` of a search and returns the position of the chosen candidate. Pass
the function as ``refit`` to the search, or call it. They promise nothing about other
samples. `choose_within_budget` tests fitted candidates on held-out samples, so that the
disparity of the chosen one is within the budget with a stated confidence.

The displays have the form of scikit-learn's. A display holds numbers, and `plot` draws
them, again if need be. Methods that draw return the display, with the figure as
``figure_``.

An argument that is not as described is a ValueError.
"""

from fairtask.model_selection._candidates import fit_candidates
from fairtask.model_selection._displays._changes import ReportComparisonDisplay
from fairtask.model_selection._displays._group_losses import GroupLossDisplay
from fairtask.model_selection._displays._group_rates import GroupRatesDisplay
from fairtask.model_selection._displays._latent import LatentDisplay
from fairtask.model_selection._displays._pareto import ParetoFrontDisplay
from fairtask.model_selection._displays._representation import RepresentationDisplay
from fairtask.model_selection._guarantee import BudgetChoice, choose_within_budget
from fairtask.model_selection._pareto import hypervolume, pareto_front
from fairtask.model_selection._rules import (
    best_under_budget,
    knee_point,
    least_disparity,
)

__all__ = [
    "BudgetChoice",
    "GroupLossDisplay",
    "GroupRatesDisplay",
    "LatentDisplay",
    "ParetoFrontDisplay",
    "ReportComparisonDisplay",
    "RepresentationDisplay",
    "best_under_budget",
    "choose_within_budget",
    "fit_candidates",
    "hypervolume",
    "knee_point",
    "least_disparity",
    "pareto_front",
]
