"""New heads on the representations of several methods, and groups read from them.

Each network is trained on the training part of a hold-out, without a validation part.
Heads are fitted to its representation of that part, for its own task and for tasks that
its training did not know, and judged on the test part. EOD is the larger of the
differences in true and in false positive rate; groups with fewer than 10 positives or
negatives in the test part are left out, and the worst of several attributes counts.
FairFace has one split, and seeds of the network in place of hold-outs. Its backbone is
frozen in the case "fairface", and fine-tuned in "fairface-tuned", which needs a GPU.

    python benchmarks/representation.py --jobs 2 --weights WEIGHTS --tables docs/tables
    python benchmarks/representation.py --cases compas/sex --methods fairtask erased
    python benchmarks/representation.py --cases fairface-tuned/gender,race --jobs 6 \
        --weights WEIGHTS --methods single-task fairtask-regularised fairtask
"""

import argparse
import time
import warnings
from dataclasses import replace
from pathlib import Path

import pandas as pd
from joblib import Parallel, delayed
from threadpoolctl import threadpool_limits

from fairtask.datasets import fetch_fairface
from fairtask.experiments._cases import DataSource
from fairtask.experiments._methods import Setting, find_methods
from fairtask.experiments._protocol import make_parts
from fairtask.metrics import audit_representation

CASES = "adult/sex adult/race adult/sex,race compas/sex compas/race bank/age"
CASES += " adult-other/sex adult-other/race fairface/gender,race"
FACES = ("fairface", "fairface-tuned")

# In place of the recipe for a frozen backbone.
FINE_TUNED = {
    "freeze": None,
    "augmentation": {"scale": (0.7, 1)},
    "lr": 3e-4,
    "weight_decay": 0.05,
    "batch_size": 32,
    "max_epochs": 5,
    "num_workers": 1,
}

# The parameters of the estimator that a method changes; "fairtask-..." are built in.
METHODS = {
    "single-task": {"lam": 1.0},
    "paper": {
        "fairness_head": "literal",
        "parity": "overall",
        "group_momentum": 0.0,
        "representation_weight": 0.0,
        "lam": 0.5,
    },
    "fairtask-regularised": {},
    "head-alone": {"representation_weight": 0.0, "lam": 0.2},
    "fairtask": {},
    "erased": {"erase": True},
}

HEADS = {
    "own prediction": "own",
    "logistic regression": "LR",
    "boosted trees": "trees",
}
METRICS = {"roc_auc": "AUC", "accuracy": "ACC", "equalized_odds_difference": "EOD"}


def load(dataset, attributes):
    """Return the samples of a case, and labels of tasks that training does not know."""
    names = {"adult-other": "adult"} | dict.fromkeys(FACES, "fairface-split")
    name = names.get(dataset, dataset)
    case = DataSource.of(name, attributes).load()
    if dataset == "adult-other":
        hours, status = case.X["hours-per-week"], case.X["marital-status"].astype(str)
        X = case.X.drop(columns=["hours-per-week", "marital-status"])
        return replace(case, X=X), {
            "more than 40 hours": (hours > 40).to_numpy().astype(int),
            "married": status.str.startswith("Married").to_numpy().astype(int),
        }
    if dataset in FACES:
        age = fetch_fairface().age
        bands = (age >= "20-29").astype(int) + (age >= "40-49").astype(int)
        return case, {"age in three bands": bands.to_numpy()}
    return case, {}


