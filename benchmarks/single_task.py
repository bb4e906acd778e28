"""Single-task learning against scikit-learn's classifiers: AUC on the test part.

Hold-outs of 60/20/20 %, all trained on the same 60 %. `MLPClassifier` has the trunk and
the epochs of fairtask, and the best of 8 settings on the validation part. The others
have their defaults and do not use that part.

    python benchmarks/single_task.py --seeds 3
"""

import argparse
import itertools
import warnings

import numpy as np
import pandas as pd
import torch
from joblib import Parallel, delayed
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import roc_auc_score
from sklearn.neural_network import MLPClassifier

from fairtask import AuxiliaryFairnessClassifier
from fairtask.experiments._cases import DataSource
from fairtask.experiments._protocol import make_parts

GRID = {
    "alpha": [1e-4, 1e-2, 1.0, 10.0],
    "learning_rate_init": [5e-4, 2e-3],
}


def tuned_mlp(train, validation, seed):
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
            model.fit(train.X, train.y)
        auc = roc_auc_score(validation.y, model.predict_proba(validation.X)[:, 1])
        if auc > best_auc:
            best, best_auc = model, auc
    return best


def evaluate(case, seed):
    torch.set_num_threads(1)
    parts = make_parts(DataSource.of(case).load(), seed)
    train, test = parts["train"], parts["test"]
    X, y = train.X, train.y
    models = {
        "fairtask, lam=1": AuxiliaryFairnessClassifier(lam=1, random_state=seed).fit(
            X, y
        ),
        "MLPClassifier, tuned": tuned_mlp(train, parts["validation"], seed),
        "HistGradientBoosting": HistGradientBoostingClassifier(random_state=seed).fit(
            X, y
        ),
    }
    return {
        "case": case,
        **{
            name: roc_auc_score(test.y, model.predict_proba(test.X)[:, 1])
            for name, model in models.items()
        },
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    cases = ["adult", "compas", "bank"]
    parser.add_argument("--cases", nargs="+", default=cases, choices=cases)
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
