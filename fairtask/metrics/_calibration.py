"""Calibration errors of groups."""

from collections.abc import Sequence

import numpy as np

from fairtask.metrics._samples import GroupedSamples
from fairtask.metrics._statistics import (
    ANY_SAMPLE,
    GroupStatistics,
    Statistic,
    membership_matrix,
)

__all__ = ["CALIBRATION_ERROR", "GroupCalibration"]


class GroupCalibration(GroupStatistics):
    """Expected calibration error of each group; every sample is an atom.

    The probabilities of a class are put into bins of equal width, as
    `sklearn.calibration.calibration_curve` does.
    """

    output = "y_prob"
    options = ("n_bins",)
    no_limits = (
        "noise makes a calibration error larger in the sample, and once more in each "
        "resample"
    )

    def __init__(
        self,
        samples: GroupedSamples,
        statistics: Sequence[Statistic],
        n_bins: int = 10,
    ) -> None:
        super().__init__(samples, statistics)
        self.outputs = prob = samples.probabilities()
        self.n_bins = n_bins
        bins = np.searchsorted(np.linspace(0, 1, n_bins + 1)[1:-1], prob)
        is_class = samples.y_true[:, None] == samples.positives
        errors = samples.weights[:, None] * (is_class - prob)
        groups = samples.positions, samples.n_groups
        self.weight_sums = membership_matrix(*groups, samples.weights)
        # For each class, the sums of the errors in each bin of a group.
        self.error_sums = [
            membership_matrix(*groups, errors[:, i], bins[:, i], n_bins)
            for i in range(prob.shape[1])
        ]

    def evaluate(self, multiplicities: np.ndarray) -> np.ndarray:
        """Compute the errors; see the base class."""
        totals = (self.weight_sums @ multiplicities.T).T
        strata = []
        for error_sums in self.error_sums:
            sums = (error_sums @ multiplicities.T).T
            sums = np.abs(sums.reshape(*totals.shape, self.n_bins)).sum(-1)
            with np.errstate(invalid="ignore"):  # 0/0 is NaN
                strata.append(sums / totals)
        return np.stack(strata, axis=1)


CALIBRATION_ERROR = Statistic(
    name="calibration_error",
    family=GroupCalibration,
    needs=(ANY_SAMPLE,),
    formula=r"\mathrm{ECE}_g",
    greater_is_better=False,
)
