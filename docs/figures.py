"""Draw the figures of the landing page and of the user guide.

They show the code of their pages, or measurements that a file or a docstring names.
They are stored, so that the pages can be built without the data.

    python docs/figures.py                  # all, in some minutes
    python docs/figures.py landing budget   # some
"""

import functools
import sys
import warnings
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import train_test_split

from fairtask import AuxiliaryFairnessClassifier, AuxiliaryFairnessClassifierCV
from fairtask.datasets import (
    fetch_adult,
    fetch_compas,
    make_biased_classification,
)
from fairtask.metrics import audit_representation, fairness_report
from fairtask.model_selection import (
    GroupLossDisplay,
    GroupRatesDisplay,
    ParetoFrontDisplay,
)

mpl.use("Agg")
import matplotlib.pyplot as plt

HERE = Path(__file__).parent
IMAGES = HERE / "images" / "guide"
BEFORE, AFTER, GREY = "#0072b2", "#d55e00", "#777777"
plt.rcParams.update(
    {
        "svg.hashsalt": "fairtask",
        "font.size": 10,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "figure.constrained_layout.use": True,
    }
)
NAMES = {
    "demographic_parity_difference": "selection rate",
    "equal_opportunity_difference": "true positive rate",
    "equalized_odds_difference": "true/false pos. rate (EOD)",
    "group_accuracy_difference": "accuracy",
}


def save(name, figure):
    """Write a figure without its date, so that it changes with its contents only."""
    figure.savefig(IMAGES / f"{name}.svg", metadata={"Date": None})
    plt.close(figure)


@functools.cache
def compas_by_sex(test_size=0.25):
    """Return the parts of COMPAS that the pages use."""
    compas = fetch_compas()
    return train_test_split(
        compas.data,
        compas.target,
        compas.sensitive_features["sex"],
        test_size=test_size,
        stratify=compas.target,
        random_state=0,
    )


@functools.cache
def fitted_on_compas(lam):
    """Return a classifier of COMPAS."""
    X, _, y, _, z, _ = compas_by_sex()
    return AuxiliaryFairnessClassifier(lam=lam, random_state=0).fit(
        X, y, sensitive_features=z
    )


def report_of(model, X, y, z):
    """Judge a fitted classifier."""
    return fairness_report(y, model.predict(X), sensitive_features=z, random_state=0)


def draw_interval(ax, value, low, high, position, is_after, **settings):
    """Draw a value with its interval."""
    ax.errorbar(
        value,
        position,
        xerr=[[value - low], [high - value]],
        fmt="o",
        color=AFTER if is_after else BEFORE,
        capsize=3,
        **settings,
    )


def draw_gap(ax, position, values, color):
    """Draw the rates of two groups, the gap between them, and the groups' names."""
    ax.plot(values, [position] * 2, color=color, lw=2, alpha=0.5)
    for group, marker in zip(values.index, "os", strict=True):
        is_left = values[group] == values.min()
        ax.plot(values[group], position, marker, color=color, ms=8)
        ax.annotate(
            group.lower(),
            (values[group], position),
            (-8 if is_left else 8, 0),
            textcoords="offset points",
            ha="right" if is_left else "left",
            va="center",
        )
    ax.annotate(
        f"gap {values.max() - values.min():.2f}",
        (values.mean(), position),
        (0, 9),
        textcoords="offset points",
        ha="center",
        color=color,
    )


def landing():
    """Rates of women and men on COMPAS, before and after; the code of the page."""
    _, X, _, y, _, z = compas_by_sex()
    rates = {
        "true_positive_rate": "True positive rate",
        "false_positive_rate": "False positive rate",
    }
    figure, axes = plt.subplots(2, 1, figsize=(5.4, 3.6))
    labels = []
    for position, (lam, name) in enumerate(((1, "task alone"), (0.3, "fairtask"))):
        report = report_of(fitted_on_compas(lam), X, y, z)
        accuracy = report.overall["accuracy"].iloc[0]
        labels.append(f"{name}\naccuracy {accuracy:.2f}")
        for ax, rate in zip(axes, rates, strict=True):
            values = report[rate].droplevel("attribute")
            draw_gap(ax, -position, values, AFTER if position else BEFORE)
    for ax, title in zip(axes, rates.values(), strict=True):
        ax.set_title(title, loc="left", fontsize=10, fontweight="bold")
        ax.set(ylim=(-1.5, 0.7), xlim=(0, 0.8))
        ax.set_yticks([0, -1], labels)
        ax.tick_params(axis="y", left=False, pad=30)
        ax.spines.left.set_visible(False)
    save("landing", figure)