def audits(dataset, attributes, method, seed, parameters):
    """Train one network; return a row of figures for each task of the new heads."""
    case, other_tasks = load(dataset, attributes)
    parts = make_parts(case, seed)
    train, test = parts["train"], parts["test"]
    kind = "image" if dataset in FACES else "table"
    built_in = method if method.startswith("fairtask-") else "fairtask"
    own = {} if method == built_in else METHODS[method]
    setting = Setting(
        "defaults", dataset, tuple(attributes), kind, seed, parameters=parameters
    )
    network = find_methods()[built_in].make(setting).set_params(**own)
    start = time.perf_counter()
    network.fit(train.X, train.y, sensitive_features=train.groups)
    seconds = time.perf_counter() - start
    rows = []
    for task, labels in {"": None, **other_tasks}.items():
        y, y_test = (
            (train.y, test.y)
            if labels is None
            else (labels[train.groups.index], labels[test.groups.index])
        )
        audit = audit_representation(
            network,
            train.X,
            y,
            sensitive_features=train.groups,
            X_test=test.X,
            y_test=y_test,
            sensitive_features_test=test.groups,
            own_prediction=labels is None,
            min_group_size=10,
            n_resamples=0,
            random_state=seed,
        )
        worst = audit.differences["value"].groupby(level=["metric", "head"]).max()
        figures = pd.concat([audit.performance["value"], worst])
        rows.append(
            {"case": f"{dataset}/{','.join(attributes)}", "task": task}
            | {"method": method, "seed": seed, "seconds": seconds}
            | {
                f"{METRICS[metric]} {HEADS[head]}": value
                for (metric, head), value in figures.items()
                if metric in METRICS
            }
            | {"group AUC": audit.group_auc["value"].max()}
        )
    return rows


def run(job):
    """Run a job in one thread, without the warnings on small groups."""
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return audits(*job)


def write_tables(runs, folder):
    """Write means: of heads for the task that was trained, and for other tasks."""
    means = runs.groupby(["case", "task", "method"], sort=False).mean(numeric_only=True)
    # Short: ".913".
    text = means.map("{:.3f}".format).replace(r"^0\.", ".", regex=True)
    is_own = text.index.get_level_values("task") == ""
    without_columns = text.index.get_level_values("case").str.startswith("adult-other")
    of_heads = ["EOD LR", "EOD trees", "group AUC"]
    own = text[is_own & ~without_columns].droplevel("task")
    own[["AUC own", "EOD own", "AUC LR", "AUC trees", *of_heads]].to_csv(
        folder / "representation.csv"
    )
    other = text[~is_own][["ACC LR", "ACC trees", *of_heads]]
    other.to_csv(folder / "other_tasks.csv")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", nargs="+", default=CASES.split())
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=METHODS)
    parser.add_argument("--first-seed", type=int, default=300)
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--weights", type=Path, help="of the backbone for fairface")
    parser.add_argument("--output", type=Path, default=Path("results/representation"))
    parser.add_argument("--tables", type=Path, metavar="FOLDER")
    asked = parser.parse_args()
    jobs = []
    for case in asked.cases:
        dataset, attributes = case.split("/")
        repeats, parameters = asked.repeats, {}
        if dataset in FACES:
            repeats = min(3, repeats)
            overlay = {"file": str(asked.weights)}
            parameters = {"backbone_params": {"pretrained_cfg_overlay": overlay}}
            if dataset == "fairface-tuned":
                parameters |= FINE_TUNED
        seeds = range(asked.first_seed, asked.first_seed + repeats)
        jobs += [
            (dataset, attributes.split(","), method, seed, parameters)
            for seed in seeds
            for method in asked.methods
        ]
    rows = Parallel(n_jobs=asked.jobs, verbose=1)(delayed(run)(job) for job in jobs)
    table = pd.DataFrame([row for of_job in rows for row in of_job])
    asked.output.mkdir(parents=True, exist_ok=True)
    table.to_csv(asked.output / "runs.csv", index=False)
    if asked.tables:
        write_tables(table, asked.tables)
    means = (
        table.drop(columns="seed")
        .groupby(["case", "task", "method"], sort=False)
        .mean()
    )
    means.to_csv(asked.output / "means.csv", float_format="%.4f")
    with pd.option_context("display.width", 250, "display.max_columns", 20):
        print(means.round(3).to_string())


if __name__ == "__main__":
    main()
