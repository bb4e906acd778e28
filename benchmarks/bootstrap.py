"""Bootstrap intervals of differences between groups: their time and their coverage.

The parts:

- ``time``: all rates and the differences of 200,000 samples in 10 groups, 1,000
  resamples of `fairness_report`, against fairlearn's `MetricFrame(n_boot=...)` with the
  same rates, per resample, on one thread;
- ``rates``: share of simulated data sets whose 95 % interval holds the true difference,
  over several designs, beside the percentile interval of the same resamples, as
  `MetricFrame` gives it;
- ``others``: the same for a ratio, predictive parity, a difference from all groups
  together and the worst accuracy;
- ``hard``: the same for tiny groups, many groups, ties, weights, losses and clusters,
  with the mean widths of both intervals;
- ``changes``: for the change of a difference between two models, paired, beside what
  two intervals side by side would say;
- ``bias``: the true bias of a difference, its estimate, and the mean of the resamples
  less the value.

    python benchmarks/bootstrap.py time rates
    python benchmarks/bootstrap.py hard changes bias --simulations 400 --jobs 2
"""

import argparse
import time
import warnings

import numpy as np
import pandas as pd
from fairlearn import metrics as fairlearn
from hard_designs import CHANGES, HARD, NOISY
from joblib import Parallel, delayed
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.metrics import accuracy_score

from fairtask.metrics import bootstrap, compare_reports, fairness_report

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
        rows += rows_of_intervals(result, truth[metric], design=design, metric=metric)
    return rows


def rows_of_intervals(result, truth, **labels):
    """Whether an interval and that of the percentiles hold the truth, and widths."""
    percentiles = np.nanquantile(result.distribution, [0.025, 0.975])
    return [
        labels
        | {
            "method": method,
            # A truth of 0 is on the edge of what can be.
            "coverage": low - 1e-12 <= truth <= high + 1e-12,
            "width": high - low,
        }
        for method, (low, high) in {
            "fairtask": (result.low, result.high),
            "percentile": percentiles,
        }.items()
    ]


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


def hard(name, seed, n_resamples):
    design = HARD[name]
    data = design.draw(np.random.default_rng([seed, list(HARD).index(name)]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UndefinedMetricWarning)
        result = bootstrap(
            design.metric, **data, n_resamples=n_resamples, random_state=seed
        )
    if np.isnan(result.value):
        return []
    return rows_of_intervals(result, design.truth, design=name)


def change(name, seed, n_resamples):
    design = CHANGES[name]
    data, outputs = design.draw(np.random.default_rng([seed, *name.encode()]))
    metric = "equal_opportunity_difference"
    settings = {"n_resamples": n_resamples, "random_state": seed}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UndefinedMetricWarning)
        before, after = (
            fairness_report(**data, y_pred=y_pred, metrics=[metric], **settings)
            for y_pred in outputs
        )
        row = compare_reports(before, after, **settings).differences.iloc[0]
    apart = [report.differences.iloc[0] for report in (before, after)]
    low, high = apart[1].low - apart[0].high, apart[1].high - apart[0].low
    return [
        {
            "design": name,
            "method": method,
            "coverage": low - 1e-12 <= design.truth <= high + 1e-12,
            "width": high - low,
        }
        for method, (low, high) in {
            "paired": (row.low, row.high),
            "side by side": (low, high),
        }.items()
    ]


def bias(name, seed, n_resamples):
    design = NOISY[name]
    data = design.draw(np.random.default_rng([seed, *name.encode()]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UndefinedMetricWarning)
        result = bootstrap(
            design.metric, **data, n_resamples=n_resamples, random_state=seed
        )
    return [
        {
            "design": name,
            "true bias": result.value - design.truth,
            "result.bias": result.bias,
            "mean of resamples - value": np.nanmean(result.distribution) - result.value,
        }
    ]


def repeat(simulation, designs, arguments):
    rows = Parallel(n_jobs=arguments.jobs)(
        delayed(simulation)(name, seed, arguments.resamples)
        for name in designs
        for seed in range(arguments.simulations)
    )
    return pd.DataFrame([row for part in rows for row in part])


def by_method(table):
    shown = table.pivot_table(
        index="design", columns="method", values=["coverage", "width"], sort=False
    )
    shown.columns = [f"{value}, {method}" for value, method in shown.columns]
    return shown


def run(part, arguments):
    """Return the table of a part."""
    if part == "time":
        return timing().to_frame("per resample")
    if part == "hard":
        return by_method(repeat(hard, HARD, arguments))
    if part == "changes":
        return by_method(repeat(change, CHANGES, arguments))
    if part == "bias":
        return repeat(bias, NOISY, arguments).groupby("design", sort=False).mean()
    table = coverage(
        arguments.simulations,
        arguments.resamples,
        arguments.jobs,
        OTHERS if part == "others" else METRICS,
    )
    shown = table["coverage"].unstack("metric", sort=False)
    shown.columns = [
        f"{metric.replace('_difference', '').replace('_', ' ')}, {method}"
        for method, metric in shown.columns
    ]
    return shown


PARTS = ["time", "rates", "others", "hard", "changes", "bias"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="+", choices=PARTS)
    parser.add_argument("--simulations", type=int, default=400)
    parser.add_argument("--resamples", type=int, default=1000)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--table", metavar="FILE", help="write one part as CSV")
    arguments = parser.parse_args()
    if arguments.table and len(arguments.parts) > 1:
        parser.error("--table takes one part")

    for part in arguments.parts:
        table = run(part, arguments)
        print(f"{part}, {arguments.simulations} simulated data sets:")
        print(table.to_string(float_format="{:.3g}".format), "\n", flush=True)
        if arguments.table:
            table.to_csv(arguments.table, float_format="%.3f")


if __name__ == "__main__":
    main()
