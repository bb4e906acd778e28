"""Single-task learning, baselines and ours on the faces of FairFace.

Task: 30 years or older; sensitive attributes: gender and race together. The training
and test images are FairFace's own, the seeds those of the network. All methods have the
recipe `TUNED_IMAGE`, which was chosen on fifths of the training images. EOD and EOpD
are the largest gaps between groups in error rates and in true positive rates, GACCD in
accuracy. MR is the mean rank over accuracy, EOD, EOpD and GACCD of both attributes,
delta-m the relative change against single-task learning as the paper computes it.

    python benchmarks/faces.py --weights tf_efficientnet_lite0.safetensors
    python benchmarks/faces.py --methods "single task" ours --seeds 3
    python benchmarks/faces.py --set freeze=-2 max_epochs=3 dropout=0.0 batch_size=64

With ``--results FILE`` runs are kept in FILE, a line each, and not repeated.
"""

import argparse
import json
import warnings
from pathlib import Path

import pandas as pd
import torch
from joblib import Parallel, delayed
from quality import parse_settings

from fairtask import AuxiliaryFairnessImageClassifier
from fairtask.baselines import (
    AdversarialImageClassifier,
    GroupSpecificImageClassifier,
    RegularizedImageClassifier,
)
from fairtask.datasets import fetch_fairface
from fairtask.exceptions import CollapsedHeadWarning
from fairtask.experiments._features import RememberingBackbone
from fairtask.experiments._recipes import TUNED_IMAGE
from fairtask.metrics import (
    delta_m,
    equal_opportunity_difference,
    equalized_odds_difference,
    group_accuracy_difference,
    mean_rank,
)

# As the paper has it: groups compared over all classes, inside each batch, lam=0.5.
AS_IN_THE_PAPER = {
    "fairness_loss": "gld",
    "parity": "overall",
    "group_momentum": 0.0,
    "lam": 0.5,
}
METHODS = {
    "single task": (AuxiliaryFairnessImageClassifier, {"lam": 1.0}),
    "regularised": (RegularizedImageClassifier, AS_IN_THE_PAPER),
    "adversarial": (AdversarialImageClassifier, {}),
    "group-specific": (GroupSpecificImageClassifier, {}),
    "literal": (
        AuxiliaryFairnessImageClassifier,
        {"fairness_head": "literal", **AS_IN_THE_PAPER},
    ),
    "regularised as ours": (
        RegularizedImageClassifier,
        {"lam": AuxiliaryFairnessImageClassifier().lam},
    ),
    "ours": (AuxiliaryFairnessImageClassifier, {}),
}
DIFFERENCES = {
    "EOD": equalized_odds_difference,
    "EOpD": equal_opportunity_difference,
    "GACCD": group_accuracy_difference,
}


def parameters_of(method, settings, weights):
    """Parameters of a method; what was asked for comes before its own."""
    pretrained = {}
    if weights:
        overlay = {"pretrained_cfg_overlay": {"file": weights}}
        pretrained = {"backbone_params": overlay}
    return {**TUNED_IMAGE, **pretrained, **METHODS[method][1], **settings}


def evaluate(method, seed, parameters):
    """Figures of a method with one seed, by attribute and metric."""
    torch.set_num_threads(1)
    train, test = (fetch_fairface(subset=subset) for subset in ("train", "test"))
    used = dict(parameters)
    if used["freeze"] == "backbone":
        params = used.pop("backbone_params", {})
        used["backbone"] = RememberingBackbone(used["backbone"], params)
    model = METHODS[method][0](random_state=seed, device="cpu", **used)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model.fit(train.data, train.target, sensitive_features=train.sensitive_features)
    y_pred = model.predict(test.data)
    figures = {}
    for name, groups in test.sensitive_features.items():
        figures[f"{name} ACC"] = float((y_pred == test.target).mean())
        for metric, difference in DIFFERENCES.items():
            figures[f"{name} {metric}"] = float(
                difference(test.target, y_pred, sensitive_features=groups)
            )
    return {
        "method": method,
        "seed": seed,
        "parameters": json.dumps(parameters, sort_keys=True),
        "collapsed": any(w.category is CollapsedHeadWarning for w in caught),
        "train loss": float(model.history_["train_task_loss"].iloc[-1]),
        "epoch [s]": float(model.history_["dur"].mean()),
        **figures,
    }


def summary(runs):
    """Means by method, with mean rank and delta-m, and their spread over the seeds."""
    columns = [name for name in runs if name.split(" ")[0] in ("gender", "race")]
    by_method = runs.groupby("method", sort=False)[columns]
    mean, sd = by_method.mean(), by_method.std()
    nested = mean.set_axis(
        pd.MultiIndex.from_tuples([tuple(name.split(" ")) for name in columns]), axis=1
    )
    setting = {"baseline": "single task", "higher_is_better": ["ACC"]}
    text = mean.map("{:.3f}".format) + " ± " + sd.map("{:.3f}".format)
    text = text.drop(columns="race ACC").rename(columns={"gender ACC": "ACC"})
    ranks = mean_rank(nested, **setting).map("{:.2f}".format)
    text["MR"] = ranks.reindex(text.index, fill_value="")
    change = delta_m(nested, reduce="sum_per_task", **setting)
    text["delta-m"] = change.map("{:+.0f} %".format)
    collapsed = runs.groupby("method", sort=False)["collapsed"].sum()
    text["collapsed"] = collapsed.astype(int)
    return text


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=METHODS)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--weights", help="file of the backbone's pretrained weights")
    parser.add_argument("--results", type=Path, metavar="FILE")
    parser.add_argument("--table", type=Path, metavar="FILE", help="write a CSV table")
    parser.add_argument(
        "--set",
        nargs="+",
        default=[],
        metavar="NAME=VALUE",
        help="parameters that differ from the recipe",
    )
    arguments = parser.parse_args()
    settings = parse_settings(arguments.set)

    parameters = {
        method: parameters_of(method, settings, arguments.weights)
        for method in arguments.methods
    }
    rows = {}
    if arguments.results and arguments.results.exists():
        for line in arguments.results.read_text().splitlines():
            row = json.loads(line)
            now = json.dumps(parameters.get(row["method"]), sort_keys=True)
            if row["parameters"] == now:
                rows[row["method"], row["seed"]] = row
    asked = [(m, s) for s in range(arguments.seeds) for m in arguments.methods]
    jobs = [
        delayed(evaluate)(method, seed, parameters[method])
        for method, seed in asked
        if (method, seed) not in rows
    ]
    for row in Parallel(n_jobs=arguments.jobs, return_as="generator_unordered")(jobs):
        rows[row["method"], row["seed"]] = row
        if arguments.results:
            with arguments.results.open("a") as file:
                file.write(json.dumps(row) + "\n")

    order = sorted(asked, key=lambda pair: arguments.methods.index(pair[0]))
    runs = pd.DataFrame([rows[pair] for pair in order])
    print(runs.groupby("method", sort=False)[["train loss", "epoch [s]"]].mean())
    table = summary(runs)
    print(table.to_string())
    if arguments.table:
        # Shorter, and never broken: ".913 ± .002".
        replaced = {r"\b0\.": ".", " ": "\N{NO-BREAK SPACE}"}
        table.replace(replaced, regex=True).to_csv(arguments.table)


if __name__ == "__main__":
    main()
