"""
What can be known about a small group?
======================================

Of the 6,172 people in COMPAS, 31 are Asian and 11 Native American. This example asks
what a test part can say about the error rates of such groups.
"""

# %%
# A network with the defaults, trained on 60 % of the people.
from sklearn.model_selection import train_test_split

from fairtask import AuxiliaryFairnessClassifier
from fairtask.datasets import fetch_compas

compas = fetch_compas()
X, y, race = compas.data, compas.target, compas.sensitive_features["race"]
X_train, X_test, y_train, y_test, race_train, race_test = train_test_split(
    X, y, race, test_size=0.4, stratify=y, random_state=0
)
clf = AuxiliaryFairnessClassifier(random_state=0)
clf.fit(X_train, y_train, sensitive_features=race_train)
y_pred = clf.predict(X_test)

# %%
# The report has a row for each group, and says how many people of each class stand
# behind a rate.
from fairtask.metrics import fairness_report

report = fairness_report(y_test, y_pred, sensitive_features=race_test, random_state=0)
report

# %%
# The intervals of the small groups are wide. Two people more or less would move a rate
# from one end to the other.
from fairtask.model_selection import GroupRatesDisplay

display = GroupRatesDisplay(report).plot()

# %%
# The largest difference is that of a small group. It says little: its interval is wide,
# and the largest of several noisy differences is too large on average, even if all
# groups are equal. ``bias`` estimates by how much.
from fairtask.metrics import bootstrap

settings = {"sensitive_features": race_test, "random_state": 0}
result = bootstrap("equalized_odds_difference", y_test, y_pred, **settings)
print(f"bias {result.bias:.3f}")
result

# %%
# ``min_group_size`` leaves out groups whose rates have fewer people behind them. The
# result is then about the three large groups, and about nobody else.
bootstrap("equalized_odds_difference", y_test, y_pred, min_group_size=50, **settings)

# %%
# How many people are needed? With two groups of the same rate, .5, the upper limit of
# their difference falls slowly with the size of the smaller group.
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

limits = {}
for n in (10, 30, 100, 300, 1000):
    z = np.repeat(["small", "large"], [n, 2000])
    right = np.resize([0, 1], len(z))
    result = bootstrap(
        "group_accuracy_difference",
        np.ones(len(z)),
        right,
        sensitive_features=z,
        random_state=0,
    )
    limits[n] = result.high
limits = pd.Series(limits, name="upper limit")
ax = limits.plot(marker="o", logx=True, figsize=(5, 3), ylim=(0, None))
ax.set(xlabel="people in the smaller group", ylabel="upper limit of the difference")
ax.figure.set_layout_engine("constrained")
plt.show()
