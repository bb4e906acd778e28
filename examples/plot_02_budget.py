"""
Which model is the best within a fairness budget?
=================================================

This example searches over ``lam`` and the fairness loss, chooses a model by two scores,
and judges it on other data.
"""

# %%
# The index of a pandas object tells the scorer which samples are in a fold, so that
# their groups need not be passed along.
import pandas as pd

from fairtask.datasets import make_biased_classification

X, y, z = make_biased_classification(n_samples=8_000, random_state=0)
X, z = pd.DataFrame(X), pd.Series(z, name="group").map({0: "a", 1: "b"})
train, test = slice(0, 4_000), slice(4_000, None)

# %%
# ``refit`` chooses the best AUC among the candidates whose equalized-odds difference is
# at most 0.1 on average over the folds. Without such a candidate it would choose the
# least disparate one, with a warning.
from sklearn.model_selection import GridSearchCV

from fairtask import AuxiliaryFairnessClassifier
from fairtask.metrics import make_fairness_scoring
from fairtask.model_selection import ParetoFrontDisplay, best_under_budget

names = {"performance": "roc_auc", "disparity": "equalized_odds_difference"}
search = GridSearchCV(
    AuxiliaryFairnessClassifier(max_epochs=10, random_state=0),
    [
        {"fairness_loss": ["gld"], "lam": [0.05, 0.1, 0.3]},
        {"fairness_loss": ["glf"], "lam": [0.5, 0.7, 0.9]},
    ],
    scoring=make_fairness_scoring(names.values(), sensitive_features=z),
    refit=best_under_budget(**names, budget=0.1),
    cv=3,
)
search.fit(X[train], y[train], sensitive_features=z[train])
search.best_params_

# %%
# Hollow points are dominated by another candidate with the same loss.
display = ParetoFrontDisplay.from_cv_results(
    search.cv_results_, **names, method="fairness_loss", budget=0.1
)

# %%
# The report on other data has the rates of each group, the differences, and their
# bootstrap intervals. The budget was met on average over the folds of the search; on
# other data the difference may be larger, and the interval says by how much.
from fairtask.metrics import fairness_report

y_pred = search.predict(X[test])
y_score = search.predict_proba(X[test])[:, 1]
report = fairness_report(
    y[test], y_pred, y_score, sensitive_features=z[test], random_state=0
)
report

# %%
# The same rates as a figure, with Wilson's intervals; the dotted line is the rate over
# all samples.
from fairtask.model_selection import GroupRatesDisplay

rates = GroupRatesDisplay(report).plot()

# %%
# Learning curves: the losses of the groups inside each class.
from fairtask.model_selection import GroupLossDisplay, LatentDisplay

losses = GroupLossDisplay.from_estimator(search.best_estimator_)

# %%
# The representation in two dimensions. The distance between the groups' means inside
# each class was penalised. The groups may still differ in other ways.
latent = LatentDisplay.from_estimator(
    search.best_estimator_, X[test], y[test], sensitive_features=z[test]
)
