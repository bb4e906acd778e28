"""How well a group can be read from a representation, given the class."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from scipy.stats import norm
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fairtask.metrics._comparison import Comparison
from fairtask.metrics._names import METRICS
from fairtask.metrics._represented_samples import RepresentedSamples
from fairtask.metrics._resampling import resample, standard_errors
from fairtask.metrics._samples import GroupedSamples
from fairtask.metrics._scores import ROC_AUC, GroupAUCs
from fairtask.metrics._statistics import Estimates
from fairtask.metrics._transforms import nan_mean

__all__ = ["GroupReading", "linear_classifier"]


def linear_classifier() -> Any:
    """Make a logistic regression on standardised units."""
    return make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))


def _read(
    train: RepresentedSamples, test: RepresentedSamples, attribute: int
) -> np.ndarray:
    """Probability of each group for the test samples, from classifiers in each class.

    NaN for samples of a group or class that no classifier knows.
    """
    z, z_test = (part.sensitive.codes[:, attribute] for part in (train, test))
    prob = np.full((len(test.h), len(train.sensitive.groups[attribute])), np.nan)
    for c in range(len(train.classes)):
        rows = (train.codes == c) & (z >= 0)
        groups = np.unique(z[rows])
        rows_test = (test.codes == c) & np.isin(z_test, groups)
        if len(groups) > 1 and rows_test.any():
            classifier = linear_classifier().fit(train.h[rows], z[rows])
            prob[rows_test] = 0
            prob[np.ix_(rows_test, groups)] = classifier.predict_proba(
                test.h[rows_test]
            )
    return prob


@dataclass(frozen=True)
class GroupReading:
    """AUCs of the groups of an attribute, each against the rest, inside each class.

    Attributes
    ----------
    difference : Comparison or None
        The AUCs, with a stratum per group and the classes as "groups". None where no
        class can be judged.
    aucs : ndarray of shape (n_strata, n_classes)
        NaN where a group or the rest has too few test samples. One stratum stands for
        both of two groups.
    """

    difference: Comparison | None
    aucs: np.ndarray

    @classmethod
    def of(
        cls,
        train: RepresentedSamples,
        test: RepresentedSamples,
        attribute: int,
        min_group_size: int,
    ) -> Self:
        """Fit a classifier of the groups inside each class, and judge it."""
        prob = _read(train, test, attribute)
        n_groups, n_classes = prob.shape[1], len(train.classes)
        judged = ~np.isnan(prob).any(axis=1)
        if n_groups < 2 or not judged.any():
            return cls(None, np.full((1, n_classes), np.nan))
        samples = GroupedSamples.encode(
            test.sensitive.codes[judged, attribute],
            {"y_score": prob[judged]},
            sensitive_features=test.codes[judged],
            labels=np.arange(n_groups),
            groups=np.arange(n_classes),
        )
        metric = METRICS["group_auc_difference"]
        difference = metric.compare_statistics(
            GroupAUCs(samples, [ROC_AUC]), min_group_size=min_group_size
        )
        (aucs,) = difference.select(difference.statistics.observed)
        return cls(difference, aucs)

    def mean(
        self, n_resamples: int, confidence_level: float, rng: np.random.Generator
    ) -> tuple[float, float, float]:
        """Average the AUCs, and return the mean with its limits.

        The limits are those of one AUC, from the standard error of the mean.
        """
        known = np.isfinite(self.aucs)
        value = nan_mean(self.aucs.ravel())
        if self.difference is None or not known.any() or not n_resamples:
            return float(value), np.nan, np.nan
        statistics = self.difference.statistics
        (drawn,) = self.difference.select(resample(statistics, n_resamples, rng))
        error = standard_errors(nan_mean(drawn.reshape(n_resamples, -1)))
        # The mean of AUCs of n samples each varies like one AUC of all these samples.
        n = known.sum() ** 2 / (1 / statistics.n_effective[known]).sum()
        z = norm.isf((1 - confidence_level) / 2)
        low, high = (
            statistics.limit(ROC_AUC, Estimates(value, error, n), side)
            for side in (-z, z)
        )
        return float(value), float(low), float(high)

    def left_out(self, attribute: str, groups: Any, classes: Any) -> list[str]:
        """Say which of the groups are left out in which class."""
        if np.isnan(self.aucs).all():
            return [
                f"group_auc of {attribute!r} is NaN: it takes two groups in a class"
            ]
        # The stratum of one of two groups stands for both.
        missing = np.broadcast_to(np.isnan(self.aucs), (len(groups), len(classes)))
        return [
            f"group_auc of {attribute!r} in class {c!r} leaves out groups: "
            + ", ".join(str(group) for group in groups[missing[:, i]])
            for i, c in enumerate(classes.tolist())
            if missing[:, i].any()
        ]
