"""
What does the fairness loss change?
===================================

This example trains classifiers on data whose labels are known to be biased. One learns
the task alone; in the others the differences between the groups are penalised as well.
"""

# %%
# The recorded labels hold group 1 to a stricter standard than group 0. The unbiased
# labels are known too, because the data are generated.
from fairtask.datasets import make_biased_classification

X, y, z, truth = make_biased_classification(
    n_samples=10_000, return_truth=True, random_state=0
)
train, test = slice(0, 6_000), slice(6_000, None)

# %%
# ``lam`` weighs the task against fairness; with 1 the network learns the task alone.
# The sensitive feature is an argument of ``fit`` only: the network never sees it.
from fairtask import AuxiliaryFairnessClassifier

models = {}
for lam in (1.0, 0.3, 0.1):
    models[lam] = AuxiliaryFairnessClassifier(lam=lam, random_state=0)
    models[lam].fit(X[train], y[train], sensitive_features=z[train])

# %%
# Both error rates of group 1 move towards those of group 0. The accuracy on the
# recorded labels changes little. On the unbiased labels, which no model has seen, it
# rises.
import pandas as pd
from sklearn.metrics import accuracy_score, roc_auc_score

from fairtask.metrics import equalized_odds_difference

rows = {}
for lam, model in models.items():
    y_pred = model.predict(X[test])
    rows[lam] = {
        "AUC": roc_auc_score(y[test], model.predict_proba(X[test])[:, 1]),
        "accuracy": accuracy_score(y[test], y_pred),
        "EOD": equalized_odds_difference(y[test], y_pred, sensitive_features=z[test]),
        "accuracy, unbiased": accuracy_score(truth.unbiased_y[test], y_pred),
        "EOD, unbiased": equalized_odds_difference(
            truth.unbiased_y[test], y_pred, sensitive_features=z[test]
        ),
    }
table = pd.DataFrame(rows).T.rename_axis("lam").round(3)
table

# %%
# The losses, epoch by epoch. The penalty is the fairness loss, plus the weighted
# distance between the groups in the representation. It falls again at the end, where
# the learning rate falls.
import matplotlib.pyplot as plt

history = models[0.1].history_
figure, (left, right) = plt.subplots(1, 2, figsize=(8, 3), layout="constrained")
left.plot(history["train_task_loss"])
left.set(xlabel="epoch", ylabel="task loss")
right.plot(history["train_fairness_loss_sensitive_feature"])
right.set(xlabel="epoch", ylabel="penalty")
plt.show()