def table():
    """Rates of women and men on Adult with intervals, before and after."""
    adult = fetch_adult(dropna=False)
    people = adult.data.assign(income=adult.target)
    train, test = train_test_split(
        people, test_size=0.2, stratify=people["income"], random_state=0
    )
    X, X_test = (part.drop(columns="income") for part in (train, test))
    rates = ["selection_rate", "true_positive_rate", "false_positive_rate"]
    figure, axes = plt.subplots(3, 1, figsize=(5.4, 4.6))
    labels = []
    for position, lam in enumerate((1, 0.3)):
        model = AuxiliaryFairnessClassifier(lam=lam, random_state=0)
        model.fit(X, train["income"], sensitive_features=train["sex"])
        report = report_of(model, X_test, test["income"], test["sex"])
        for ax, rate in zip(axes, rates, strict=True):
            for row, group in enumerate(("Female", "Male")):
                value, low, high = (
                    part.loc[("sex", group), rate]
                    for part in (report, report.low, report.high)
                )
                draw_interval(ax, value, low, high, -3 * position - row, lam < 1)
                if ax is axes[0]:
                    labels.append(f"{group.lower()}, lam={lam}")
    for ax, rate in zip(axes, rates, strict=True):
        title = rate.replace("_", " ").capitalize()
        ax.set_title(title, loc="left", fontsize=10, fontweight="bold")
        ax.set_yticks([0, -1, -3, -4], labels)
        ax.set(xlim=(0, None), ylim=(-4.7, 0.7))
    save("table", figure)


def definitions():
    """Differences of a model per penalised definition; the code of the page."""
    adult = fetch_adult()
    X, X_test, y, y_test, z, z_test = train_test_split(
        adult.data,
        adult.target,
        adult.sensitive_features["sex"],
        train_size=15_000,
        test_size=15_000,
        stratify=adult.target,
        random_state=0,
    )
    settings = {
        "nothing": {"lam": 1},
        "equalized odds": {},
        "equal opportunity": {"parity": "equal_opportunity"},
        "demographic parity": {"fairness_loss": "dpl"},
        "equal performance": {"parity": "overall"},
    }
    figure, axes = plt.subplots(2, 2, figsize=(5.6, 4.4), sharey=True)
    axes = axes.ravel()
    for position, parameters in enumerate(settings.values()):
        model = AuxiliaryFairnessClassifier(**parameters, random_state=0)
        model.fit(X, y, sensitive_features=z)
        report = report_of(model, X_test, y_test, z_test)
        for ax, name in zip(axes, NAMES, strict=True):
            draw_interval(
                ax, *report.differences.loc[("sex", name)], -position, position > 0
            )
    for ax, title in zip(axes, NAMES.values(), strict=True):
        ax.set(xlim=(0, None))
        ax.set_title(title, fontsize=9)
    axes[0].set_yticks([-i for i in range(len(settings))], list(settings))
    figure.supxlabel("difference between women and men", fontsize=9)
    save("definitions", figure)


