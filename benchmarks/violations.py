"""How often a chosen model exceeds its budget: rules of selection, simulated.

The predictions of 10 or 50 candidates are drawn, with rates that are known: along a
path like that of ``lam``, performance and disparity grow together, and each candidate
is a little off the path. Every rule has the same 4,000 samples. Rules by
cross-validation use all of them, in five folds. Choices with a guarantee use a half for
the cross-validation, which orders the candidates, and hold out the other half. A row of
the table has

- violations: share of the simulations in which a candidate was chosen, without a
  warning, whose true disparity exceeds the budget;
- refusals: share in which none was chosen, or one with a `BudgetNotMetWarning`;
- accuracy: mean true accuracy of those that were chosen without a warning;
- optimism: mean accuracy in the samples that it was chosen by, minus the true one.

The first row of each budget is the best candidate whose true disparity is within it.

    python benchmarks/violations.py --table docs/tables/violations.csv
"""

import argparse
import warnings
from functools import partial
from itertools import product

import numpy as np
import pandas as pd
from scipy.stats import norm
from sklearn.base import BaseEstimator, ClassifierMixin

from fairtask.exceptions import BudgetNotMetWarning
from fairtask.model_selection import (
    best_under_budget,
    choose_within_budget,
    knee_point,
    least_disparity,
    pareto_front,
)

NAMES = {"performance": "accuracy", "disparity": "equalized_odds_difference"}
SHARED = 0.8
"""Correlation of what decides on a sample in two candidates."""


class Candidate(ClassifierMixin, BaseEstimator):
    """A fitted classifier; samples are the predictions of all candidates."""

    def __init__(self, i):
        self.i = i
        self.classes_ = np.array([0, 1])

    def fit(self, X, y):
        """Do nothing: the rates are known."""
        return self

    def predict(self, X):
        """Return the predictions of this candidate."""
        return X[:, self.i]


def draw_candidates(n_candidates, rng):
    """Return the probabilities of a positive prediction, and the true disparities.

    The probabilities have the shape (n_candidates, 2 groups, 2 classes).
    """
    path = np.linspace(0, 1, n_candidates)
    gap = np.clip(0.25 * path + rng.normal(0, 0.02, n_candidates), 0, None)
    quality = 0.72 + 0.12 * np.sqrt(path) + rng.normal(0, 0.004, n_candidates)
    share = rng.uniform(0.3, 1, n_candidates)  # of the other rate in the gap
    half = np.stack([share * gap, gap], axis=1) / 2
    middle = np.stack([1 - quality, quality], axis=1)
    rates = np.stack([middle - half, middle + half], axis=1)
    return rates, np.abs(rates[:, 0] - rates[:, 1]).max(axis=1)


def draw_samples(rates, n_samples, rng):
    """Return groups, labels and predictions of shape (n_samples, n_candidates)."""
    z = (rng.random(n_samples) < 0.5).astype(int)
    y = (rng.random(n_samples) < np.where(z == 1, 0.4, 0.5)).astype(int)
    noise = rng.normal(size=(n_samples, len(rates))) * np.sqrt(1 - SHARED)
    noise += rng.normal(size=(n_samples, 1)) * np.sqrt(SHARED)
    return z, y, (noise < norm.ppf(rates[:, z, y].T)).astype(int)


def true_accuracy(rates):
    chances = 0.25, 0.25, 0.3, 0.2  # of (z, y)
    correct = rates.copy()
    correct[:, :, 0] = 1 - correct[:, :, 0]
    return correct.reshape(len(rates), 4) @ chances


def cross_validate(z, y, predicted, n_folds=5):
    """Return ``cv_results_`` of the candidates."""
    results = {"params": [{"i": i} for i in range(predicted.shape[1])]}
    for k in range(n_folds):
        rows = slice(k, None, n_folds)
        rates = [
            predicted[rows][(z[rows] == g) & (y[rows] == c)].mean(axis=0)
            for c in (0, 1)
            for g in (0, 1)
        ]
        gaps = abs(rates[0] - rates[1]), abs(rates[2] - rates[3])
        results[f"split{k}_test_accuracy"] = (predicted[rows] == y[rows, None]).mean(
            axis=0
        )
        results[f"split{k}_test_equalized_odds_difference"] = -np.maximum(*gaps)
    return results


def accuracy_score(model, X, y):
    return (model.predict(X) == y).mean()


