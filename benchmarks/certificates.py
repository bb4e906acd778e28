"""The certificate of a difference between groups: how often it fails, and its width.

Simulated data sets with known expected losses. For delta=0.05 a bound may be below the
true largest difference in 5 % of the data sets. The excess is the mean of the bound
minus the true difference. Beside `certified_difference` there are

- Hoeffding: his inequality for a difference of two means, per pair of groups;
- two limits: the limits of Clopper and Pearson of two groups apart, with delta / 2
  each; of losses that are not 0 or 1 those of Waudby-Smith and Ramdas, by betting;
- difference: the test of Berger and Boos in the order of the measured differences, a
  design that was not taken, for two groups and 0-1 losses.

In the last design all rows of a person have the same loss. Such rows are not
independent, and nothing is certified: this is what happens to those who try it.

    python benchmarks/certificates.py
    python benchmarks/certificates.py --table docs/tables/certificates.csv
"""

import argparse
import warnings
from itertools import permutations
from math import log, sqrt
from unittest.mock import patch

import numpy as np
import pandas as pd
from scipy.optimize import brentq
from scipy.special import betaincinv

from fairtask.bounds import certified_difference
from fairtask.exceptions import VacuousBoundWarning

DELTA = 0.05


def zero_one(rng, rates):
    return (rng.random(len(rates)) < rates).astype(int)


def rounded(rng, rates):
    """Losses with ties: 0, .25, .5, .75 or 1."""
    return rng.binomial(4, rates) / 4


def spread(rng, rates):
    """Losses of the variance p (1 - p) / 6, such as one minus a probability."""
    return rng.beta(5 * rates, 5 * (1 - rates))


def constant(rng, rates):
    return 0.5 * rates


def repeated(rng, rates):
    """0-1 losses of persons with ten rows each."""
    return zero_one(rng, rates[::10]).repeat(10)


# Kind of loss, sizes and expected losses of the groups (two lists: of two strata).
DESIGNS = {
    "0-1: 1,000 and 1,000, .05": (zero_one, [1000, 1000], [0.05, 0.05]),
    "0-1: 1,000 and 1,000, .5": (zero_one, [1000, 1000], [0.5, 0.5]),
    "0-1: 1,000 and 1,000, .05 and .15": (zero_one, [1000, 1000], [0.05, 0.15]),
    "0-1: 200 and 2,000, .1": (zero_one, [200, 2000], [0.1, 0.1]),
    "0-1: 2,000 and 50, .1 and .3": (zero_one, [2000, 50], [0.1, 0.3]),
    "0-1: 30 and 30, .2": (zero_one, [30, 30], [0.2, 0.2]),
    "0-1: 500 and 500, .002": (zero_one, [500, 500], [0.002, 0.002]),
    "0-1: 500 and 3, .9 and .1": (zero_one, [500, 3], [0.9, 0.1]),
    "0-1: five of 400, .1 to .14": (zero_one, [400] * 5, [0.1, 0.11, 0.12, 0.13, 0.14]),
    "0-1: 500 and ten of 3, .5": (zero_one, [500] + [3] * 10, [0.5] * 11),
    "0-1: 30 of 60, .2": (zero_one, [60] * 30, [0.2] * 30),
    "0-1: two classes, 300 to 900": (
        zero_one,
        [[900, 300], [600, 300]],
        [[0.1, 0.2], [0.2, 0.1]],
    ),
    "[0, 1]: 1,000 and 1,000, .1": (spread, [1000, 1000], [0.1, 0.1]),
    "[0, 1]: 1,000 and 1,000, .3 and .4": (spread, [1000, 1000], [0.3, 0.4]),
    "[0, 1]: 100 and 1,000, .2": (spread, [100, 1000], [0.2, 0.2]),
    "[0, 1]: 20 and 20, .4 and .2": (spread, [20, 20], [0.4, 0.2]),
    "[0, 1]: 500 and 500, ties, .5": (rounded, [500, 500], [0.5, 0.5]),
    "[0, 1]: ten of 200, .2 to .3": (spread, [200] * 10, np.linspace(0.2, 0.3, 10)),
    "[0, 1]: 200 and 200, no variance": (constant, [200, 200], [0.2, 0.3]),
    "ten equal rows a person, .2 and .3": (repeated, [1000, 1000], [0.2, 0.3]),
}


