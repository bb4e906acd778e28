r"""Differences between groups, their intervals, scorers, and summaries of them.

Signatures and words follow `fairlearn.metrics`, and the values are equal where both are
defined. They differ where a rate is 0/0: here the group is left out with an
`~sklearn.exceptions.UndefinedMetricWarning`, and the metric is NaN when fewer than two
groups remain; there the rate counts as 0, so that a perfect classifier may seem unfair
and a useless one fair.

The metrics share their parameters, which `~fairtask.metrics.equalized_odds_difference`
describes in full. A wrong argument raises a `ValueError`.
"""

from fairtask.metrics._audit import RepresentationAudit
from fairtask.metrics._bootstrap import bootstrap
from fairtask.metrics._intervals import BootstrapResult
from fairtask.metrics._rates import (
    demographic_parity_difference,
    equal_opportunity_difference,
    equalized_odds_difference,
    group_accuracy_difference,
)
from fairtask.metrics._report import FairnessReport, fairness_report
from fairtask.metrics._representation import audit_representation
from fairtask.metrics._scorers import make_fairness_scorer, make_fairness_scoring
from fairtask.metrics._scores import group_auc_difference, group_loss_difference
from fairtask.metrics._summary import delta_m, mean_rank

__all__ = [
    "BootstrapResult",
    "FairnessReport",
    "RepresentationAudit",
    "audit_representation",
    "bootstrap",
    "delta_m",
    "demographic_parity_difference",
    "equal_opportunity_difference",
    "equalized_odds_difference",
    "fairness_report",
    "group_accuracy_difference",
    "group_auc_difference",
    "group_loss_difference",
    "make_fairness_scorer",
    "make_fairness_scoring",
    "mean_rank",
]
