"""
From a raw table to a decision
==============================

A bank asks: can a model say who earns more than 50,000 dollars, with error rates that
are similar for women and men? This example goes from the table to sentences that the
people who decide can read.
"""

# %%
# Adult, from the US census of 1994. Numbers are not scaled, and categories are words:
# the estimator encodes both. Sex and race are columns like the others; whether a model
# may use them is a decision about the data, and here it may.
from sklearn.model_selection import train_test_split

from fairtask.datasets import fetch_adult

adult = fetch_adult()
X, y, sex = adult.data, adult.target, adult.sensitive_features["sex"]
X_train, X_test, y_train, y_test, sex_train, sex_test = train_test_split(
    X, y, sex, train_size=15_000, test_size=15_000, stratify=y, random_state=0
)
X_train.iloc[:5, :8]

# %%
# The labels differ between women and men already. A model that repeats them will, too.
y_train.groupby(sex_train, observed=True).mean().round(3)

# %%
# One network learns the task alone. In the other, differences between the groups are
# penalised while it learns. Neither needs the sensitive attribute to predict.
from fairtask import AuxiliaryFairnessClassifier

before = AuxiliaryFairnessClassifier(lam=1.0, random_state=0)
after = AuxiliaryFairnessClassifier(random_state=0)
for clf in (before, after):
    clf.fit(X_train, y_train, sensitive_features=sex_train)

# %%
# A report for each, on other people. The rates are those of each group, with 95 %
# intervals.
from fairtask.metrics import fairness_report

reports = [
    fairness_report(
        y_test,
        clf.predict(X_test),
        clf.predict_proba(X_test)[:, 1],
        sensitive_features=sex_test,
        random_state=0,
        n_resamples=200,
    )
    for clf in (before, after)
]
reports[1]

# %%
# What has changed? Both models are judged on the same resamples of the same people, so
# that the interval is that of the change itself.
from fairtask.metrics import compare_reports

comparison = compare_reports(*reports, random_state=0, n_resamples=200)
print("\n".join(comparison.sentences()))

# %%
# The same as a figure.
from fairtask.model_selection import ReportComparisonDisplay

display = ReportComparisonDisplay(comparison).plot()

# %%
# What to hand in: the sentences above, with two lines about what they do not say. They
# hold for people like those in the test part, and for the errors against the recorded
# labels. Whether equal error rates are the right aim is not a question of statistics.
