"""
Who is taken for older?
=======================

This example trains a classifier of faces, young or old, on FairFace, and shows people
of each group with their predictions. It needs the images, see
`~fairtask.datasets.fetch_fairface`::

    python examples/faces.py
    python examples/faces.py --weights tf_efficientnet_lite0.safetensors --n-train 2000

The figures are written to ``faces_output``.
"""

# %%
import argparse
from pathlib import Path

parser = argparse.ArgumentParser()
parser.add_argument("--weights", help="file of the backbone's pretrained weights")
parser.add_argument("--n-train", type=int, default=7000)
parser.add_argument("--n-test", type=int, default=2000)
parser.add_argument("--image-size", type=int, default=96)
options = parser.parse_args()
output = Path("faces_output")
output.mkdir(exist_ok=True)

# %%
# The samples are paths. A file is read when its batch needs it.
from fairtask.datasets import fetch_fairface

train, test = (fetch_fairface(subset=subset) for subset in ("train", "test"))
X, y, z = (
    part[: options.n_train]
    for part in (train.data, train.target, train.sensitive_features)
)
X_test, y_test, z_test = (
    part[: options.n_test] for part in (test.data, test.target, test.sensitive_features)
)

# %%
# With a frozen backbone the features of each image are computed once, and two layers
# are trained on them, in minutes on a laptop. A high dropout and a strong weight decay
# keep these layers from overfitting. This matters for fairness as well: differences are
# penalised on the training images, and if all of these are predicted perfectly, there
# is no difference to penalise.
from fairtask import AuxiliaryFairnessImageClassifier

params = {"pretrained_cfg_overlay": {"file": options.weights}}
models = {
    lam: AuxiliaryFairnessImageClassifier(
        "tf_efficientnet_lite0",
        backbone_params=params if options.weights else None,
        image_size=options.image_size,
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
# These are the differences between groups on the test images.
from fairtask.metrics import fairness_report

for lam, model in models.items():
    report = fairness_report(y_test, model.predict(X_test), sensitive_features=z_test)
    print(f"lam={lam}: accuracy {model.score(X_test, y_test):.3f}")
    print(report.differences.round(3), end="\n\n")

# %%
# Each row shows a group: the faces with the surest predictions of younger and of older,
# in red if the prediction is wrong.
import matplotlib.pyplot as plt
from PIL import Image

N_EACH = 4
model = models[0.2]
score = model.predict_proba(X_test)[:, 1]
for name in z_test:
    groups = z_test[name].cat.categories
    figure, axes = plt.subplots(
        len(groups),
        2 * N_EACH,
        figsize=(1.2 * 2 * N_EACH, 1.4 * len(groups)),
        squeeze=False,
        layout="constrained",
    )
    for row, group in zip(axes, groups, strict=True):
        members = (z_test[name] == group).to_numpy().nonzero()[0]
        order = members[score[members].argsort()]
        shown = [*order[:N_EACH], *order[-N_EACH:]]
        row[0].set_ylabel(group)
        for axis, i in zip(row, shown, strict=False):
            is_right = (score[i] > 0.5) == y_test[i]
            axis.imshow(Image.open(X_test[i]))
            axis.set_title(f"{score[i]:.2f}", color="black" if is_right else "red")
    for axis in axes.flat:
        axis.set(xticks=[], yticks=[])
        axis.spines[:].set_visible(False)
    figure.suptitle("Predicted probability of 30 years or older")
    figure.savefig(output / f"{name}.png", dpi=120)