def mean_scores(results, name):
    return np.mean([v for k, v in results.items() if k.endswith(name)], axis=0)


def by_cross_validation(rule, samples, budget):
    """Return the chosen candidate, None after a warning, and its mean accuracy."""
    results = cross_validate(*samples)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        chosen = rule(results)
    if any(w.category is BudgetNotMetWarning for w in caught):
        return None, None
    return chosen, mean_scores(results, "accuracy")[chosen]


def with_guarantee(samples, budget, *, multiplicity, **settings):
    """Choose by held-out samples, the second half.

    A fixed sequence has the candidates that no other beats in the first half.
    """
    half = len(samples[0]) // 2
    results = cross_validate(*(part[:half] for part in samples))
    z, y, predicted = (part[half:] for part in samples)
    accuracy = mean_scores(results, "accuracy")
    disparity = -mean_scores(results, "difference")
    order = np.argsort(disparity)
    if multiplicity == "fixed_sequence":
        points = np.column_stack([accuracy, disparity])
        on_front = pareto_front(points, greater_is_better=[True, False])
        order = order[on_front[order]]
    choice = choose_within_budget(
        {int(i): Candidate(i) for i in order},
        predicted,
        y,
        sensitive_features=z,
        budget=budget,
        multiplicity=multiplicity,
        performance=accuracy_score,  # faster than scikit-learn's
        **settings,
    )
    if choice.name is None:
        return None, None
    return choice.name, choice.table.loc[choice.name, "performance"]


def make_rules(budget, n_resamples):
    under = partial(best_under_budget, **NAMES, budget=budget)
    rules = {
        "best_under_budget": under(),
        "best_under_budget, one standard error": under(one_standard_error=True),
        "least_disparity": least_disparity(**NAMES),
        "knee_point": knee_point(**NAMES),
    }
    rules = {name: partial(by_cross_validation, rule) for name, rule in rules.items()}
    for limit, multiplicity in product(
        ("exact", "bootstrap"), ("holm", "fixed_sequence")
    ):
        rules[f"choose_within_budget, {limit}, {multiplicity}"] = partial(
            with_guarantee,
            limit=limit,
            multiplicity=multiplicity,
            n_resamples=n_resamples,
            random_state=0,
        )
    return rules


def simulate(n_candidates, budget, arguments):
    """Return a row for each rule, as dicts."""
    rules = make_rules(budget, arguments.resamples)
    found = {name: [] for name in ["the best, by the truth", *rules]}
    for i in range(arguments.simulations):
        rng = np.random.default_rng([arguments.seed, i])
        rates, disparity = draw_candidates(n_candidates, rng)
        samples = draw_samples(rates, arguments.samples, rng)
        accuracy = true_accuracy(rates)
        best = accuracy[disparity <= budget].max(initial=0)
        found["the best, by the truth"].append((False, best, np.nan))
        for name, rule in rules.items():
            chosen, measured = rule(samples, budget)
            if chosen is not None:
                found[name].append(
                    (
                        disparity[chosen] > budget,
                        accuracy[chosen],
                        measured - accuracy[chosen],
                    )
                )
    rows = []
    for name, chosen in found.items():
        chosen = pd.DataFrame(chosen, columns=["violations", "accuracy", "optimism"])
        rows.append(
            {
                "candidates": n_candidates,
                "budget": budget,
                "rule": name,
                "violations": chosen["violations"].sum() / arguments.simulations,
                "refusals": 1 - len(chosen) / arguments.simulations,
                **chosen[["accuracy", "optimism"]].mean(),
            }
        )
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--candidates", type=int, nargs="+", default=[10, 50])
    parser.add_argument("--budgets", type=float, nargs="+", default=[0.15])
    parser.add_argument("--samples", type=int, default=4000)
    parser.add_argument("--simulations", type=int, default=200)
    # The upper limits of rates do not depend on the resamples.
    parser.add_argument("--resamples", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--table", metavar="FILE", help="write the table as CSV")
    arguments = parser.parse_args()
    tables = []
    for n_candidates, budget in product(arguments.candidates, arguments.budgets):
        tables.append(pd.DataFrame(simulate(n_candidates, budget, arguments)))
        print(tables[-1].round(3).to_string(index=False), flush=True)
        if arguments.table:
            pd.concat(tables).to_csv(arguments.table, index=False, float_format="%.3f")


if __name__ == "__main__":
    main()
