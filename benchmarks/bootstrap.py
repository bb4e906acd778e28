"""Bootstrap intervals of differences between groups: their time and their coverage.

- Time: all rates and the differences of 200,000 samples in 10 groups, 1,000 resamples
  of `fairness_report`, against fairlearn's `MetricFrame(n_boot=...)` with the same
  rates, per resample.
- Coverage: share of simulated data sets whose 95 % interval holds the true difference,
  over several designs, beside the percentile interval of the same resamples, as
  `MetricFrame` gives it.

One thread for the time.

    python benchmarks/bootstrap.py
    python benchmarks/bootstrap.py --simulations 1000 --jobs 2
    python benchmarks/bootstrap.py --simulations 300 --others
"""

import argparse
import time
import warnings

import numpy as np
import pandas as pd
from fairlearn import metrics as fairlearn
from joblib import Parallel, delayed
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.metrics import accuracy_score

from fairtask.metrics import bootstrap, fairness_report

TEN = np.linspace(0, 1, 10)
DESIGNS = {
    # name: samples, shares of the groups, base rates, TPR, FPR
    "2 groups, no gap": (2_000, [1, 1], [0.3, 0.3], [0.6, 0.6], [0.1, 0.1]),
    "2 groups, small gap": (2_000, [1, 1], [0.3, 0.3], [0.6, 0.63], [0.1, 0.12]),
    "2 groups, gap": (2_000, [1, 1], [0.3, 0.3], [0.6, 0.7], [0.1, 0.15]),
    "one of 10, no gap": (2_010, [2_000, 10], [0.5, 0.5], [0.9, 0.9], [0.1, 0.1]),
    "one of 20, no gap": (2_020, [2_000, 20], [0.5, 0.5], [0.9, 0.9], [0.1, 0.1]),
    "one of 20, gap": (2_020, [2_000, 20], [0.5, 0.5], [0.9, 0.7], [0.1, 0.1]),
    "5 groups, unequal": (
        9_000,
        [0.86, 0.093, 0.029, 0.01, 0.008],
        [0.26, 0.13, 0.28, 0.12, 0.13],
        [0.62, 0.55, 0.65, 0.5, 0.5],
        [0.06, 0.03, 0.07, 0.04, 0.04],
    ),
    "10 groups, no gap": (5_000, TEN**0, 0.3 * TEN**0, 0.6 * TEN**0, 0.1 * TEN**0),
    "10 groups": (5_000, 1 + TEN, 0.2 + 0.2 * TEN, 0.5 + 0.2 * TEN, 0.05 + 0.1 * TEN),
    "10 groups, large": (
        200_000,
        1 + TEN,
        0.2 + 0.2 * TEN,
        0.5 + 0.2 * TEN,
        0.05 + 0.1 * TEN,
    ),
}
METRICS = [
    "demographic_parity_difference",
    "equal_opportunity_difference",
    "equalized_odds_difference",
]
TO_OVERALL = ", to overall"
OTHERS = [
    "demographic_parity_ratio",
    "predictive_parity_difference",
    f"demographic_parity_difference{TO_OVERALL}",
    "accuracy_group_min",
]


def probabilities(design):
    """Probability of each (group, class, prediction), and the true values."""
    _, shares, base, tpr, fpr = (np.asarray(values) for values in DESIGNS[design])
    shares = shares / shares.sum()
    selected = base * tpr + (1 - base) * fpr
    table = np.empty((len(shares), 2, 2))
    table[:, 1, 1], table[:, 1, 0] = base * tpr, base * (1 - tpr)
    table[:, 0, 1], table[:, 0, 0] = (1 - base) * fpr, (1 - base) * (1 - fpr)
    truth = [np.ptp(selected), np.ptp(tpr), max(np.ptp(tpr), np.ptp(fpr))]
    truth += [
        selected.min() / selected.max(),
        np.ptp(base * tpr / selected),
        np.abs(selected - shares @ selected).max(),
        (base * tpr + (1 - base) * (1 - fpr)).min(),
    ]
    names = [*METRICS, *OTHERS]
    return table * shares[:, None, None], dict(zip(names, truth, strict=True))


