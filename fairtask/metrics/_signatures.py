"""The parameters of the metrics: their order, their defaults and their types.

A metric takes the arguments of one of these functions, without those that do not
matter to it. `_parameters` describes them.
"""

from collections.abc import Callable
from typing import Any, Literal

__all__ = [
    "DATA",
    "SIGNATURES",
    "Attributes",
    "takes_labels",
    "takes_probabilities",
    "takes_scores",
]

Attributes = Literal["worst_case", "each", "intersection"]
Method = Literal["between_groups", "to_overall"]

DATA = ("sensitive_features", "sample_weight", "control_features")
"""Arguments with a row per sample, besides true labels and output."""


def takes_labels(
    y_true: Any,
    y_pred: Any,
    *,
    sensitive_features: Any,
    sample_weight: Any = None,
    control_features: Any = None,
    method: Method = "between_groups",
    agg: Literal["worst_case", "mean"] = "worst_case",
    attributes: Attributes = "worst_case",
    pos_label: Any = None,
    labels: Any = None,
    groups: Any = None,
    min_group_size: int = 1,
) -> Any:
    """Parameters of a metric of predicted labels."""


def takes_scores(
    y_true: Any,
    y_score: Any,
    *,
    sensitive_features: Any,
    sample_weight: Any = None,
    control_features: Any = None,
    method: Method = "between_groups",
    attributes: Attributes = "worst_case",
    pos_label: Any = None,
    labels: Any = None,
    groups: Any = None,
    min_group_size: int = 1,
) -> Any:
    """Parameters of a metric of scores."""


def takes_probabilities(
    y_true: Any,
    y_prob: Any,
    *,
    sensitive_features: Any,
    sample_weight: Any = None,
    control_features: Any = None,
    loss: Literal["log_loss", "soft_zero_one"] = "log_loss",
    n_bins: int = 10,
    method: Method = "between_groups",
    attributes: Attributes = "worst_case",
    pos_label: Any = None,
    labels: Any = None,
    groups: Any = None,
    min_group_size: int = 1,
) -> Any:
    """Parameters of a metric of probabilities."""


SIGNATURES: dict[str, Callable] = {
    "y_pred": takes_labels,
    "y_score": takes_scores,
    "y_prob": takes_probabilities,
}
"""By the name of the argument with the output of a classifier."""
