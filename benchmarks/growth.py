"""Growth of time with rows, groups, tasks, classes and attributes, one at a time.

The times are those of the process on the CPU, per row of the data, in one thread:

- set-up: what `fit` does besides its epochs, such as learning the bins of the columns;
- epoch: the faster of two epochs of training;
- predict: `predict_proba`;
- rates: `fairness_report` of predicted labels with 1,000 resamples;
- scores: `fairness_report` of probabilities with 20 resamples, which are drawn sample
  by sample.

Reports are those of the first task. Each time is followed by its ratio to that of the
smallest size. A star marks a step that is worse than linear: from one size to the next
the time grew by more than a fifth over the factor of the size itself. The least time of
a few rounds counts.

    python benchmarks/growth.py
    python benchmarks/growth.py --axes groups tasks --rounds 3
"""

import argparse
import time
import warnings
from typing import ClassVar

import numpy as np
import pandas as pd
import torch
from skorch.callbacks import Callback

from fairtask import AuxiliaryFairnessClassifier
from fairtask.metrics import fairness_report

USUAL = {"rows": 50_000, "groups": 2, "tasks": 1, "classes": 2, "attributes": 1}
AXES = {
    "rows": [10_000, 100_000, 1_000_000],
    "groups": [2, 20, 200, 2_000],
    "tasks": [1, 5, 20],
    "classes": [2, 10, 100],
    "attributes": [1, 3, 10],
}
N_FEATURES = 10
WORSE_THAN_LINEAR = 1.2


def make_data(rows, groups, tasks, classes, attributes):
    """Return samples, labels that depend on them, and groups."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(rows, N_FEATURES)).astype(np.float32)
    coefficients = rng.normal(size=(N_FEATURES, tasks))
    ranks = (X @ coefficients).argsort(axis=0).argsort(axis=0)
    y = ranks * classes // rows  # classes of equal size
    z = pd.DataFrame(rng.integers(groups, size=(rows, attributes)))
    # Many numbers would have to be names.
    z = z.add_prefix("attribute ").astype("category")
    return X, y[:, 0] if tasks == 1 else y, z


class Stopwatch(Callback):
    """Takes the time of each epoch."""

    epochs: ClassVar[list] = []  # of the class, because a fit copies its callbacks

    def on_epoch_begin(self, net, **kwargs):
        """Start."""
        self.start = time.process_time()

    def on_epoch_end(self, net, **kwargs):
        """Note the time since the start."""
        self.epochs.append(time.process_time() - self.start)


def seconds_of(call):
    start = time.process_time()
    result = call()
    return time.process_time() - start, result


def measure(X, y, z):
    """Return the seconds of each kind of work."""
    classifier = AuxiliaryFairnessClassifier(
        max_epochs=2, device="cpu", random_state=0, callbacks=[Stopwatch()]
    )
    Stopwatch.epochs.clear()
    fit, _ = seconds_of(lambda: classifier.fit(X, y, sensitive_features=z))
    predict, probabilities = seconds_of(lambda: classifier.predict_proba(X))
    times = {
        "set-up": fit - sum(Stopwatch.epochs),
        "epoch": min(Stopwatch.epochs),
        "predict": predict,
    }
    if y.ndim == 2:
        y, probabilities = y[:, 0], probabilities[0]
    labels = probabilities.argmax(axis=1)
    scores = probabilities[:, 1] if probabilities.shape[1] == 2 else probabilities
    rates, _ = seconds_of(
        lambda: fairness_report(y, labels, sensitive_features=z, random_state=0)
    )
    with_scores, _ = seconds_of(
        lambda: fairness_report(
            y, labels, scores, sensitive_features=z, n_resamples=20, random_state=0
        )
    )
    return times | {"rates": rates, "scores": with_scores}


def growth(axis, n_rounds):
    """Return microseconds per row, for each size along an axis."""
    per_row = {}
    for size in AXES[axis]:
        settings = USUAL | {axis: size}
        data = make_data(**settings)
        rounds = pd.DataFrame([measure(*data) for _ in range(n_rounds)])
        per_row[size] = rounds.min() * 1e6 / settings["rows"]
    return pd.DataFrame(per_row).T.rename_axis(axis)


def describe(times):
    """Return a table of times with their ratios; a star where a step is too steep."""
    ratios = times / times.iloc[0]
    sizes = times.index.to_series()
    # The time per row of linear growth: constant over the rows.
    linear = 1 if times.index.name == "rows" else sizes / sizes.shift()
    steep = times / times.shift() > np.multiply.outer(
        np.broadcast_to(linear, len(sizes)) * WORSE_THAN_LINEAR, np.ones(times.shape[1])
    )
    stars = steep.replace({True: "*", False: " "})
    return times.map("{:.3g}".format) + ratios.map(" ({:.2f})".format) + stars


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--axes", nargs="+", choices=AXES, default=list(AXES))
    parser.add_argument("--rounds", type=int, default=1)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")  # small groups, and tasks that are not learnt yet
    measure(*make_data(**USUAL | {"rows": 2_000}))  # warms up
    usual = ", ".join(f"{value:,} {name}" for name, value in USUAL.items())
    print(f"Microseconds per row (ratio), one thread; otherwise {usual}")
    for axis in asked.axes:
        print(f"\n{describe(growth(axis, asked.rounds)).to_string()}", flush=True)


if __name__ == "__main__":
    main()
