"""
What if people differ in several ways, and some groups are unknown?
===================================================================

This example penalises the differences by sex and by race, one by one and together, and
then together with half of the races unknown.
"""

# %%
# Groups of fewer than 100 people are too small to compare here. Their race is set to
# missing: these people count for the task, and for the difference by sex.
import pandas as pd

from fairtask.datasets import fetch_compas

compas = fetch_compas()
people = compas.sensitive_features.astype(object)
sizes = people["race"].map(people["race"].value_counts())
people["race"] = people["race"].where(sizes >= 100)
people["race"].value_counts(dropna=False)

# %%
# Half of the known races are deleted at random.
import numpy as np

rng = np.random.default_rng(0)
half = people.assign(race=people["race"].where(rng.random(len(people)) < 0.5))

# %%
# ``sensitive_features`` has a column for each attribute. Each attribute gets a fairness
# head of its own. ``intersectional=True`` would compare the combinations instead.
attributes = {
    "none": None,
    "sex": people[["sex"]],
    "race": people[["race"]],
    "sex and race": people,
    "sex and race, half known": half,
}

# %%
# Each network is trained on three splits. Accuracy and the differences are those of the
# test parts, with all groups known.
from sklearn.model_selection import train_test_split

from fairtask import AuxiliaryFairnessClassifier
from fairtask.metrics import equalized_odds_difference

X, y = compas.data, compas.target
rows = []
for split in range(3):
    train, test = train_test_split(
        np.arange(len(y)), test_size=0.4, stratify=y, random_state=split
    )
    for name, z in attributes.items():
        clf = AuxiliaryFairnessClassifier(
            lam=1.0 if z is None else 0.3, random_state=split
        )
        given = None if z is None else z.iloc[train]
        clf.fit(X.iloc[train], y.iloc[train], sensitive_features=given)
        y_pred = clf.predict(X.iloc[test])
        difference = equalized_odds_difference(
            y.iloc[test],
            y_pred,
            sensitive_features=people.iloc[test],
            attributes="each",
        )
        rows.append(
            {
                "penalised": name,
                "accuracy": np.mean(y_pred == y.iloc[test]),
                "EOD, sex": difference["sex"],
                "EOD, race": difference["race"],
            }
        )
table = pd.DataFrame(rows).groupby("penalised", sort=False).mean().round(3)
table

# %%
# A penalty for one attribute does not balance the other. Together they balance both,
# and half of the races are enough for it. The differences of three test parts are
# noisy: that both are smaller together than alone need not hold elsewhere.
import matplotlib.pyplot as plt

ax = table[["EOD, sex", "EOD, race"]].plot.barh(figsize=(7, 3))
ax.invert_yaxis()
ax.set(xlabel="equalized-odds difference, mean of three splits")
ax.figure.set_layout_engine("constrained")
plt.show()
