r"""Metrics of group fairness, their intervals, scorers, and summaries of them.

Signatures and words follow `fairlearn.metrics`, and the values are equal where both are
defined. They differ where a rate is 0/0: here the group is left out with an
`~sklearn.exceptions.UndefinedMetricWarning`, and the metric is NaN when fewer than two
groups remain; there the rate counts as 0, so that a perfect classifier may seem unfair
and a useless one fair.

The metrics share their parameters, which `~fairtask.metrics.equalized_odds_difference`
describes in full. A wrong argument raises a `ValueError`.
"""

from typing import TYPE_CHECKING, Any

from fairtask.metrics._audit import RepresentationAudit
from fairtask.metrics._bootstrap import bootstrap
from fairtask.metrics._comparing import compare_reports
from fairtask.metrics._intervals import BootstrapResult
from fairtask.metrics._label_metrics import (
    base_rate_difference,
    demographic_parity_difference,
    demographic_parity_ratio,
    equal_opportunity_difference,
    equal_opportunity_ratio,
    equalized_odds_difference,
    equalized_odds_ratio,
    false_discovery_rate_difference,
    false_negative_rate_difference,
    false_omission_rate_difference,
    false_positive_rate_difference,
    group_accuracy_difference,
    predictive_parity_difference,
)
from fairtask.metrics._names import function_of_name, make_group_metric
from fairtask.metrics._report import FairnessReport
from fairtask.metrics._report_comparison import ReportComparison
from fairtask.metrics._reporting import fairness_report
from fairtask.metrics._representation import audit_representation
from fairtask.metrics._score_metrics import (
    group_auc_difference,
    group_calibration_difference,
    group_loss_difference,
)
from fairtask.metrics._scorers import make_fairness_scorer, make_fairness_scoring
from fairtask.metrics._summary import delta_m, mean_rank

__all__ = [
    "BootstrapResult",
    "FairnessReport",
    "ReportComparison",
    "RepresentationAudit",
    "audit_representation",
    "base_rate_difference",
    "bootstrap",
    "compare_reports",
    "delta_m",
    "demographic_parity_difference",
    "demographic_parity_ratio",
    "equal_opportunity_difference",
    "equal_opportunity_ratio",
    "equalized_odds_difference",
    "equalized_odds_ratio",
    "fairness_report",
    "false_discovery_rate_difference",
    "false_negative_rate_difference",
    "false_omission_rate_difference",
    "false_positive_rate_difference",
    "group_accuracy_difference",
    "group_auc_difference",
    "group_calibration_difference",
    "group_loss_difference",
    "make_fairness_scorer",
    "make_fairness_scoring",
    "make_group_metric",
    "mean_rank",
    "predictive_parity_difference",
]

if not TYPE_CHECKING:  # which would believe that every name exists

    def __getattr__(name: str) -> Any:
        return function_of_name(name)
