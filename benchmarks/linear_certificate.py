"""The certificate for linear heads: its coverage and its width.

Simulated data sets of two groups whose means have a known Mahalanobis distance. Each
limit should be at least that distance in 95 % of them. Beside
`certified_mean_difference` there are

- Hotelling: the exact limit for normal units with equal covariances;
- chi-square: the same with the covariance taken as known;
- bootstrap: the squared distance minus its bias, and the 5 % quantile of resamples of
  it, in a quarter of the data sets where they are small enough.

The last design has three groups and two classes, and counts the largest bound.

    python benchmarks/linear_certificate.py
    python benchmarks/linear_certificate.py --table docs/tables/linear_certificate.csv
"""

import argparse
import warnings

import numpy as np
import pandas as pd
from scipy.optimize import brentq
from scipy.stats import ncf, ncx2

from fairtask.bounds import certified_mean_difference
from fairtask.exceptions import VacuousBoundWarning

N_UNITS = [4, 16, 64]
SIZES = [(20, 20), (50, 50), (200, 200), (1000, 1000), (200, 10), (1000, 100)]
DISTANCES = [0.2, 0.5, 2.0]
LIMITS = ["fairtask", "Hotelling", "chi-square", "bootstrap"]
SMALL = 400 * 16  # numbers of a data set up to which the bootstrap takes part


def normal(rng, shape, group):
    return rng.normal(size=shape)


def heavy_tailed(rng, shape, group):
    """Multivariate t with 5 degrees of freedom."""
    return rng.normal(size=shape) / np.sqrt(rng.chisquare(5, (shape[0], 1)) / 5)


def skewed(rng, shape, group):
    return np.exp(rng.normal(size=shape))


def relu(rng, shape, group):
    """Correlated units that are above 0 for half of the samples to a few."""
    mixing = np.random.default_rng(0).normal(size=(shape[1], shape[1]))
    bias = np.linspace(0, 1.5, shape[1])
    return np.maximum(rng.normal(size=shape) @ mixing / shape[1] ** 0.5 - bias, 0)


def rare(rng, shape, group):
    """Units that are 0 for 88 % to 98 % of the samples."""
    return np.maximum(rng.normal(size=shape) - np.linspace(1.2, 2, shape[1]), 0)


def small_varies(rng, shape, group):
    """Four times the variance in the second group, which is the smaller one."""
    return rng.normal(size=shape) * (1 + group)


def large_varies(rng, shape, group):
    return rng.normal(size=shape) * (2 - group)


KINDS = {
    "normal": normal,
    "heavy-tailed": heavy_tailed,
    "skewed": skewed,
    "ReLU": relu,
    "ReLU, rarely above 0": rare,
    "smaller group varies more": small_varies,
    "larger group varies more": large_varies,
}


def statistics(a, b):
    """Difference of means, pooled covariance, its degrees of freedom."""
    freedom = len(a) + len(b) - 2
    centred = np.concatenate([a - a.mean(0), b - b.mean(0)])
    return a.mean(0) - b.mean(0), centred.T @ centred / freedom, freedom


def invert(cdf):
    """The noncentrality whose distribution function is .05, 0 if there is none."""
    high = 1.0
    while cdf(high) > 0.05:
        high *= 2
    if np.isnan(cdf(high)):
        return np.inf
    return brentq(lambda x: cdf(x) - 0.05, 0, high) if cdf(0) > 0.05 else 0.0


def alternatives(a, b, rng, n_resamples):
    """Other limits of the distance."""
    difference, pooled, freedom = statistics(a, b)
    live = np.diag(pooled) > 1e-12
    rank, size = live.sum(), len(a) * len(b) / (len(a) + len(b))
    pooled = pooled[np.ix_(live, live)]
    if np.linalg.cond(pooled) > 1e10 or (difference[~live] != 0).any():
        return dict.fromkeys(LIMITS[1:], np.inf)
    square = difference[live] @ np.linalg.solve(pooled, difference[live])
    dfd = freedom - rank + 1
    ratio = square * size * dfd / freedom / rank
    of_f = invert(lambda x: ncf.cdf(ratio, rank, dfd, x))
    of_chi2 = invert(lambda x: ncx2.cdf(square * size, rank, max(x, 1e-12)))
    limits = {
        "Hotelling": np.sqrt(of_f / size),
        "chi-square": np.sqrt(of_chi2 / size),
    }
    if not n_resamples or freedom * a.shape[1] > SMALL:
        return limits
    resampled = []
    for _ in range(n_resamples):
        parts = [x[rng.integers(len(x), size=len(x))][:, live] for x in (a, b)]
        shift, covariance, _ = statistics(*parts)
        resampled.append(shift @ np.linalg.pinv(covariance) @ shift)
    bias = np.mean(resampled) - square
    low = np.quantile(resampled, 0.05) - np.mean(resampled)
    limits["bootstrap"] = np.sqrt(max(square - bias - low, 0))
    return limits


