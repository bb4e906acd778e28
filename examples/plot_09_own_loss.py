"""
How do I write a fairness loss, and use it in my own training loop?
===================================================================

The losses are ordinary torch modules. This example writes a new one in a few lines,
trains a plain network with it, and then hands it to the estimator.
"""

# %%
# A loss has a statistic of each sample, whose means over the groups are compared inside
# strata, and a penalty on the differences. `~fairtask.losses.GroupLossPenalty` brings
# the cross-entropy and the classes as strata. What is left is the penalty: here the
# logarithm of the largest ratio between two group losses.
import torch

from fairtask.losses import GroupLossPenalty


class LargestRatio(GroupLossPenalty):
    """Logarithm of the largest ratio between the mean losses of two groups."""

    def penalty(self, means, present):
        """Return a number for each stratum; groups not yet seen are left out."""
        logs = torch.log(means + 0.001)
        largest = torch.where(present, logs, -20).amax(-1)
        smallest = torch.where(present, logs, 20).amin(-1)
        return (largest - smallest).relu()


# %%
# Bank Marketing: does a client subscribe to a deposit? The groups are clients between
# 25 and 60, and all others. A quarter of the clients is enough here.
import numpy as np
import pandas as pd
from sklearn.model_selection import train_test_split

from fairtask.datasets import fetch_bank_marketing

bank = fetch_bank_marketing()
z = (bank.sensitive_features["age"] == "other").astype(int)
X = pd.get_dummies(bank.data).astype("float32")
X = (X - X.mean()) / X.std()
train, rest = train_test_split(
    np.arange(len(z)), train_size=0.25, stratify=z, random_state=0
)
test = rest[: len(rest) // 2]
X, y, z = torch.tensor(X.to_numpy()), torch.tensor(bank.target), torch.tensor(z)

# %%
# A plain loop. The loss takes logits, labels and groups; a group of -1 is unknown. It
# keeps running means of the groups' losses, so that small groups in small batches do
# not only add noise.
from torch import nn
from torch.nn.functional import cross_entropy


def train_network(lam, epochs=10):
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Linear(X.shape[1], 64), nn.ReLU(), nn.Dropout(0.2), nn.Linear(64, 2)
    )
    fairness = LargestRatio(n_groups=2, n_classes=2)
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3)
    for _ in range(epochs):
        for batch in torch.randperm(len(train)).split(256):
            rows = torch.as_tensor(train)[batch]
            logits = network(X[rows])
            task = cross_entropy(logits, y[rows])
            loss = lam * task + (1 - lam) * fairness(logits, y[rows], z[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return network.eval()


# %%
# The ratio of the groups' mean losses in each class, and the AUC, on other clients.
from sklearn.metrics import roc_auc_score


def judge(probabilities):
    labels = y[test].numpy()
    losses = -np.log(probabilities[np.arange(len(test)), labels])
    cells = pd.Series(losses).groupby([labels, z[test].numpy()]).mean()
    return {
        "AUC": roc_auc_score(labels, probabilities[:, 1]),
        "ratio of losses, class 0": cells[0, 1] / cells[0, 0],
        "ratio of losses, class 1": cells[1, 1] / cells[1, 0],
    }


table = {
    lam: judge(train_network(lam)(X[test]).softmax(1).detach().numpy())
    for lam in (1.0, 0.9)
}
pd.DataFrame(table).T.rename_axis("lam").round(3)

# %%
# The same loss in the estimator, which brings the shared trunk, the fairness head, the
# encoding of the table and the training. The loss acts on the fairness head, and on the
# head that predicts only through the representation.
from fairtask import AuxiliaryFairnessClassifier

table = {}
for lam in (1.0, 0.9):
    clf = AuxiliaryFairnessClassifier(
        lam=lam, fairness_loss=LargestRatio(), max_epochs=10, random_state=0
    )
    clf.fit(bank.data.iloc[train], y[train], sensitive_features=z[train].numpy())
    table[lam] = judge(clf.predict_proba(bank.data.iloc[test]))
pd.DataFrame(table).T.rename_axis("lam").round(3)

# %%
# A ratio of 1 means that the losses of both groups are the same.
import matplotlib.pyplot as plt

ratios = pd.DataFrame(table).T.rename_axis("lam").drop(columns="AUC")
ax = ratios.plot.barh(figsize=(6, 2.5))
ax.axvline(1, color="black", linestyle=":")
ax.set(xlabel="mean loss of the other clients, divided by that of 25 to 60")
ax.figure.set_layout_engine("constrained")
plt.show()