def hoeffding(cells):
    """Largest limit over the strata and pairs of groups."""
    return max(
        first.mean()
        - second.mean()
        + sqrt(log(1 / DELTA) / 2 * (1 / len(first) + 1 / len(second)))
        for of_stratum in cells
        for first, second in permutations(of_stratum, 2)
    )


def upper_limit(losses):
    """Limit of one expected loss, with probability 1 - DELTA / 2."""
    n, total = len(losses), losses.sum()
    if np.isin(losses, (0, 1)).all():
        return betaincinv(total + 1, n - total, 1 - DELTA / 2) if total < n else 1.0
    number = np.arange(1, n + 1)
    means = (0.5 + losses.cumsum()) / (number + 1)
    squares = ((losses - means) ** 2).cumsum()
    variances = (0.25 + np.append(0, squares[:-1])) / number
    bets = np.minimum(np.sqrt(2 * log(2 / DELTA) / (n * variances)), 0.5)

    def growth(mean):
        return np.log1p(bets * (mean - losses)).sum() - log(2 / DELTA)

    return brentq(growth, 0, 1) if growth(1) > 0 else 1.0


def by_difference(losses, groups, strata):
    """Berger and Boos, in the order of the measured difference."""

    def largest_counts(counts, sizes, second, deltas):
        observed = counts[0] / sizes[0] - counts[1] / sizes[1]
        largest = np.floor(sizes[0] * (observed + second / sizes[1]) + 1e-9)
        return largest.clip(-1, sizes[0]).astype(int)[None]

    with patch("fairtask.bounds._two_samples._largest_counts", largest_counts):
        return certified_difference(losses, sensitive_features=groups, strata=strata)


def two_limits(cells):
    """Largest upper limit of a group minus the lower limit of another."""
    limits = [
        [(upper_limit(losses), 1 - upper_limit(1 - losses)) for losses in of_stratum]
        for of_stratum in cells
    ]
    return max(
        first[0] - second[1]
        for of_stratum in limits
        for first, second in permutations(of_stratum, 2)
    )


def simulate(name, n_rounds):
    """Return how often each bound fails, and by how much it is too large."""
    kind, sizes, rates = DESIGNS[name]
    sizes, rates = np.atleast_2d(sizes), np.atleast_2d(rates)
    strata, groups = (
        index.ravel().repeat(sizes.ravel()) for index in np.indices(sizes.shape)
    )
    of_samples = rates.ravel().repeat(sizes.ravel())
    truth = np.ptp(rates, axis=1).max() * (0.5 if kind is constant else 1)
    rng = np.random.default_rng(0)
    bounds = []
    for number in range(n_rounds):
        losses = kind(rng, of_samples)
        bound = certified_difference(losses, sensitive_features=groups, strata=strata)
        parts = iter(np.split(losses, sizes.cumsum()[:-1]))
        cells = [[next(parts) for _ in of_stratum] for of_stratum in sizes]
        row = {
            "fairtask": bound,
            "Hoeffding": min(hoeffding(cells), 1),
            "two limits": min(two_limits(cells), 1),
        }
        if kind is zero_one and sizes.shape == (1, 2) and number < n_rounds // 5:
            row["difference"] = by_difference(losses, groups, strata)
        bounds.append(row)
    bounds = pd.DataFrame(bounds)
    fails = (bounds < truth - 1e-9).mean()
    return {
        "design": name,
        "fails": fails["fairtask"],
        "fails, Hoeffding": fails["Hoeffding"],
        "fails, two limits": fails["two limits"],
        **(bounds.mean() - truth).rename("excess, {}".format),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--table", help="write a CSV file")
    asked = parser.parse_args()
    warnings.simplefilter("ignore", VacuousBoundWarning)
    table = pd.DataFrame([simulate(name, asked.rounds) for name in DESIGNS])
    print(table.round(4).to_string(index=False))
    if asked.table:
        printed_only = ["fails, Hoeffding", "fails, two limits", "excess, difference"]
        table = table.drop(columns=printed_only)
        table.to_csv(asked.table, index=False, float_format="%.3f")


if __name__ == "__main__":
    main()
