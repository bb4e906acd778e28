"""Designs that are hard for intervals of differences between groups, with the truths.

`bootstrap.py` simulates them.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.special import digamma
from scipy.stats import norm


@dataclass(frozen=True)
class Design:
    """A metric, its true value, and data sets, the arguments of `bootstrap`."""

    metric: str
    truth: float
    draw: Callable


def rates(sizes, tpr, fpr=None, *, metric="equalized_odds_difference", **kwargs):
    """Predicted labels with these rates; half of the samples are positives."""
    z = np.repeat(np.arange(len(sizes)), sizes)
    tpr = np.broadcast_to(tpr, len(sizes))
    fpr = 1 - tpr if fpr is None else np.broadcast_to(fpr, len(sizes))

    def draw(rng):
        y = rng.integers(0, 2, len(z))
        positive = rng.random(len(z)) < np.where(y == 1, tpr[z], fpr[z])
        data = {"y_true": y, "y_output": positive.astype(int), "sensitive_features": z}
        return data | {name: value(rng, z) for name, value in kwargs.items()}

    return Design(metric, max(np.ptp(tpr), np.ptp(fpr)), draw)


def areas(sizes, shifts, step=None):
    """Normal scores, shifted for positives; rounded to multiples of `step`.

    `sizes` are those of each class in each group.
    """
    z = np.repeat(np.arange(len(sizes)), 2 * np.array(sizes))
    y = np.concatenate([np.repeat([0, 1], size) for size in sizes])
    shifts = np.array(shifts)

    def draw(rng):
        scores = rng.normal(size=len(z)) + y * shifts[z]
        if step:
            scores = np.round(scores / step)
        return {"y_true": y, "y_output": scores, "sensitive_features": z}

    def area(shift):
        if not step:
            return norm.cdf(shift / np.sqrt(2))
        edges = (np.arange(-50, 51) - 0.5) * step
        negative, positive = (np.diff(norm.cdf(edges - s)) for s in (0, shift))
        return positive @ (negative.cumsum() - negative / 2)

    return Design("group_auc_difference", np.ptp([area(s) for s in shifts]), draw)


def losses(sizes, shapes, loss):
    """Calibrated probabilities from beta distributions with these shapes."""
    z = np.repeat(np.arange(len(sizes)), sizes)
    shapes = np.array(shapes)

    def draw(rng):
        prob = rng.beta(shapes[z], shapes[z])
        y = (rng.random(len(z)) < prob).astype(int)
        return {"y_true": y, "y_output": prob, "sensitive_features": z, "loss": loss}

    means = shapes / (2 * shapes + 1)
    if loss == "log_loss":
        means = digamma(2 * shapes + 1) - digamma(shapes + 1)
    return Design("group_loss_difference", np.ptp(means), draw)


def clusters(persons, tpr, *, is_known):
    """Positives of persons with one to nine rows, who are found together or not."""
    tpr = np.array(tpr)

    def draw(rng):
        groups = np.repeat(np.arange(len(persons)), persons)
        rows = np.repeat(np.arange(len(groups)), rng.integers(1, 10, len(groups)))
        z = groups[rows]
        noise = rng.normal(size=len(groups))[rows] + rng.normal(size=len(rows))
        found = noise / np.sqrt(2) < norm.ppf(tpr[z])
        return {
            "y_true": np.ones(len(z), dtype=int),
            "y_output": found.astype(int),
            "sensitive_features": z,
            "cluster": rows if is_known else None,
        }

    return Design("equal_opportunity_difference", np.ptp(tpr), draw)


def crossed(rng, z):
    return np.column_stack([z // 6, z % 6])


def lognormal(rng, z):
    return rng.lognormal(size=len(z))


INTERSECTION = {
    "sensitive_features": crossed,
    "attributes": lambda rng, z: "intersection",
}
THIRTY = np.linspace(0.6, 0.9, 30)
HARD = {
    "10 groups of 3 beside 500": rates([500] + [3] * 10, 0.9),
    "10 groups of 10 beside 500": rates([500] + [10] * 10, 0.9),
    "10 groups of 20 beside 500, rates .98": rates([500] + [20] * 10, 0.98),
    "one of 3 beside 500": rates([500, 3], 0.9),
    "5 groups of 5, apart": rates([5] * 5, np.linspace(0.5, 0.9, 5)),
    "30 intersections of 20, equal": rates([20] * 30, 0.9, **INTERSECTION),
    "30 intersections of 100": rates([100] * 30, THIRTY, **INTERSECTION),
    "weights, 3 groups": rates([300] * 3, [0.6, 0.6, 0.75], sample_weight=lognormal),
    "weights, groups of 20": rates([300, 20, 20], 0.8, sample_weight=lognormal),
    "AUC, ties": areas([200] * 3, [1, 1, 1.5], step=1),
    "AUC near 1, 5 groups of 6 + 6": areas([300] + [6] * 5, [3] * 6),
    "loss in [0, 1], 5 groups of 5": losses(
        [500] + [5] * 5, [0.3] * 6, "soft_zero_one"
    ),
    "loss in [0, 1], 5 groups of 30": losses(
        [500] + [30] * 5, [0.3] * 6, "soft_zero_one"
    ),
    "log loss, groups of 30": losses([500, 30, 30], [1, 1, 1], "log_loss"),
    "log loss, one of 30, rarely wrong": losses([500, 30], [0.1, 0.1], "log_loss"),
    "log loss, 2 groups": losses([500, 500], [0.3, 1], "log_loss"),
    "clusters, with cluster=": clusters([100] * 2, [0.6, 0.6], is_known=True),
    "clusters, without": clusters([100] * 2, [0.6, 0.6], is_known=False),
    "clusters, one of 20, with cluster=": clusters(
        [200, 20], [0.9, 0.6], is_known=True
    ),
    "clusters, one of 20, without": clusters([200, 20], [0.9, 0.6], is_known=False),
    "clusters, one of 8, with cluster=": clusters([200, 8], [0.9, 0.9], is_known=True),
    "clusters, one of 8, without": clusters([200, 8], [0.9, 0.9], is_known=False),
}
"""By name; the rates of a design are true positive and one minus false positive."""


def changes(sizes, before, after, correlation=0.9):
    """Positives, found by two models whose scores are correlated."""
    z = np.repeat(np.arange(len(sizes)), sizes)
    before, after = (np.broadcast_to(tpr, len(sizes)) for tpr in (before, after))

    def draw(rng):
        first, noise = rng.normal(size=(2, len(z)))
        second = correlation * first + np.sqrt(1 - correlation**2) * noise
        outputs = [
            (scores < norm.ppf(tpr[z])).astype(int)
            for scores, tpr in ((first, before), (second, after))
        ]
        y_true = np.ones(len(z), dtype=int)
        return {"y_true": y_true, "sensitive_features": z, "labels": [0, 1]}, outputs

    truth = np.ptp(after) - np.ptp(before)
    return Design("equal_opportunity_difference", truth, draw)


TEN = np.linspace(0.5, 0.8, 10)
CHANGES = {
    "2 groups, equal before and after": changes([500] * 2, 0.6, 0.6),
    "the same, scores correlated by .5": changes([500] * 2, 0.6, 0.6, 0.5),
    "2 groups, a gap closes": changes([500] * 2, [0.5, 0.65], 0.6),
    "2 groups, a gap opens": changes([500] * 2, 0.6, [0.5, 0.65]),
    "2 groups, a gap stays": changes([500] * 2, [0.5, 0.65], [0.5, 0.65]),
    "2 groups, a gap turns round": changes([500] * 2, [0.5, 0.65], [0.65, 0.5]),
    "10 groups, gaps close": changes([100] * 10, TEN, 0.65),
    "10 groups, equal before and after": changes([100] * 10, 0.65, 0.65),
    "10 groups, one gains": changes([100] * 10, TEN, np.maximum(TEN, 0.55)),
    "5 groups of 5 beside 500": changes([500] + [5] * 5, 0.8, 0.9),
    "10 beside 500": changes([500, 10], [0.8, 0.5], [0.9, 0.8]),
}


def noisy(sizes, tpr, metric="equal_opportunity_difference"):
    return rates(sizes, tpr, metric=metric)


NOISY = {
    "2 groups of 400, equal": noisy([400] * 2, 0.7),
    "2 groups of 400, one standard error apart": noisy([400] * 2, [0.7, 0.746]),
    "2 groups of 400, four standard errors apart": noisy([400] * 2, [0.6, 0.79]),
    "3 groups of 400, equal": noisy([400] * 3, 0.7),
    "10 groups of 200, equal": noisy([200] * 10, 0.7),
    "10 groups of 200, .5 to .8": noisy([200] * 10, TEN),
    "10 groups of 20 beside 1,000, equal": noisy([1000] + [20] * 10, 0.9),
    "10 groups of 6 beside 1,000, equal": noisy([1000] + [6] * 10, 0.9),
    "20 beside 1,000, equal": noisy([1000, 20], 0.9),
    "equalized odds, 2 groups of 400, equal": noisy(
        [400] * 2, 0.7, "equalized_odds_difference"
    ),
}
