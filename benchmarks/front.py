"""Time of a search over `lam`: all values at once, and a grid search of separate fits.

Both use the same estimator, values and folds, and one thread. Times are those of the
process, which other programs disturb less; with a GPU, those of the clock. The number
of epochs hardly matters for the ratio.

    python benchmarks/front.py
    python benchmarks/front.py --samples 3000 --features 20
    python benchmarks/front.py --device cuda
"""

import argparse
import time
import warnings

import numpy as np
import pandas as pd
import torch
from sklearn.model_selection import GridSearchCV

from fairtask import AuxiliaryFairnessClassifier, AuxiliaryFairnessClassifierCV
from fairtask.metrics import make_fairness_scoring
from fairtask.model_selection import least_disparity

NAMES = {"performance": "roc_auc", "disparity": "equalized_odds_difference"}


def make_samples(n, d):
    rng = np.random.default_rng(0)
    z = pd.Series(rng.integers(2, size=n))
    X = rng.normal(size=(n, d)).astype(np.float32)
    X[:, 1] += z
    y = (X[:, :3].sum(axis=1) + 2 * rng.normal(size=n) > 0).astype(int)
    return pd.DataFrame(X), y, z


def timed(search, clock, X, y, z):
    start = clock()
    with warnings.catch_warnings(action="ignore"):  # few epochs learn little
        search.fit(X, y, sensitive_features=z)
    return clock() - start


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=30_000)
    parser.add_argument("--features", type=int, default=100)
    parser.add_argument("--values", type=int, default=8)
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--device", default="cpu")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    X, y, z = make_samples(asked.samples, asked.features)
    settings = {"max_epochs": asked.epochs, "random_state": 0, "device": asked.device}
    clock = time.process_time if asked.device == "cpu" else time.perf_counter
    few = slice(500)
    warming_up = AuxiliaryFairnessClassifierCV(lams=2, cv=2, **settings)
    timed(warming_up, clock, X[few], y[few], z[few])
    ratios = []
    for _ in range(asked.rounds):
        together = AuxiliaryFairnessClassifierCV(
            lams=asked.values, cv=asked.folds, **settings
        )
        seconds = timed(together, clock, X, y, z)
        apart = GridSearchCV(
            AuxiliaryFairnessClassifier(**settings),
            {"lam": together.lams_.tolist()},
            scoring=make_fairness_scoring(NAMES.values(), sensitive_features=z),
            refit=least_disparity(**NAMES),
            cv=asked.folds,
        )
        seconds_apart = timed(apart, clock, X, y, z)
        ratios.append(seconds / seconds_apart)
        print(
            f"at once {seconds:.1f} s, one by one {seconds_apart:.1f} s, "
            f"ratio {ratios[-1]:.2f}; lam {together.lam_:.3g} and "
            f"{apart.best_params_['lam']:.3g}"
        )
    print(f"median ratio {np.median(ratios):.2f}")
    for name in NAMES.values():
        key = f"mean_test_{name}"
        difference = np.abs(together.cv_results_[key] - apart.cv_results_[key])
        print(f"largest difference in {key}: {difference.max():.4f}")


if __name__ == "__main__":
    main()
