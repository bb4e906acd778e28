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

mpl.use("Agg")
import matplotlib.pyplot as plt

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
    """Draw AUC against equalized-odds difference, and the points no other beats."""
    mean, sd = by_lam.mean(), by_lam.std().fillna(0)
    best_first = mean.sort_values(["EOD", "AUC"], ascending=[True, False])
    front = best_first[
        best_first["AUC"] > best_first["AUC"].cummax().shift(fill_value=0)
    ]

    figure, ax = plt.subplots(figsize=(6.4, 4.2), layout="constrained")
    ax.plot(front["EOD"], front["AUC"], "--", color="0.5", label="Pareto front")
    single_task = mean.index == 1
    for label, chosen, marker, color in (
        ("single task (lam=1)", single_task, "s", "black"),
        ("auxiliary fairness, by lam", ~single_task, "o", "tab:blue"),
    ):
        ax.errorbar(
            mean["EOD"][chosen],
            mean["AUC"][chosen],
            xerr=sd["EOD"][chosen],
            yerr=sd["AUC"][chosen],
            fmt=marker,
            color=color,
            elinewidth=0.5,
            label=label,
        )
    for lam, row in mean[~single_task].iterrows():
        ax.annotate(
            f"{lam:g}",
            (row["EOD"], row["AUC"]),
            textcoords="offset points",
            xytext=(5, -11),
            fontsize=8,
        )
    ax.set(
        xlabel="equalized-odds difference (lower is better)", ylabel="AUC", title=title
    )
    ax.legend(loc="lower right")
    figure.savefig(path, dpi=150)
    plt.close(figure)


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
