"""
Who is taken for older?
=======================

This example trains classifiers of faces on FairFace, younger or older than 30, compares
the groups, and shows people with their predictions.
"""

# %%
# The samples are paths. A file is read when its batch needs it.
from fairtask.datasets import fetch_fairface

train, test = (fetch_fairface(subset=subset) for subset in ("train", "test"))
X, y, z = train.data[:2000], train.target[:2000], train.sensitive_features[:2000]
X_test, y_test = test.data[:1000], test.target[:1000]
z_test = test.sensitive_features[:1000]

# %%
# The backbone is a small timm model with pretrained weights. They come from timm's hub,
# or from the file that ``$FAIRTASK_WEIGHTS`` names.
import os

file = os.environ.get("FAIRTASK_WEIGHTS")
backbone_params = {"pretrained_cfg_overlay": {"file": file}} if file else None

# %%
# The backbone stays frozen: the features of each image are computed once, and two
# layers are trained on them. A high dropout and a strong weight decay keep these layers
# from overfitting. This matters for fairness as well: where all training images are
# predicted perfectly, no difference is left to penalise. Gender and race are penalised
# together.
from fairtask import AuxiliaryFairnessImageClassifier

models = {
    lam: AuxiliaryFairnessImageClassifier(
        "tf_efficientnet_lite0",
        backbone_params=backbone_params,
        image_size=96,
        freeze="backbone",
        dropout=0.5,
        weight_decay=0.3,
        lr=1e-3,
        batch_size=128,
        max_epochs=20,
        lam=lam,
        random_state=0,
    ).fit(X, y, sensitive_features=z)
    for lam in (1.0, 0.2)
}

# %%
# The differences between the groups, and the accuracy, on 1,000 other people.
import pandas as pd

from fairtask.metrics import fairness_report

y_prob = {lam: model.predict_proba(X_test)[:, 1] for lam, model in models.items()}
rows = {}
for lam, p in y_prob.items():
    y_pred = (p > 0.5).astype(int)
    report = fairness_report(y_test, y_pred, sensitive_features=z_test, random_state=0)
    differences = report.differences["value"].xs(
        "equalized_odds_difference", level="metric"
    )
    rows[lam] = {
        "accuracy": (y_pred == y_test).mean(),
        **differences.add_prefix("EOD, "),
    }
pd.DataFrame(rows).T.rename_axis("lam").round(3)

# %%
# The surest predictions of "30 or older" for each race, in red where they are wrong.
import matplotlib.pyplot as plt
from PIL import Image

score = y_prob[0.2]
races = z_test["race"].cat.categories
figure, axes = plt.subplots(
    len(races), 6, figsize=(7, 1.3 * len(races)), layout="constrained"
)
for row, race in zip(axes, races, strict=True):
    members = (z_test["race"] == race).to_numpy().nonzero()[0]
    surest = members[score[members].argsort()[::-1][: len(row)]]
    row[0].set_ylabel(race, rotation=0, ha="right")
    for ax, i in zip(row, surest, strict=True):
        ax.imshow(Image.open(X_test[i]))
        ax.set(xticks=[], yticks=[])
        ax.spines[:].set(color="tab:red" if y_test[i] == 0 else "white", linewidth=2)
plt.show()