def missing():
    """AUC when a share of all cells is missing at random."""
    compas = fetch_compas()
    shares = [0, 0.1, 0.2, 0.3, 0.4]
    found = {"fairtask, lam=1": [], "boosted trees": []}
    for share in shares:
        scores = {name: [] for name in found}
        for seed in range(3):
            holes = np.random.default_rng(seed).random(compas.data.shape) < share
            data = compas.data.mask(holes)
            X, X_test, y, y_test = train_test_split(
                data, compas.target, stratify=compas.target, random_state=seed
            )
            models = (
                AuxiliaryFairnessClassifier(lam=1, random_state=0),
                HistGradientBoostingClassifier(random_state=0),
            )
            for name, model in zip(found, models, strict=True):
                p = model.fit(X, y).predict_proba(X_test)[:, 1]
                scores[name].append(roc_auc_score(y_test, p))
        for name, values in scores.items():
            found[name].append((np.mean(values), min(values), max(values)))
    figure, ax = plt.subplots(figsize=(5.5, 2.8))
    for (name, values), color in zip(found.items(), (AFTER, GREY), strict=True):
        mean, low, high = np.array(values).T
        ax.errorbar(
            shares, mean, [mean - low, high - mean], fmt="o-", color=color, capsize=3
        )
        ax.annotate(
            name,
            (shares[-1], mean[-1]),
            (10, 0),
            textcoords="offset points",
            color=color,
            va="center",
        )
    ax.set(xlabel="share of missing cells", ylabel="AUC, COMPAS", ylim=(0.64, 0.77))
    ax.set_xlim(-0.02, 0.56)
    ax.set_xticks(shares)
    save("missing", figure)


def attributes():
    """Rates of the groups of two attributes; the code of the page."""
    compas = fetch_compas()
    race = compas.sensitive_features["race"]
    known = race.isin(["African-American", "Caucasian", "Hispanic"])
    groups = compas.sensitive_features[["sex"]].assign(
        race=race.astype(str).where(known)
    )
    X, X_test, y, y_test, Z, Z_test = train_test_split(
        compas.data, compas.target, groups, stratify=compas.target, random_state=0
    )
    model = AuxiliaryFairnessClassifier(random_state=0)
    model.fit(X, y, sensitive_features=Z)
    display = GroupRatesDisplay(report_of(model, X_test, y_test, Z_test)).plot()
    save("attributes", display.figure_)


def quickstart():
    """Front of a search on generated data; the code of the page."""
    X, y, z = make_biased_classification(n_samples=10_000, random_state=0)
    X, _, y, _, z, _ = train_test_split(X, y, z, test_size=0.2, random_state=0)
    search = AuxiliaryFairnessClassifierCV(lams=5, cv=3, budget=0.05, random_state=0)
    draw_search("quickstart", search.fit(X, y, sensitive_features=z))


def draw_search(name, search):
    """Draw a search with its budget and its choice."""
    figure, ax = plt.subplots(figsize=(5.4, 3.4))
    search.plot_front(ax=ax)
    save(name, figure)


def budget():
    """Front of a search, with its budget; the code of the page."""
    X, _, y, _, z, _ = compas_by_sex(test_size=0.5)
    search = AuxiliaryFairnessClassifierCV(lams=6, cv=3, budget=0.1, random_state=0)
    draw_search("budget", search.fit(X, y, sensitive_features=z))


def representation():
    """EOD of new heads, for a single task and for the default."""
    X, y, z = make_biased_classification(n_samples=10_000, random_state=0)
    X, X_test, y, y_test, z, z_test = train_test_split(
        X, y, z, test_size=0.2, random_state=0
    )
    figure, ax = plt.subplots(figsize=(5.4, 2.4))
    for shift, lam, color in ((0.12, 1, BEFORE), (-0.12, 0.3, AFTER)):
        model = AuxiliaryFairnessClassifier(lam=lam, random_state=0)
        audit = audit_representation(
            model.fit(X, y, sensitive_features=z),
            X,
            y,
            sensitive_features=z,
            X_test=X_test,
            y_test=y_test,
            sensitive_features_test=z_test,
            random_state=0,
        )
        rows = audit.differences.xs("equalized_odds_difference", level="metric")
        heads = rows.index.get_level_values("head")
        positions = shift - np.arange(len(heads))
        ax.errorbar(
            rows["value"],
            positions,
            xerr=[rows["value"] - rows["low"], rows["high"] - rows["value"]],
            fmt="o",
            color=color,
            capsize=3,
            label=f"lam={lam}",
        )
        ax.set_yticks(-np.arange(len(heads)), heads)
    ax.set(xlabel="equalized-odds difference", xlim=(0, None), ylim=(-2.5, 0.5))
    ax.legend(frameon=False, loc="lower right", bbox_to_anchor=(1, 1), ncols=2)
    save("representation", figure)


