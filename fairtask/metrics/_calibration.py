"""Calibration errors of groups."""

from collections.abc import Sequence

import numpy as np
from scipy import sparse

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
        argument: str = "y_prob",
    ) -> None:
        super().__init__(samples, statistics)
        self.outputs = prob = samples.probabilities(argument)
        self.n_bins = n_bins
        bins = np.searchsorted(np.linspace(0, 1, n_bins + 1)[1:-1], prob)
        is_class = samples.y_true[:, None] == samples.positives
        errors = samples.weights[:, None] * (is_class - prob)
        # For each class, the sums of the errors in each group and bin, below them the
        # sums of the weights in each group.
        self.memberships = [
            [
                sparse.vstack(
                    [
                        membership_matrix(
                            codes * n_bins + bins[:, i],
                            errors[:, i],
                            codes >= 0,
                            n_groups * n_bins,
                        ),
                        membership_matrix(codes, samples.weights, codes >= 0, n_groups),
                    ],
                    format="csr",
                )
                for i in range(prob.shape[1])
            ]
            for codes, n_groups in samples.group_codes()
        ]

    def evaluate(self, multiplicities: np.ndarray) -> list[np.ndarray]:
        """Compute the errors; see the base class."""
        results = []
        for classes in self.memberships:
            strata = []
            for membership in classes:
                rows = (membership @ multiplicities.T).T
                n_groups = rows.shape[1] // (self.n_bins + 1)
                sums, totals = np.split(rows, [n_groups * self.n_bins], axis=1)
                sums = sums.reshape(len(rows), n_groups, self.n_bins)
                with np.errstate(invalid="ignore"):  # 0/0 is NaN
                    strata.append(np.abs(sums).sum(-1) / totals)
            results.append(np.stack(strata, axis=1))
        return results

    def limit(
        self,
        statistic: Statistic,
        values: np.ndarray,
        errors: np.ndarray,
        n: np.ndarray,
        z: float,
        *,
        strict: bool = False,
    ) -> np.ndarray:
        """Return NaN.

        NOTE: The errors of bins have no sign, so that noise adds up in each sample and
        once more in each resample. Neither is around the truth.
        """
        return np.full_like(values, np.nan)


CALIBRATION_ERROR = Statistic(
    name="calibration_error",
    family=GroupCalibration,
    needs=(ANY_SAMPLE,),
    formula=r"\mathrm{ECE}_g",
    greater_is_better=False,
)
