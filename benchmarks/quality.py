"""Single-task learning against the defaults, on real data.

Repeated hold-outs of 60/20/20 %. The validation part is not used: there is no choice to
make between two models that are fixed beforehand. Figures are those of the test part;
groups with fewer than 10 positives or negatives there are left out of the differences.
"EOD refit" is that of a logistic regression fitted to the learnt representation;
"collapsed" is the share of the runs with a `CollapsedHeadWarning`.

    python benchmarks/quality.py
    python benchmarks/quality.py --cases adult/sex --seeds 2 --set lam=0.3 lr=0.001
"""

import argparse
import ast
import warnings

import numpy as np
import pandas as pd
import torch
from joblib import Parallel, delayed
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, roc_auc_score
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from fairtask import AuxiliaryFairnessClassifier
from fairtask.datasets import fetch_adult, fetch_bank_marketing, fetch_compas
from fairtask.exceptions import CollapsedHeadWarning
from fairtask.metrics import (
    equal_opportunity_difference,
    equalized_odds_difference,
    group_auc_difference,
)

# `duration` is known only after the call; published figures on Bank use it.
CASES = {
    "adult/sex": (fetch_adult, {}, "sex"),
    "adult/race": (fetch_adult, {}, "race"),
    "bank/age": (fetch_bank_marketing, {"include_duration": True}, "age"),
    "compas/race": (fetch_compas, {}, "race"),
    "compas/sex": (fetch_compas, {}, "sex"),
}


def make_model(**parameters):
    encode = make_column_transformer(
        (
            OneHotEncoder(handle_unknown="ignore", sparse_output=False),
            make_column_selector(dtype_include=["category"]),
        ),
        (StandardScaler(), make_column_selector(dtype_include="number")),
    )
    return make_pipeline(encode, AuxiliaryFairnessClassifier(**parameters))


def refit(model, X_train, y_train, X_test):
    """Predict with a new head on the representation, fitted to the task alone."""
    head = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    head.fit(model.transform(X_train), y_train)
    return head.predict(model.transform(X_test))


def evaluate(case, seed, parameters):
    torch.set_num_threads(1)
    fetch, options, attribute = CASES[case]
    data = fetch(**options)
    X, y, z = data.data, data.target, data.sensitive_features[attribute]
    rest, test = train_test_split(
        np.arange(len(y)), test_size=0.2, stratify=y, random_state=seed
    )
    train, _ = train_test_split(
        rest, test_size=0.25, stratify=y.iloc[rest], random_state=seed
    )
    model = make_model(random_state=seed, **parameters)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model.fit(
            X.iloc[train],
            y.iloc[train],
            auxiliaryfairnessclassifier__sensitive_features=z.iloc[train],
        )
    collapsed = any(w.category is CollapsedHeadWarning for w in caught)
    y_test, z_test = y.iloc[test], z.iloc[test]
    score = model.predict_proba(X.iloc[test])[:, 1]
    y_pred = model.predict(X.iloc[test])
    groups = {"sensitive_features": z_test, "min_group_size": 10}
    # Groups that are too small are left out on purpose.
    warnings.simplefilter("ignore", UndefinedMetricWarning)
    return {
        "AUC": roc_auc_score(y_test, score),
        "accuracy": accuracy_score(y_test, y_pred),
        "EOD": equalized_odds_difference(y_test, y_pred, **groups),
        "EOD mean": equalized_odds_difference(y_test, y_pred, agg="mean", **groups),
        "EOpD": equal_opportunity_difference(y_test, y_pred, **groups),
        "GAUCD": group_auc_difference(y_test, score, **groups),
        "EOD refit": equalized_odds_difference(
            y_test, refit(model, X.iloc[train], y.iloc[train], X.iloc[test]), **groups
        ),
        "collapsed": float(collapsed),
        "epoch [s]": model[-1].history_["dur"].mean(),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", nargs="+", default=list(CASES), choices=CASES)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument(
        "--set",
        nargs="+",
        default=[],
        metavar="NAME=VALUE",
        help="parameters that differ from the defaults",
    )
    parser.add_argument("--no-single-task", action="store_true")
    arguments = parser.parse_args()
    parameters = {}
    for setting in arguments.set:
        name, _, value = setting.partition("=")
        try:
            parameters[name] = ast.literal_eval(value)
        except ValueError:
            parameters[name] = value

    methods = {"auxiliary": parameters}
    if not arguments.no_single_task:
        methods = {"single task": {**parameters, "lam": 1.0}, **methods}
    first = arguments.first_seed
    runs = [
        (case, method, seed)
        for case in arguments.cases
        for method in methods
        for seed in range(first, first + arguments.seeds)
    ]
    rows = Parallel(n_jobs=arguments.jobs)(
        delayed(evaluate)(case, seed, methods[method]) for case, method, seed in runs
    )
    table = pd.DataFrame(rows)
    table.insert(0, "case", [case for case, _, _ in runs])
    table.insert(1, "method", [method for _, method, _ in runs])
    by_method = table.groupby(["case", "method"], sort=False)
    figures = by_method.mean().round(4).astype(str)
    figures += " ± " + by_method.std().round(4).astype(str)
    print(figures.to_string())


if __name__ == "__main__":
    main()