def images():
    """EOD on faces; the file ``tables/faces.csv``."""
    faces = pd.read_csv(HERE / "tables" / "faces.csv", index_col="method")
    figure, axes = plt.subplots(1, 2, figsize=(5.6, 2.8), sharey=True)
    for ax, attribute in zip(axes, ("gender", "race"), strict=True):
        parts = faces[f"{attribute} EOD"].str.split(" ± ", expand=True).astype(float)
        for position, (method, (mean, deviation)) in enumerate(parts.iterrows()):
            own = method == "fairtask"
            ax.errorbar(
                mean,
                -position,
                xerr=deviation,
                fmt="o",
                color=AFTER if own else BEFORE if position == 0 else GREY,
                capsize=3,
            )
        ax.set(title=attribute.capitalize(), xlim=(0, None), xlabel="EOD")
    axes[0].set_yticks(-np.arange(len(faces)), faces.index)
    save("images", figure)


def large():
    """Peak memory of a fit; ``tables/parquet.csv``."""
    measured = pd.read_csv(HERE / "tables" / "parquet.csv")
    figure, ax = plt.subplots(figsize=(5.4, 2.6))
    for where, color in (("Parquet", AFTER), ("in memory", GREY)):
        rows = measured[measured["X"] == where]
        ax.plot(rows["rows"] / 1e6, rows["above"], "o-", color=color)
        last = rows.iloc[-1]
        ax.annotate(
            where,
            (last["rows"] / 1e6, last["above"]),
            (8, 0),
            textcoords="offset points",
            color=color,
            va="center",
        )
    ax.set(xlabel="million rows", ylabel="peak memory, MiB", ylim=(0, None))
    ax.margins(x=0.15)
    save("large", figure)


def production():
    """EOD month by month; the code of the page."""
    _, X, _, y, _, z = compas_by_sex()
    parts = np.array_split(np.arange(len(X)), 4)
    parts = {f"month {i}": part for i, part in enumerate(parts, start=1)}
    parts["all months"] = np.arange(len(X))
    figure, ax = plt.subplots(figsize=(5.4, 2.6))
    for position, part in enumerate(parts.values()):
        report = report_of(
            fitted_on_compas(0.3), X.iloc[part], y.iloc[part], z.iloc[part]
        )
        eod = report.differences.loc[("sex", "equalized_odds_difference")]
        draw_interval(ax, *eod, -position, position == len(parts) - 1)
    ax.axvline(0.1, color="black", lw=1, ls=":")
    ax.set_yticks(-np.arange(len(parts)), list(parts))
    ax.set(xlabel="equalized-odds difference", xlim=(-0.01, None))
    save("production", figure)


def troubleshooting():
    """A front with a constant classifier."""
    _, X_test, _, y_test, _, z_test = compas_by_sex()
    predictions = {}
    for lam in (1, 0.6, 0.3):
        predictions[f"lam={lam}"] = fitted_on_compas(lam).predict(X_test)
    predictions["constant"] = np.zeros(len(y_test), dtype=int)
    figure, ax = plt.subplots(figsize=(5.4, 3.2))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ParetoFrontDisplay.from_predictions(
            y_test, predictions, sensitive_features=z_test, ax=ax
        )
    save("troubleshooting", figure)


def customize():
    """Learning curves of the groups."""
    save("customize", GroupLossDisplay.from_estimator(fitted_on_compas(0.3)).figure_)


FIGURES = [
    landing,
    quickstart,
    table,
    definitions,
    missing,
    attributes,
    budget,
    representation,
    images,
    large,
    production,
    troubleshooting,
    customize,
]

if __name__ == "__main__":
    IMAGES.mkdir(parents=True, exist_ok=True)
    asked = sys.argv[1:]
    for draw in FIGURES:
        if not asked or draw.__name__ in asked:
            print(draw.__name__, flush=True)
            draw()