def simulate(kind, n_units, sizes, n_simulations, n_resamples):
    """Coverage and median limit of each method, for each distance."""
    draw = KINDS[kind]
    seed = [list(KINDS).index(kind), n_units, *sizes]
    rng = np.random.default_rng(seed)
    covariances = [
        np.cov(draw(rng, (100_000, n_units), group), rowvar=False) for group in (0, 1)
    ]
    pooled = np.average(covariances, axis=0, weights=np.subtract(sizes, 1))
    direction = rng.normal(size=n_units)
    direction /= np.sqrt(direction @ np.linalg.solve(pooled, direction))
    z = np.repeat([0, 1], sizes)
    rows = []
    for distance in DISTANCES:
        for i in range(n_simulations):
            a, b = (draw(rng, (n, n_units), group) for group, n in enumerate(sizes))
            b = b + distance * direction
            certificate = certified_mean_difference(
                np.concatenate([a, b]), None, sensitive_features=z
            )
            limits = {"fairtask": certificate.bound}
            limits |= alternatives(a, b, rng, 0 if i % 4 else n_resamples)
            rows += [
                {
                    "units": kind,
                    "p": n_units,
                    "n": f"{sizes[0]}, {sizes[1]}",
                    "distance": distance,
                    "limit": name,
                    "coverage": limit >= distance,
                    "median": limit,
                }
                for name, limit in limits.items()
            ]
    return rows


def simulate_many(n_simulations, n_units=16):
    """Coverage of the largest bound of three groups and two classes."""
    rng = np.random.default_rng(0)
    rows = []
    for shifted in ("no difference", "one group differs", "all groups differ"):
        by_group = {"no": [0, 0, 0], "one": [0, 0, 0.5], "all": [0, 0.25, 0.5]}
        shift = np.array(by_group[shifted.split()[0]])
        for _ in range(n_simulations):
            y = rng.integers(0, 2, 2_000)
            z = rng.choice(3, 2_000, p=[0.6, 0.3, 0.1])
            h = rng.normal(size=(2_000, n_units))
            h[:, 0] += shift[z]
            bound = certified_mean_difference(h, y, sensitive_features=z).bound
            rows.append(
                {"design": shifted, "coverage": bound >= np.ptp(shift), "median": bound}
            )
    return pd.DataFrame(rows).groupby("design", sort=False).mean()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--simulations", type=int, default=25)
    parser.add_argument("--resamples", type=int, default=100)
    parser.add_argument("--table", metavar="FILE", help="write a summary as CSV")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore", VacuousBoundWarning)

    print("Three groups, two classes, 16 units, 2,000 samples; mean bound:")
    print(simulate_many(arguments.simulations).to_string(), "\n", flush=True)
    rows = [
        row
        for kind in KINDS
        for n_units in N_UNITS
        for sizes in SIZES
        if sum(sizes) - 2 > n_units
        for row in simulate(
            kind, n_units, sizes, arguments.simulations, arguments.resamples
        )
    ]
    keys = ["units", "p", "n", "distance"]
    table = pd.DataFrame(rows).groupby([*keys, "limit"], sort=False)
    table = table.agg({"coverage": "mean", "median": "median"}).unstack("limit")
    print(table.to_string(float_format="{:.3f}".format))

    summary = (
        table["coverage"][LIMITS].groupby(["units", "distance"], sort=False).mean()
    )
    print(summary.to_string(float_format="{:.3f}".format))
    if arguments.table:
        summary.to_csv(arguments.table, float_format="%.3f")


if __name__ == "__main__":
    main()
