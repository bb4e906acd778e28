"""Metrics of scores and probabilities."""

from fairtask.metrics._calibration import CALIBRATION_ERROR
from fairtask.metrics._group_metric import group_metric
from fairtask.metrics._scores import LOG_LOSS, ROC_AUC, SOFT_ZERO_ONE
from fairtask.metrics._signatures import takes_probabilities, takes_scores
from fairtask.metrics._transforms import DIFFERENCE

__all__ = [
    "group_auc_difference",
    "group_calibration_difference",
    "group_loss_difference",
]


@group_metric(takes_scores, DIFFERENCE, ROC_AUC)
def group_auc_difference() -> None:
    r"""Difference between groups in the area under the ROC curve (GAUCD).

    :math:`\mathrm{AUC}_g` is computed inside group g.

    Examples
    --------
    >>> from fairtask.metrics import group_auc_difference
    >>> group_auc_difference(
    ...     [0, 1, 0, 1], [0.1, 0.9, 0.5, 0.5], sensitive_features=["a", "a", "b", "b"]
    ... )
    0.5
    """


@group_metric(takes_probabilities, DIFFERENCE, LOG_LOSS, SOFT_ZERO_ONE)
def group_loss_difference() -> None:
    r"""Difference between groups in the mean loss.

    :math:`L_g` is the mean loss of the samples of group g. With two groups and a
    loss in [0, 1], such as "soft_zero_one", it is the gap that `fairtask.bounds`
    bounds.

    Examples
    --------
    >>> from fairtask.metrics import group_loss_difference
    >>> group_loss_difference(
    ...     [1, 1, 1, 0],
    ...     [1.0, 0.5, 0.5, 0.5],
    ...     sensitive_features=["a", "a", "b", "b"],
    ...     loss="soft_zero_one",
    ... )
    0.25
    """


@group_metric(takes_probabilities, DIFFERENCE, CALIBRATION_ERROR)
def group_calibration_difference() -> None:
    r"""Difference between groups in the expected calibration error.

    The probabilities are put into bins of equal width:

    .. math::

        \mathrm{ECE}_g = \sum_b \frac{n_{gb}}{n_g}
        \left| \bar y_{gb} - \bar p_{gb} \right|

    with the numbers of samples, the share of positives and the mean probability of
    group g in bin b. Calibrated probabilities have an error, too, which is larger in
    small groups; choose few bins or a ``min_group_size``. Of more than two classes
    each is taken against the rest. There are no intervals.

    Examples
    --------
    >>> from fairtask.metrics import group_calibration_difference
    >>> group_calibration_difference(
    ...     [1, 0, 1, 1],
    ...     [0.5, 0.5, 0.75, 0.75],
    ...     sensitive_features=["a", "a", "b", "b"],
    ... )
    0.25
    """