def simulate(design, seed, n_resamples, metrics):
    """Whether the intervals of one data set hold the truth, and how wide they are."""
    table, truth = probabilities(design)
    n_samples = DESIGNS[design][0]
    rng = np.random.default_rng([seed, list(DESIGNS).index(design)])
    counts = rng.multinomial(n_samples, table.ravel())
    cells = np.repeat(np.arange(counts.size), counts)
    z, y_true, y_pred = np.unravel_index(cells, table.shape)
    rows = []
    for metric in metrics:
        method = {"method": "to_overall"} if metric.endswith(TO_OVERALL) else {}
        with warnings.catch_warnings():
            # The smallest groups may lack positives, in the data or in a resample.
            warnings.simplefilter("ignore", UndefinedMetricWarning)
            result = bootstrap(
                metric.removesuffix(TO_OVERALL),
                y_true,
                y_pred,
                sensitive_features=z,
                n_resamples=n_resamples,
                random_state=seed,
                **method,
            )
        if np.isnan(result.value):
            continue
        percentiles = np.nanquantile(result.distribution, [0.025, 0.975])
        for method, (low, high) in {
            "fairtask": (result.low, result.high),
            "percentile": percentiles,
        }.items():
            rows.append(
                {
                    "design": design,
                    "metric": metric,
                    "method": method,
                    # A truth of 0 is on the edge of what can be.
                    "coverage": low - 1e-12 <= truth[metric] <= high + 1e-12,
                    "width": high - low,
                }
            )
    return rows


def coverage(n_simulations, n_resamples, n_jobs, metrics):
    rows = Parallel(n_jobs=n_jobs)(
        delayed(simulate)(design, seed, n_resamples, metrics)
        for design in DESIGNS
        for seed in range(n_simulations)
    )
    table = pd.DataFrame([row for part in rows for row in part])
    return table.pivot_table(
        index=["design", "metric"],
        columns="method",
        values=["coverage", "width"],
        sort=False,
    )


def timing(n_samples=200_000, n_groups=10, n_boot=3):
    """Seconds per resample of fairtask and of fairlearn, and their ratio."""
    rng = np.random.default_rng(0)
    z = rng.choice(list("abcdefghij")[:n_groups], n_samples)
    y_true, y_pred = rng.integers(0, 2, (2, n_samples))
    rates = {
        "selection_rate": fairlearn.selection_rate,
        "true_positive_rate": fairlearn.true_positive_rate,
        "false_positive_rate": fairlearn.false_positive_rate,
        "accuracy": accuracy_score,
    }
    rows = []
    for _ in range(3):  # in turn: a change of the machine's speed meets both
        start = time.perf_counter()
        fairness_report(
            y_true, y_pred, sensitive_features=z, n_resamples=1000, random_state=0
        )
        of_fairtask = (time.perf_counter() - start) / 1000
        start = time.perf_counter()
        fairlearn.MetricFrame(
            metrics=rates, y_true=y_true, y_pred=y_pred, sensitive_features=z
        )
        once = time.perf_counter() - start
        start = time.perf_counter()
        fairlearn.MetricFrame(
            metrics=rates,
            y_true=y_true,
            y_pred=y_pred,
            sensitive_features=z,
            n_boot=n_boot,
            ci_quantiles=[0.025, 0.975],
            random_state=0,
        )
        of_fairlearn = (time.perf_counter() - start - once) / n_boot
        rows.append({"fairtask [s]": of_fairtask, "fairlearn [s]": of_fairlearn})
    table = pd.DataFrame(rows)
    table["ratio"] = table["fairlearn [s]"] / table["fairtask [s]"]
    return table.median()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--simulations", type=int, default=400)
    parser.add_argument("--resamples", type=int, default=1000)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--table", metavar="FILE", help="write coverages as CSV")
    parser.add_argument(
        "--others",
        action="store_true",
        help="a ratio, predictive parity, a difference from all groups together and "
        "the worst accuracy, without the time",
    )
    arguments = parser.parse_args()

    if not arguments.others:
        print("Per resample, all rates and differences, n=200,000, 10 groups:")
        print(timing().to_string(float_format="{:.3g}".format), "\n")
    table = coverage(
        arguments.simulations,
        arguments.resamples,
        arguments.jobs,
        OTHERS if arguments.others else METRICS,
    )
    print(f"95 % intervals over {arguments.simulations} simulated data sets:")
    print(table.to_string(float_format="{:.3f}".format))
    if arguments.table:
        shown = table["coverage"].unstack("metric", sort=False)
        shown.columns = [
            f"{metric.replace('_difference', '').replace('_', ' ')}, {method}"
            for method, metric in shown.columns
        ]
        shown.to_csv(arguments.table, float_format="%.3f")


if __name__ == "__main__":
    main()
