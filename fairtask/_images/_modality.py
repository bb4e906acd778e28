"""The modality of images: checked, read, augmented and represented."""

import multiprocessing
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import joblib
import numpy as np
import torch
from sklearn.base import BaseEstimator
from torch import Tensor, nn

from fairtask._averaging import WeightAverage
from fairtask._data import InMemorySource, Source
from fairtask._images._backbone import layer_scales, make_backbone, without_decay
from fairtask._images._reading import Images, as_images
from fairtask._images._source import ImageSource, Resize, make_augmentation
from fairtask._images._trunk import BackboneTrunk
from fairtask._modality import Modality
from fairtask._validation import check_image_size, check_layer_sizes

__all__ = ["ImageModality"]

MAX_WORKERS = 8
"""Largest number of processes that ``num_workers="auto"`` starts."""

FROZEN_HIDDEN_LAYERS = (128, 64)
"""Default hidden layers on the feature of a frozen backbone."""


@dataclass(kw_only=True)
class ImageModality(Modality):
    """Images, in memory or in files.

    The parameters are those of `~fairtask.AuxiliaryFairnessImageClassifier`.

    Attributes
    ----------
    config : dict
        Size, mean, standard deviation and interpolation that the backbone expects.
    """

    backbone: str | nn.Module
    pretrained: bool
    backbone_params: dict[str, Any] | None
    image_size: int | tuple[int, int] | None
    augmentation: dict[str, Any] | Callable[..., Any] | None
    freeze: int | Literal["backbone"] | None
    hidden_layer_sizes: Sequence[int] | None
    dropout: float
    layer_decay: float
    ema_decay: float | None
    mixed_precision: bool | Literal["auto"]
    channels_last: bool
    num_workers: int | Literal["auto"]
    on_error: Literal["raise", "skip"]

    config: dict[str, Any] | None = field(init=False, default=None)

    fixed_parameters: ClassVar[tuple[str, ...]] = (
        "backbone",
        "backbone_params",
        "image_size",
        "hidden_layer_sizes",
    )

    @property
    def weights_remedy(self) -> str:
        """See `Modality.weights_remedy`."""
        return "`hidden_layer_sizes` must hold a layer on a frozen backbone"

    def validate(self, X: Any, estimator: BaseEstimator, *, reset: bool) -> Images:
        """See `Modality.validate`. Files are not opened."""
        return as_images(X)

    def readable(self, X: Images) -> np.ndarray | None:
        """See `Modality.readable`. Every image is read once."""
        rows = X.readable(self.on_error)
        return None if len(rows) == len(X) else rows

    def check_readable(self, X: Images) -> None:
        """Raise a ValueError if a file does not exist."""
        X.check_exist()

    def make_trunk(self, *, pretrained: bool) -> tuple[nn.Module, int]:
        """See `Modality.make_trunk`."""
        sizes = self.hidden_layer_sizes
        if self.freeze == "backbone":
            self._refuse_training_of_the_backbone()
        if sizes is None:
            sizes = FROZEN_HIDDEN_LAYERS if self.freeze == "backbone" else ()
        backbone, config = make_backbone(
            self.backbone,
            pretrained=self.pretrained and pretrained,
            image_size=check_image_size(self.image_size),
            params=self.backbone_params,
        )
        # Restored weights were trained on images of the restored configuration.
        self.config = self.config or config
        trunk = BackboneTrunk(
            backbone,
            hidden_layer_sizes=check_layer_sizes(sizes, "hidden_layer_sizes"),
            dropout=self.dropout,
            size=self.config["size"],
            mean=self.config["mean"],
            std=self.config["std"],
            freeze=self.freeze,
            channels_last=self.channels_last,
            mixed_precision=self.mixed_precision,
        )
        return trunk, trunk.out_features

    def _refuse_training_of_the_backbone(self) -> None:
        """Raise a ValueError for parameters without effect on a frozen backbone."""
        for name, unused in (("augmentation", None), ("layer_decay", 1)):
            value = getattr(self, name)
            if value != unused:
                raise ValueError(
                    f"`{name}={value!r}` has no use with freeze='backbone', which "
                    "trains none of its layers and computes its features once."
                )

    def make_head(self, in_features: int, n_outputs: int) -> nn.Module:
        """Return a layer normalisation and a linear layer."""
        return nn.Sequential(
            nn.LayerNorm(in_features), nn.Linear(in_features, n_outputs)
        )

    def make_source(
        self,
        X: Images,
        device: torch.device,
        *,
        trunk: nn.Module | None = None,
        is_trained_on: bool = False,
    ) -> Source:
        """See `Modality.make_source`. Features of a frozen backbone are in memory."""
        assert self.config is not None
        resize = Resize(self.config["size"], self.config["interpolation"])
        augmentation = None
        if is_trained_on and self.augmentation is not None:
            augmentation = make_augmentation(
                self.augmentation,
                resize,
                mean=self.config["mean"],
                std=self.config["std"],
            )
        images = ImageSource(
            X,
            resize,
            augmentation=augmentation,
            num_workers=self._resolve_num_workers(X, device),
            pin_memory=device.type == "cuda",
        )
        if self.freeze == "backbone" and isinstance(trunk, BackboneTrunk):
            feature = _features(trunk, images, device)
            return InMemorySource({"feature": feature}, device)
        return images

    def _resolve_num_workers(self, images: Images, device: torch.device) -> int:
        if self.num_workers != "auto":
            return self.num_workers
        # Processes that are not forked import the script that started them. This fails
        # in a script that does not guard its start.
        method = multiprocessing.get_start_method(allow_none=True)
        is_forked = (method or multiprocessing.get_all_start_methods()[0]) == "fork"
        if device.type != "cuda" or not images.are_files or not is_forked:
            return 0
        return min(MAX_WORKERS, joblib.cpu_count())

    def make_average(self) -> WeightAverage | None:
        """See `Modality.make_average`."""
        return None if self.ema_decay is None else WeightAverage(self.ema_decay)

    def weight_settings(
        self, network: nn.Module, *, lr: float, weight_decay: float | None
    ) -> dict[str, dict[str, Any]]:
        """See `Modality.weight_settings`. Learning rates depend on the depth."""
        trunk: Any = network.trunk
        scales = layer_scales(trunk.backbone, self.layer_decay)
        exempt = without_decay(trunk.backbone)
        settings: dict[str, dict[str, Any]] = {}
        for name, weight in network.named_parameters():
            inside = name.removeprefix("trunk.backbone.")
            own: dict[str, Any] = {}
            if name != inside and scales[inside] != 1:
                own["lr"] = scales[inside] * lr
            is_exempt = weight.ndim <= 1 if name == inside else inside in exempt
            if is_exempt and weight_decay is not None:
                own["weight_decay"] = 0.0
            settings[name] = own
        return settings

    def check_portable(self) -> None:
        """See `Modality.check_portable`."""
        if isinstance(self.backbone, str) and ":" in self.backbone:
            raise ValueError(
                f"`backbone={self.backbone!r}` is described outside of timm, where "
                "`load` does not look. Use pickle."
            )

    def state(self) -> dict[str, Any]:
        """See `Modality.state`."""
        return {"config": self.config}

    def restore(self, state: dict[str, Any]) -> None:
        """See `Modality.restore`."""
        self.config = state["config"]


def _features(
    trunk: BackboneTrunk, images: ImageSource, device: torch.device
) -> Tensor:
    """Return the feature of each image, of shape (n_samples, width)."""
    trunk.to(device).eval()
    with torch.no_grad():
        features = [
            trunk.features(X.to(device))
            for X, _ in images.batches(images.evaluated_at_once)
        ]
    return torch.cat(features)
