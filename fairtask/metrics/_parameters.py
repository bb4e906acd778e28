"""The parameters of the metrics in their docstrings, which share one text."""

import inspect
import re
from collections.abc import Iterable

__all__ = ["describe_parameters"]

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
loss : {"log_loss", "soft_zero_one"}, default="log_loss"
    Loss of a sample with probability p for its true class: :math:`-\\log p`, or
    :math:`1 - p`.
agg : {"worst_case", "mean"}, default="worst_case"
    The larger of the two differences, or their mean; over all classes if several
    are taken as the positive one in turn.
attributes : {"worst_case", "each", "intersection"}, default="worst_case"
    How several attributes are combined. The value is the largest of their differences
    ("worst_case"), a dict with the difference of each attribute ("each"), or the
    difference between the combinations of their groups that occur ("intersection", as
    in fairlearn).
pos_label : int, float, bool or str, default=None
    The positive class. By default it is 1 if the labels are among {0, 1} or {-1, 1},
    and else the second of two sorted labels. Of more classes each is taken against
    the rest, and the largest difference counts.
labels : array-like, default=None
    All classes in sorted order. By default the classes are the labels that occur,
    which are too few if for example a fold lacks a class.
groups : sequence, dict or list of sequences, default=None
    Groups to compare, for example those of the training data: a sequence for one
    attribute; for several a sequence for each (such as ``groups_`` of a fitted
    estimator) or a dict by name. Samples of other groups are left out, and a warning
    names groups that do not occur. By default all groups that occur are compared.
min_group_size : int, default=1
    Smallest number of NEEDED that a compared group has.
    Weights do not matter."""


def describe_parameters(docstring: str, names: Iterable[str], needed: str) -> str:
    """Insert the section "Parameters" before the section "Returns".

    `needed` names the samples that a group needs to be compared.
    """
    entries = {
        entry.partition(" ")[0]: entry for entry in re.split(r"\n(?=\w)", PARAMETERS)
    }
    section = "\n".join(entries[name] for name in names).replace("NEEDED", needed)
    return inspect.cleandoc(docstring).replace(
        "\nReturns\n", f"\nParameters\n----------\n{section}\n\nReturns\n"
    )
