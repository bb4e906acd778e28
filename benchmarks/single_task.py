"""Single-task learning against scikit-learn's classifiers: AUC on the test part.

Hold-outs of 60/20/20 %, all trained on the same 60 %. `MLPClassifier` has the trunk and
the epochs of ours and the best of 8 settings on the validation part, which the others
do not use: `HistGradientBoostingClassifier` and ours have their defaults.

    python benchmarks/single_task.py --seeds 3
"""

import argparse
import itertools
import warnings

import numpy as np
import pandas as pd
import torch
from joblib import Parallel, delayed
from quality import CASES, load
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import roc_auc_score
from sklearn.neural_network import MLPClassifier

from fairtask import AuxiliaryFairnessClassifier

GRID = {
    "alpha": [1e-4, 1e-2, 1.0, 10.0],
    "learning_rate_init": [5e-4, 2e-3],
}


def tuned_mlp(X, y, X_val, y_val, seed):
    """Best `MLPClassifier` of the grid by the AUC on the validation part."""
    best, best_auc = None, -np.inf
    for values in itertools.product(*GRID.values()):
        model = MLPClassifier(
            (128, 64),
            batch_size=512,
            max_iter=30,
            random_state=seed,
            **dict(zip(GRID, values, strict=True)),
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            model.fit(X, y)
        auc = roc_auc_score(y_val, model.predict_proba(X_val)[:, 1])
        if auc > best_auc:
            best, best_auc = model, auc
    return best


def evaluate(case, seed):
    torch.set_num_threads(1)
    (X, y, _), (X_val, y_val, _), (X_test, y_test, _) = load(case, seed)
    y, y_test = y.to_numpy(), y_test.to_numpy()
    models = {
        "fairtask, lam=1": AuxiliaryFairnessClassifier(lam=1, random_state=seed).fit(
            X, y
        ),
        "MLPClassifier, tuned": tuned_mlp(X, y, X_val, y_val, seed),
        "HistGradientBoosting": HistGradientBoostingClassifier(random_state=seed).fit(
            X, y
        ),
    }
    return {
        "case": case,
        **{
            name: roc_auc_score(y_test, model.predict_proba(X_test)[:, 1])
            for name, model in models.items()
        },
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    cases = ["adult/sex", "compas/sex", "bank/age"]
    parser.add_argument("--cases", nargs="+", default=cases, choices=CASES)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=2)
    arguments = parser.parse_args()
    rows = Parallel(n_jobs=arguments.jobs)(
        delayed(evaluate)(case, seed)
        for case in arguments.cases
        for seed in range(arguments.seeds)
    )
    by_case = pd.DataFrame(rows).groupby("case", sort=False)
    mean, sd = by_case.mean(), by_case.std()
    table = mean.map("{:.4f}".format) + " ± " + sd.map("{:.4f}".format)
    print(table.to_string())


if __name__ == "__main__":
    main()
