"""How networks are trained under a preset."""

from typing import Any

__all__ = ["PRESETS", "recipe"]

PRESETS = ("paper", "tuned", "defaults")

# The paper's protocol: the best epoch on the validation part, of all that are trained.
BEST_EPOCH = {"early_stopping": True, "n_iter_no_change": None}

# Zeng et al. 2024, whom the paper follows.
PAPER_TABLE = {
    "optimizer": "sgd",
    "lr_schedule": "constant",
    "weight_decay": 5e-4,
    "batch_size": 512,
    "max_epochs": 50,
    "numeric_encoding": None,
}
ZENG = {
    ("adult", "sex"): {"lr": 1e-3, "dropout": 0.2},
    ("adult", "race"): {"lr": 5e-4, "dropout": 0.4},
    ("bank", "age"): {"lr": 1e-3, "dropout": 0.3},
}
# Zeng has no COMPAS, and no two attributes together. With this rate single-task
# learning on COMPAS reaches the AUC of published models.
OTHER = {"lr": 1e-2, "dropout": 0.2}
TWO_ON_ADULT = {"lr": 1e-3, "dropout": 0.2}

# Haffar et al. 2025. It wants a GPU.
PAPER_IMAGE = {
    "backbone": "convnext_base",
    "image_size": 224,
    "lr": 1e-5,
    "batch_size": 16,
}

# A frozen backbone, for machines without a GPU: see the page on images.
TUNED_IMAGE = {
    "backbone": "tf_efficientnet_lite0",
    "image_size": 96,
    "freeze": "backbone",
    "dropout": 0.5,
    "weight_decay": 0.3,
    "lr": 1e-3,
    "batch_size": 128,
    "max_epochs": 20,
}


def recipe(
    preset: str, dataset: str, attributes: tuple[str, ...], kind: str, *, quick: bool
) -> dict[str, Any]:
    """Return the parameters of a network.

    The presets are the paper's recipe, fairtask's defaults with the best epoch, and the
    defaults as users get them. `quick` is for three epochs only.
    """
    chosen: dict[str, Any] = {}
    if kind == "image":
        chosen |= PAPER_IMAGE if preset == "paper" else TUNED_IMAGE
    elif preset == "paper":
        of_data = OTHER
        if dataset == "adult" and len(attributes) > 1:
            of_data = TWO_ON_ADULT
        elif len(attributes) == 1:
            of_data = ZENG.get((dataset, attributes[0]), OTHER)
        chosen |= PAPER_TABLE | of_data
    if preset != "defaults":
        scoring = "accuracy" if kind == "image" else "roc_auc"
        chosen |= BEST_EPOCH | {"epoch_scoring": scoring}
    return chosen | ({"max_epochs": 3} if quick else {})
