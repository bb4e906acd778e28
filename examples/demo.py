"""From a raw table to a model within a fairness budget, judged on other data.

Run by ``make demo`` and ``make demo DATASET=compas``.
"""

import argparse
import textwrap
import time
from pathlib import Path

import matplotlib as mpl
import pandas as pd
from sklearn.model_selection import train_test_split

from fairtask import AuxiliaryFairnessClassifier, AuxiliaryFairnessClassifierCV
from fairtask.datasets import (
    fetch_adult,
    fetch_compas,
    make_biased_classification,
)
from fairtask.metrics import audit_representation, compare_reports, fairness_report

mpl.use("Agg")

LAMBDAS = [0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0]
FETCH = {"adult": fetch_adult, "compas": fetch_compas}
BUDGETS = {"adult": 0.07, "compas": 0.1, "synthetic": 0.1}


def load(dataset):
    """Return the table, the labels and one sensitive attribute."""
    if dataset in FETCH:
        data = FETCH[dataset]()
        return data.data, data.target, data.sensitive_features["sex"]
    X, y, z = make_biased_classification(n_samples=20_000, random_state=0)
    names = [f"x{i}" for i in range(X.shape[1])]
    return pd.DataFrame(X, columns=names), pd.Series(y), pd.Series(z, name="group")


def judge(model, train, test):
    """Return a report of the predictions, and a row of figures."""
    (X, y, z), (X_test, y_test, z_test) = train, test
    report = fairness_report(
        y_test,
        model.predict(X_test),
        model.predict_proba(X_test)[:, 1],
        sensitive_features=z_test,
        metrics=["equalized_odds_difference", "group_auc_difference"],
        n_resamples=200,
        random_state=0,
    )
    audit = audit_representation(
        model,
        X,
        y,
        sensitive_features=z,
        X_test=X_test,
        y_test=y_test,
        sensitive_features_test=z_test,
        n_resamples=200,
        random_state=0,
    )
    eod = audit.differences.xs("equalized_odds_difference", level="metric")
    own, head = (
        eod.xs(name, level="head").iloc[0]
        for name in ("own prediction", "logistic regression")
    )
    performance = audit.performance["value"].xs("own prediction", level="head")
    return report, {
        "AUC": performance["roc_auc"],
        "accuracy": performance["accuracy"],
        "EOD": own["value"],
        "95 % interval": f"{own['low']:.3f} to {own['high']:.3f}",
        "EOD of a new head": head["value"],
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dataset", choices=sorted(BUDGETS), default="synthetic")
    parser.add_argument("--max-epochs", type=int, help="fewer make a worse model")
    parser.add_argument("--output", type=Path, default=Path("demo_output"))
    arguments = parser.parse_args()
    epochs = (
        {} if arguments.max_epochs is None else {"max_epochs": arguments.max_epochs}
    )
    budget = BUDGETS[arguments.dataset]

    start = time.perf_counter()
    X, y, z = load(arguments.dataset)
    X_train, X_test, y_train, y_test, z_train, z_test = train_test_split(
        X, y, z, test_size=0.4, stratify=y, random_state=0
    )
    print(f"{arguments.dataset}: {len(y_train):,} rows to train on.", end=" ")
    print(f"Searching over {len(LAMBDAS)} values of lam in 3 folds ...", flush=True)
    search = AuxiliaryFairnessClassifierCV(
        lams=LAMBDAS, cv=3, budget=budget, random_state=0, **epochs
    ).fit(X_train, y_train, sensitive_features=z_train)
    print(f"The choice for an EOD of at most {budget:g} is lam={search.lam_:g}.")

    alone = AuxiliaryFairnessClassifier(lam=1.0, random_state=0, **epochs)
    alone.fit(X_train, y_train, sensitive_features=z_train)
    models = {"task alone": alone, "within the budget": search.estimator_}
    parts = (X_train, y_train, z_train), (X_test, y_test, z_test)
    judged = [judge(model, *parts) for model in models.values()]
    reports, rows = zip(*judged, strict=True)
    print(f"\nOn {len(y_test):,} other rows. EOD: the larger of the gaps between the")
    print("groups in true and in false positive rate. New head: a logistic regression")
    print("that is fitted to the representation, for the task alone.\n")
    print(pd.DataFrame(rows, index=list(models)).round(3).to_string())

    print("\nWhat the budget changed:\n")
    comparison = compare_reports(*reports, n_resamples=200, random_state=0)
    for sentence in comparison.sentences():
        print(textwrap.fill(sentence, 80, initial_indent="- ", subsequent_indent="  "))

    arguments.output.mkdir(parents=True, exist_ok=True)
    path = arguments.output / f"pareto_{arguments.dataset}.png"
    search.plot_front().figure_.savefig(path, dpi=150)
    print(f"\n{path} ({time.perf_counter() - start:.0f} s)")


if __name__ == "__main__":
    main()
