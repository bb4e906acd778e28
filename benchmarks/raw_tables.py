"""Raw tables, a tenth of whose numbers is missing, against prepared complete ones.

The raw tables are unscaled data frames with their categorical columns. A tenth of the
numbers of each column is removed at random, in the training and in the test part. The
prepared tables are complete, standardised and one-hot encoded. Both train the same
estimator, with its defaults, for the task alone. Boosted trees, which take the raw
tables too, show how much the missing numbers were worth.

    python benchmarks/raw_tables.py
    python benchmarks/raw_tables.py --levels

``--levels`` adds a column of 100,000 random levels to 300,000 rows, and prints peak
memory and time with it and without it.
"""

import argparse
import multiprocessing
import resource
import time
from functools import partial

import numpy as np
import pandas as pd
import torch
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score

from fairtask import AuxiliaryFairnessClassifier
from fairtask.experiments._cases import DataSource
from fairtask.experiments._protocol import make_parts

SINGLE_TASK = partial(AuxiliaryFairnessClassifier, lam=1)
TREES = partial(HistGradientBoostingClassifier, categorical_features="from_dtype")
ROWS, LEVELS = 300_000, 100_000


def auc(parts, make=SINGLE_TASK):
    train, test = parts
    classifier = make(random_state=0)
    classifier.fit(train.X, train.y)
    return roc_auc_score(test.y, classifier.predict_proba(test.X)[:, 1])


def without_a_tenth(X, rng):
    """Remove a tenth of the numbers of each column."""
    X = X.copy()
    for name in X.select_dtypes("number"):
        X[name] = X[name].astype(float).mask(rng.random(len(X)) < 0.1)
    return X


def compare(dataset, seed):
    case = DataSource.of(dataset).load()
    prepared = make_parts(case, seed)
    rng = np.random.default_rng(seed)
    raw = {
        name: case.take(part.groups.index.to_numpy()) for name, part in prepared.items()
    }
    removed = [
        type(part)(without_a_tenth(part.X, rng), part.y, part.groups, part.classes)
        for part in (raw["train"], raw["test"])
    ]
    return {
        "prepared": auc((prepared["train"], prepared["test"])),
        "raw": auc((raw["train"], raw["test"])),
        "raw, a tenth missing": auc(removed),
        "trees, raw": auc((raw["train"], raw["test"]), TREES),
        "trees, raw, a tenth missing": auc(removed, TREES),
    }


def fit_with_levels(has_levels, results):
    rng = np.random.default_rng(0)
    table = pd.DataFrame(rng.normal(size=(ROWS, 10))).add_prefix("x")
    y = (table["x0"] + rng.normal(size=ROWS) > 0).astype(int)
    if has_levels:
        levels = rng.integers(LEVELS, size=ROWS)
        table["level"] = "level " + pd.Series(levels).astype(str)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    start = time.perf_counter()
    AuxiliaryFairnessClassifier(lam=1, max_epochs=3, random_state=0).fit(table, y)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    size = table.memory_usage(deep=True).sum() / 2**20
    results.put((time.perf_counter() - start, peak - before, size))


def compare_levels():
    context = multiprocessing.get_context("spawn")
    for has_levels in (False, True):
        results = context.Queue()
        process = context.Process(target=fit_with_levels, args=(has_levels, results))
        process.start()
        seconds, peak, size = results.get()
        process.join()
        print(
            f"{ROWS} rows, {'with' if has_levels else 'without'} {LEVELS} levels: "
            f"{seconds:.1f} s, {peak:.0f} MiB above the table of {size:.0f} MiB"
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--levels", action="store_true")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    if asked.levels:
        compare_levels()
        return
    for dataset in ("adult", "bank", "compas"):
        rows = [compare(dataset, 300 + i) for i in range(asked.repeats)]
        print(f"{dataset}: AUC, mean of {asked.repeats} hold-outs")
        print(pd.DataFrame(rows).mean().map("{:.4f}".format).to_string())


if __name__ == "__main__":
    main()
