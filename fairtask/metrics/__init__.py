r"""Differences between groups, their intervals, scorers, and summaries of them.

Signatures and words follow `fairlearn.metrics`, and the values are equal where both are
defined. They differ where a rate is 0/0: here the group is left out with an
`~sklearn.exceptions.UndefinedMetricWarning`, and the metric is NaN when fewer than two
groups remain; there the rate counts as 0, so that a perfect classifier may seem unfair
and a useless one fair.

The metrics share these parameters. A wrong argument raises a `ValueError`.

``sensitive_features``
    Group of each sample, a column per attribute. A missing value leaves the sample out
    of that attribute.
``sample_weight``
    Weights of the samples. A sample of weight 0 is left out.
``attributes``
    How several attributes are combined. The value is the largest of their differences
    ("worst_case"), a dict with the difference of each attribute ("each"), or the
    difference between the combinations of their groups that occur ("intersection", as
    in fairlearn).
``pos_label``
    The positive class. By default it is 1 if the labels are among {0, 1} or {-1, 1},
    and else the second of two sorted labels. Of more classes each is taken against the
    rest, and the largest difference counts.
``labels``
    All classes in sorted order. By default the classes are the labels that occur, which
    are too few if for example a fold lacks a class.
``groups``
    Groups to compare, for example those of the training data: a sequence for one
    attribute; for several a sequence for each (such as ``groups_`` of a fitted
    estimator) or a dict by name. Samples of other groups are left out, and a warning
    names groups that do not occur. By default all groups that occur are compared.
``min_group_size``
    A group with fewer samples is not compared. Only samples that the statistic needs
    count: positives for a true positive rate, positives and (separately) negatives for
    equalized odds and AUC. Weights do not matter.
"""

from fairtask.metrics._bootstrap import bootstrap
from fairtask.metrics._intervals import BootstrapResult
from fairtask.metrics._rates import (
    demographic_parity_difference,
    equal_opportunity_difference,
    equalized_odds_difference,
    group_accuracy_difference,
)
from fairtask.metrics._report import FairnessReport, fairness_report
from fairtask.metrics._scorers import make_fairness_scorer, make_fairness_scoring
from fairtask.metrics._scores import group_auc_difference, group_loss_difference
from fairtask.metrics._summary import delta_m, mean_rank

__all__ = [
    "BootstrapResult",
    "FairnessReport",
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
