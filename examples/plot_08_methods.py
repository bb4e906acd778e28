"""
How do the methods of the paper compare?
========================================

This example compares six methods on COMPAS and sex, over three splits. The whole
comparison, with ten splits, other data and fairlearn's methods, is one command: see
:doc:`/experiments`.
"""

# %%
# All of them have the same trunk and the same training. The penalty is on the
# prediction itself (regularised), on the groups that an adversary finds out
# (adversarial), or on the shared representation (auxiliary: with the head of the paper,
# and with the defaults of this package). ``lam`` weighs the task against the penalty.
from fairtask import AuxiliaryFairnessClassifier
from fairtask.baselines import (
    AdversarialClassifier,
    GroupSpecificClassifier,
    RegularizedClassifier,
)

methods = {
    "task alone": AuxiliaryFairnessClassifier(lam=1.0),
    "regularised": RegularizedClassifier(lam=0.3),
    "adversarial": AdversarialClassifier(),
    "group-specific": GroupSpecificClassifier(),
    "auxiliary, as in the paper": AuxiliaryFairnessClassifier(
        lam=0.5,
        fairness_head="literal",
        parity="overall",
        group_momentum=0,
        representation_weight=0,
    ),
    "auxiliary, defaults": AuxiliaryFairnessClassifier(),
}

# %%
# Each method is trained on 60 % of the people and judged on the others. The head of
# the paper is trained by the fairness loss alone. It becomes constant, which makes that
# loss 0. The package warns of it; here this is known, and the warning is switched off.
import warnings

import numpy as np
import pandas as pd
from sklearn.base import clone
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import train_test_split

from fairtask.datasets import fetch_compas
from fairtask.exceptions import CollapsedHeadWarning
from fairtask.metrics import demographic_parity_difference, equalized_odds_difference

warnings.simplefilter("ignore", CollapsedHeadWarning)
compas = fetch_compas()
X, y, sex = compas.data, compas.target, compas.sensitive_features["sex"]
rows = []
for split in range(3):
    train, test = train_test_split(
        np.arange(len(y)), test_size=0.4, stratify=y, random_state=split
    )
    groups = {"sensitive_features": sex.iloc[test]}
    for name, method in methods.items():
        clf = clone(method).set_params(random_state=split)
        clf.fit(X.iloc[train], y.iloc[train], sensitive_features=sex.iloc[train])
        y_test, y_pred = y.iloc[test], clf.predict(X.iloc[test])
        y_score = clf.predict_proba(X.iloc[test])[:, 1]
        rows.append(
            {
                "method": name,
                "AUC": roc_auc_score(y_test, y_score),
                "EOD": equalized_odds_difference(y_test, y_pred, **groups),
                "DPD": demographic_parity_difference(y_test, y_pred, **groups),
            }
        )
table = pd.DataFrame(rows).groupby("method", sort=False).mean()
table.round(3)

# %%
# Up and to the left is better. Three splits of 2,469 people cannot tell methods apart
# that are close to each other.
import matplotlib.pyplot as plt

figure, ax = plt.subplots(figsize=(7, 3.5), layout="constrained")
for name, row in table.iterrows():
    ax.scatter(row["EOD"], row["AUC"], label=name, s=60)
ax.set(xlabel="equalized-odds difference", ylabel="AUC")
ax.legend(loc="center left", bbox_to_anchor=(1, 0.5))
plt.show()
