"""The docstrings of the metrics: their formulas, parameters and values."""

import inspect
import re
from typing import TYPE_CHECKING

import numpy as np

from fairtask.metrics._transforms import RATIO

if TYPE_CHECKING:
    from fairtask.metrics._group_metric import GroupMetric

__all__ = ["describe_metric"]

PARAMETERS = """\
y_true : array-like of shape (n_samples,)
    True labels.
y_pred : array-like of shape (n_samples,)
    Predicted labels.
y_score : array-like of shape (n_samples,) or (n_samples, n_classes)
    Scores of the positive class; of more than two classes, a column for each in
    sorted order, unless ``pos_label`` names one.
y_prob : array-like of shape (n_samples,) or (n_samples, n_classes)
    Probabilities of the positive class; of more than two classes, a column for each
    in sorted order, unless ``pos_label`` names one.
sensitive_features : array-like of shape (n_samples,) or (n_samples, n_attributes)
    Group of each sample, a column per attribute. A missing value leaves the sample
    out of that attribute. Its rows are those of ``y_true``, in the same order; pandas
    inputs must have the same index in the same order.
sample_weight : array-like of shape (n_samples,), default=None
    Weights of the samples. A sample of weight 0 is left out.
control_features : array-like of shape (n_samples, ...), default=None
    Columns that may legitimately decide. Groups are compared inside each of their
    levels (of several columns, inside each combination that occurs), and the worst
    level counts. With ``attributes="each"`` the dict has an entry for each attribute
    and level. A sample with a missing value is left out.
loss : {"log_loss", "soft_zero_one"}, default="log_loss"
    Loss of a sample with probability p for its true class: :math:`-\\log p`, or
    :math:`1 - p`.
n_bins : int, default=10
    Number of bins of equal width into which the probabilities are put.
method : {"between_groups", "to_overall"}, default="between_groups"
    Whether groups are compared with each other, or each with all groups together.
agg : {"worst_case", "mean"}, default="worst_case"
    The worse of the two rates' numbers, or their mean; over all classes if several
    are taken as the positive one in turn.
attributes : {"worst_case", "each", "intersection"}, default="worst_case"
    How several attributes are combined. The value is the worst of theirs
    ("worst_case"), a dict with the value of each attribute ("each"), or that of the
    combinations of their groups that occur ("intersection", as in fairlearn).
pos_label : int, float, bool or str, default=None
    The positive class. By default it is 1 if the labels are among {0, 1} or {-1, 1},
    and else the second of two sorted labels. Of more classes each is taken against
    the rest, and the worst value counts.
labels : array-like, default=None
    All classes in sorted order. By default the classes are the labels that occur,
    which are too few if for example a fold lacks a class. A predicted label that
    ``y_true`` lacks is refused where it would be a third one, and else warned of.
groups : sequence, dict or list of sequences, default=None
    Groups to compare, for example those of the training data: a sequence for one
    attribute; for several a sequence for each (such as ``groups_`` of a fitted
    estimator) or a dict by name. Samples of other groups are left out, and a warning
    names groups that do not occur. By default all groups that occur are compared.
min_group_size : int, default=1
    Smallest number of NEEDED that a compared group has.
    Weights do not matter."""


SECTIONS = re.compile(r"\n(?=(?:Notes|References|Examples)\n-)")
"""Where the sections begin that come after the values."""


def describe_metric(docstring: str, metric: "GroupMetric") -> str:
    """Add the formula of one statistic, parameters and values to a docstring."""
    statistics = metric.statistics
    docstring = inspect.cleandoc(docstring)
    summary, _, rest = docstring.partition("\n\n")
    if len(statistics) == 1 or statistics[0].family.chosen_by:
        formula = metric.transform.formula.format(statistics[0].formula)
        summary += f"\n\n.. math:: {formula}"
    text, *sections = SECTIONS.split(f"\n{rest}\n", maxsplit=1)
    entries = {
        entry.partition(" ")[0]: entry for entry in re.split(r"\n(?=\w)", PARAMETERS)
    }
    needed = " and of ".join(kind.name for kind in metric.needs)
    described = "\n".join(entries[name] for name in metric.signature.parameters)
    return "\n\n".join(
        part.strip("\n")
        for part in [
            summary,
            text,
            "Parameters\n----------\n" + described.replace("NEEDED", needed),
            "Returns\n-------\n" + _describe_value(metric),
            *sections,
        ]
        if part.strip("\n")
    )


def _describe_value(metric: "GroupMetric") -> str:
    transform = metric.transform
    largest = max(transform.largest(statistic) for statistic in metric.statistics)
    extent = "At least 0" if np.isinf(largest) else "0 to 1"
    if transform is RATIO:
        extent += ", where 1 is the ratio of equal groups"
    few = "fewer than two groups" if transform.compares_groups else "no groups"
    undefined = f"NaN when {few} can be compared"
    if transform is RATIO:
        undefined += ", or all their values are 0"
    return (
        'value : float, or dict of str to float if ``attributes="each"``\n'
        f"    {extent}.\n    {undefined}."
    )
