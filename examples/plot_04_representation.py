"""
Is the representation balanced, or only the prediction?
=======================================================

A representation is often passed on: others fit their own models to it. This example
fits new models to the representations of three networks and compares the groups again.
"""

# %%
# COMPAS has 6,172 people, and whether each was arrested again within two years. The
# table goes into the network as it is.
from sklearn.model_selection import train_test_split

from fairtask.datasets import fetch_compas

compas = fetch_compas()
X, y, sex = compas.data, compas.target, compas.sensitive_features["sex"]
X_train, X_test, y_train, y_test, sex_train, sex_test = train_test_split(
    X, y, sex, test_size=0.4, stratify=y, random_state=0
)

# %%
# The first network learns the task alone. The second penalises the fairness head, as in
# the paper, and does nothing about the representation itself. The third has the
# defaults, which penalise the distance between the groups in the representation as
# well. The last one also removes the groups' means in closed form after the training.
from fairtask import AuxiliaryFairnessClassifier

settings = {
    "task alone": {"lam": 1.0},
    "fairness head": {"lam": 0.2, "representation_weight": 0},
    "defaults": {},
    "defaults, erased": {"erase": True},
}
models = {
    name: AuxiliaryFairnessClassifier(**setting, random_state=0).fit(
        X_train, y_train, sensitive_features=sex_train
    )
    for name, setting in settings.items()
}

# %%
# The audit fits a logistic regression and boosted trees to the output of ``transform``,
# for the task alone, and judges them on other people.
from fairtask.metrics import audit_representation

audits = {
    name: audit_representation(
        model,
        X_train,
        y_train,
        sensitive_features=sex_train,
        X_test=X_test,
        y_test=y_test,
        sensitive_features_test=sex_test,
        random_state=0,
    )
    for name, model in models.items()
}
audits["defaults"]

# %%
# A column for each network, a row for each model on top of it: the equalized-odds
# difference between women and men. The network's own prediction may be balanced while
# new models bring the difference back.
import pandas as pd

eod = pd.DataFrame(
    {
        name: audit.differences["value"].xs("equalized_odds_difference", level="metric")
        for name, audit in audits.items()
    }
)
eod.round(3)

# %%
# The same with the intervals, for the defaults.
from fairtask.model_selection import RepresentationDisplay

display = RepresentationDisplay(audits["defaults"]).plot()

# %%
# How well a linear classifier tells women from men of the same class: 0.5 means not at
# all. A representation can be used in a balanced way although the groups can be read
# from it; only the erasure hides them, and only from linear classifiers.
pd.Series(
    {name: audit.group_auc["value"].iloc[0] for name, audit in audits.items()},
    name="AUC of the group",
).round(3)
