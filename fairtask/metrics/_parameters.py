"""The parameters of the metrics in their docstrings, which share one text."""

import inspect
import re
from collections.abc import Iterable

__all__ = ["describe_parameters"]

# The module `fairtask.metrics` has a longer description of them.
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
    Groups of each sample.
sample_weight : array-like of shape (n_samples,), default=None
    Weights of the samples.
loss : {"log_loss", "soft_zero_one"}, default="log_loss"
    Loss of a sample with probability p for its true class: :math:`-\\log p`, or
    :math:`1 - p`.
agg : {"worst_case", "mean"}, default="worst_case"
    The larger of the two differences, or their mean; over all classes if several
    are taken as the positive one in turn.
attributes : {"worst_case", "each", "intersection"}, default="worst_case"
    How several attributes are combined.
pos_label : int, float, bool or str, default=None
    The positive class.
labels : array-like, default=None
    All classes, if `y_true` may lack some.
groups : sequence, dict or list of sequences, default=None
    Groups to compare.
min_group_size : int, default=1
    Smallest number of NEEDED that a compared group has."""


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
