"""Trade accuracy against fairness: a small grid over ``lam``, a table and a figure.

Run by ``make demo`` and ``make demo DATASET=adult``.
"""

import argparse
import time
from pathlib import Path

import matplotlib as mpl
import pandas as pd
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.metrics import accuracy_score, roc_auc_score
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from tqdm import tqdm

from fairtask import AuxiliaryFairnessClassifier
from fairtask.datasets import fetch_adult, make_biased_classification
from fairtask.metrics import equal_opportunity_difference, equalized_odds_difference
from fairtask.model_selection import ParetoFrontDisplay

mpl.use("Agg")

LAMBDAS = [1.0, 0.7, 0.5, 0.3, 0.2, 0.1]


def load(dataset):
    """Return the samples, the labels and one sensitive attribute."""
    if dataset == "adult":
        adult = fetch_adult()
        return adult.data, adult.target, adult.sensitive_features["sex"]
    X, y, z = make_biased_classification(n_samples=20_000, random_state=0)
    names = [f"x{i}" for i in range(X.shape[1])]
    return pd.DataFrame(X, columns=names), pd.Series(y), pd.Series(z, name="group")


def make_model(lam, max_epochs, seed):
    """Encode a table and classify it."""
    encode = make_column_transformer(
        (
            OneHotEncoder(handle_unknown="ignore", sparse_output=False),
            make_column_selector(dtype_include="category"),
        ),
        (StandardScaler(), make_column_selector(dtype_include="number")),
    )
    classifier = AuxiliaryFairnessClassifier(
        lam=lam, max_epochs=max_epochs, random_state=seed
    )
    return make_pipeline(encode, classifier)


def run(dataset, n_repeats, max_epochs):
    """Return a row per value of lam: means over repeated hold-outs."""
    X, y, z = load(dataset)
    runs = [(lam, seed) for lam in LAMBDAS for seed in range(n_repeats)]
    rows = []
    for lam, seed in tqdm(runs, desc=f"training on {dataset}", unit="model"):
        X_train, X_test, y_train, y_test, z_train, z_test = train_test_split(
            X, y, z, test_size=0.2, stratify=y, random_state=seed
        )
        model = make_model(lam, max_epochs, seed)
        model.fit(
            X_train, y_train, auxiliaryfairnessclassifier__sensitive_features=z_train
        )
        y_pred = model.predict(X_test)
        rows.append(
            {
                "lam": lam,
                "AUC": roc_auc_score(y_test, model.predict_proba(X_test)[:, 1]),
                "accuracy": accuracy_score(y_test, y_pred),
                "EOD": equalized_odds_difference(
                    y_test, y_pred, sensitive_features=z_test
                ),
                "EOpD": equal_opportunity_difference(
                    y_test, y_pred, sensitive_features=z_test
                ),
            }
        )
    return pd.DataFrame(rows).groupby("lam", sort=False)


def plot(by_lam, title, path):
    """Draw AUC against equalized-odds difference, with the Pareto front."""
    mean, sd = by_lam.mean(), by_lam.std().fillna(0)
    points = pd.DataFrame(
        {
            "method": [
                "auxiliary fairness" if lam < 1 else "single task" for lam in mean.index
            ],
            "label": [f"lam={lam:g}" for lam in mean.index],
        },
        index=mean.index,
    )
    for name, column in (("performance", "AUC"), ("disparity", "EOD")):
        points[name] = mean[column]
        points[f"{name}_low"] = mean[column] - sd[column]
        points[f"{name}_high"] = mean[column] + sd[column]
    display = ParetoFrontDisplay(
        points,
        performance_name="roc_auc",
        disparity_name="equalized_odds_difference",
        bars="standard deviation",
    ).plot()
    display.ax_.set_title(title)
    display.figure_.savefig(path, dpi=150)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--dataset", choices=["synthetic", "adult"], default="synthetic"
    )
    parser.add_argument("--repeats", type=int, default=3, help="hold-outs per lam")
    parser.add_argument("--max-epochs", type=int, default=20)
    parser.add_argument("--output", type=Path, default=Path("demo_output"))
    arguments = parser.parse_args()

    start = time.perf_counter()
    by_lam = run(arguments.dataset, arguments.repeats, arguments.max_epochs)
    table = by_lam.mean()
    arguments.output.mkdir(parents=True, exist_ok=True)
    figure = arguments.output / f"pareto_{arguments.dataset}.png"
    title = f"{arguments.dataset}: mean and sd of {arguments.repeats} hold-outs"
    plot(by_lam, title, figure)

    print(f"\nTest part, mean of {arguments.repeats} hold-outs; lam=1 is single task.")
    print("EOD: larger of the gaps between groups in true and false positive rate,")
    print("EOpD: gap in true positive rate; lower is better.\n")
    print(table.round(4).to_string())
    print(f"\n{figure} ({time.perf_counter() - start:.0f} s)")


if __name__ == "__main__":
    main()
