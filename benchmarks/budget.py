"""A search under a fairness budget on Adult, judged on data it has not seen.

`GridSearchCV` over ``lam`` and ``fairness_loss``, in three folds of 80 % of the data.
The choice of each rule of `fairtask.model_selection` is fitted to these 80 %; the other
20 % are the test part, whose equalized-odds difference is printed with its 95 %
interval.

    python benchmarks/budget.py
    python benchmarks/budget.py --attribute race --budgets 0.2 --seeds 1
"""

import argparse
import warnings
from functools import partial

import numpy as np
import pandas as pd
import torch
from sklearn.base import clone
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GridSearchCV, StratifiedKFold, train_test_split
from sklearn.pipeline import make_pipeline

from fairtask import AuxiliaryFairnessClassifier
from fairtask.datasets import fetch_adult
from fairtask.exceptions import BudgetNotMetWarning
from fairtask.experiments._protocol import make_encoder
from fairtask.metrics import bootstrap, make_fairness_scoring
from fairtask.model_selection import (
    ParetoFrontDisplay,
    best_under_budget,
    knee_point,
    least_disparity,
)

NAMES = {"performance": "roc_auc", "disparity": "equalized_odds_difference"}
MODEL = "auxiliaryfairnessclassifier"
GRID = [
    {f"{MODEL}__fairness_loss": ["gld"], f"{MODEL}__lam": [0.05, 0.1, 0.2, 0.3, 0.5]},
    {f"{MODEL}__fairness_loss": ["glf"], f"{MODEL}__lam": [0.3, 0.5, 0.7, 0.9]},
    {f"{MODEL}__fairness_loss": ["gld"], f"{MODEL}__lam": [1.0]},
]


def run(attribute, budgets, seed, n_jobs):
    """Search on one split; return a row per rule, and the search."""
    data = fetch_adult()
    X, y, z = data.data, data.target, data.sensitive_features[attribute]
    train, test = train_test_split(
        np.arange(len(y)), test_size=0.2, stratify=y, random_state=seed
    )
    rules = {"best": lambda results: int(results["mean_test_roc_auc"].argmax())}
    for budget in budgets:
        choose = partial(best_under_budget, **NAMES, budget=budget)
        rules[f"best under {budget:g}"] = choose()
        rules[f"best under {budget:g}, 1 SE"] = choose(one_standard_error=True)
    rules["least disparity within 1 SE"] = least_disparity(**NAMES)
    rules["knee"] = knee_point(**NAMES)
    search = GridSearchCV(
        make_pipeline(
            make_encoder(),
            AuxiliaryFairnessClassifier(random_state=seed, device="cpu"),
        ),
        GRID,
        scoring=make_fairness_scoring(
            list(NAMES.values()), sensitive_features=z, min_group_size=10
        ),
        refit=False,
        cv=StratifiedKFold(3, shuffle=True, random_state=seed),
        n_jobs=n_jobs,
        error_score="raise",
    )
    sensitive = {f"{MODEL}__sensitive_features": z.iloc[train]}
    search.fit(X.iloc[train], y.iloc[train], **sensitive)
    rows = []
    for rule, choose in rules.items():
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            index = choose(search.cv_results_)
        params = search.cv_results_["params"][index]
        model = clone(search.estimator).set_params(**params)
        model.fit(X.iloc[train], y.iloc[train], **sensitive)
        result = bootstrap(
            NAMES["disparity"],
            y.iloc[test],
            model.predict(X.iloc[test]),
            sensitive_features=z.iloc[test],
            min_group_size=10,
            random_state=seed,
        )
        folds = search.cv_results_
        rows.append(
            {
                "seed": seed,
                "rule": rule,
                "chosen": ", ".join(str(value) for value in params.values()),
                "met in CV": not any(w.category is BudgetNotMetWarning for w in caught),
                "CV AUC": folds["mean_test_roc_auc"][index],
                "CV EOD": -folds["mean_test_equalized_odds_difference"][index],
                "test AUC": roc_auc_score(
                    y.iloc[test], model.predict_proba(X.iloc[test])[:, 1]
                ),
                "test EOD": str(result),
            }
        )
    return rows, search


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--attribute", default="sex", choices=["sex", "race"])
    parser.add_argument("--budgets", type=float, nargs="+", default=[0.05, 0.07])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first-seed", type=int, default=400)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--figure", metavar="FILE", help="draw the first search")
    parser.add_argument("--table", metavar="FILE", help="write the table as CSV")
    arguments = parser.parse_args()
    torch.set_num_threads(1)

    rows = []
    for i in range(arguments.seeds):
        new, search = run(
            arguments.attribute,
            arguments.budgets,
            arguments.first_seed + i,
            arguments.jobs,
        )
        rows += new
        if i == 0 and arguments.figure:
            ParetoFrontDisplay.from_cv_results(
                search.cv_results_,
                **NAMES,
                method=f"{MODEL}__fairness_loss",
                budget=arguments.budgets[0],
            ).figure_.savefig(arguments.figure, dpi=120)
    table = pd.DataFrame(rows)
    print(table.round(4).to_string(index=False))
    if arguments.table:
        table.to_csv(arguments.table, index=False, float_format="%.4f")


if __name__ == "__main__":
    main()
