"""Images: checked, read, augmented and represented."""

import multiprocessing
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import joblib
import numpy as np
import torch
from sklearn.base import BaseEstimator
from torch import Tensor, nn

from fairtask._averaging import WeightAverage
from fairtask._data import InMemorySource, Source
from fairtask._images._backbone import (
    frozen_modules,
    frozen_names,
    layer_scales,
    make_backbone,
    without_decay,
)
from fairtask._images._dataset import ImageSource, Resize, make_augmentation
from fairtask._images._reading import Images, as_images
from fairtask._modality import Modality, representation_width
from fairtask._validation import check_image_size, check_layer_sizes
from fairtask.modules import MLP

__all__ = ["BackboneTrunk", "ImageModality"]

BFLOAT16 = (8, 0)
"""Lowest compute capability of CUDA devices that have bfloat16."""

MAX_WORKERS = 8
"""Processes that read images for a GPU, where `num_workers` does not say."""

FROZEN_HIDDEN_LAYERS = (128, 64)
"""Hidden layers on a feature that is not trained, where none are asked for."""


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

    def validate(self, X: Any, estimator: BaseEstimator, *, reset: bool) -> Images:
        """See `Modality.validate`; files are not opened."""
        return as_images(X)

    def readable(self, X: Images) -> np.ndarray | None:
        """See `Modality.readable`; reads every image once."""
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
        """Raise a ValueError for parameters without use when it is frozen."""
        for name, unused in (("augmentation", None), ("layer_decay", 1)):
            value = getattr(self, name)
            if value != unused:
                raise ValueError(
                    f"`{name}={value!r}` has no use with freeze='backbone', of which "
                    "no layer is trained and whose features are computed once."
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
        """See `Modality.make_source`; features of a frozen backbone are in memory."""
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
        # Processes that are not forked import the script that started them, and end
        # with an error where it is not written for that.
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
        """See `Modality.weight_settings`; learning rates by depth, decay by kind."""
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
        config = state["config"]
        if check_image_size(self.image_size) not in (None, config["size"]):
            raise ValueError(f"has images of {config['size']}, not `image_size`.")
        self.config = config


class BackboneTrunk(nn.Module):
    """A backbone for images, and hidden layers on its feature.

    Parameters
    ----------
    backbone : nn.Module
        From images of shape (n_samples, 3, height, width) to a feature of shape
        (n_samples, width).
    hidden_layer_sizes : sequence of int
        Width of each layer between the feature and the heads.
    dropout : float in [0, 1)
        Share of the feature and of the units of these layers dropped in training.
    size : (height, width)
    mean, std : sequence of 3 floats
        Of each channel, on the scale from 0 to 1.
    freeze : None, int or "backbone"
        Stages whose weights are kept: ``stages[:freeze]``, or all.
    channels_last : bool
        Layout of images in memory.
    mixed_precision : bool or "auto"
        Whether the backbone computes in bfloat16 where that is precise enough. "auto":
        on CUDA devices that have it.

    Attributes
    ----------
    out_features : int
        Width p of the representation.

    Raises
    ------
    ValueError
        If the backbone's output is not one feature per image, or has not as many stages
        as are to be frozen.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        backbone: nn.Module,
        *,
        hidden_layer_sizes: Sequence[int],
        dropout: float,
        size: tuple[int, int],
        mean: Sequence[float],
        std: Sequence[float],
        freeze: int | str | None,
        channels_last: bool,
        mixed_precision: bool | Literal["auto"],
    ) -> None:
        super().__init__()
        self.channels_last = channels_last
        self.mixed_precision = mixed_precision
        self.backbone = backbone
        self.register_buffer("mean", torch.tensor(mean).view(3, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(3, 1, 1))
        width = representation_width(backbone, torch.zeros(1, 3, *size), "backbone")
        self.dropout = nn.Dropout(dropout)
        self.hidden = MLP(width, hidden_layer_sizes, dropout=dropout)
        self.out_features = self.hidden.out_features
        frozen = frozen_names(backbone, freeze)
        for name, weight in backbone.named_parameters():
            if name in frozen:
                weight.requires_grad_(False)
        self._frozen = frozen_modules(backbone)
        if channels_last:
            self.to(memory_format=torch.channels_last)

    def train(self, mode: bool = True) -> "BackboneTrunk":
        """Switch dropout and running statistics, but not those of frozen stages."""
        super().train(mode)
        for module in self._frozen:
            module.training = False
        return self

    def forward(self, X: Tensor | Mapping[str, Tensor]) -> Tensor:
        """Compute the representation.

        Parameters
        ----------
        X : Tensor of shape (n_samples, 3, height, width), or dict
            Images, as uint8 or normalised; or ``{"feature": feature}`` where the
            feature has been computed.

        Returns
        -------
        Tensor of shape (n_samples, p)
        """
        feature = X["feature"] if isinstance(X, Mapping) else self.features(X)
        return self.hidden(self.dropout(feature))

    def features(self, X: Tensor) -> Tensor:
        """Compute the output of the backbone.

        Parameters
        ----------
        X : Tensor of shape (n_samples, 3, height, width)

        Returns
        -------
        Tensor of shape (n_samples, width)
        """
        if not X.is_floating_point():
            X = (X.float() / 255 - self.mean) / self.std
        layout = torch.channels_last if self.channels_last else torch.contiguous_format
        X = X.contiguous(memory_format=layout)
        with self._precision(X.device):
            feature = self.backbone(X)
        return feature.float()

    def _precision(self, device: torch.device) -> AbstractContextManager:
        is_mixed = self.mixed_precision
        if is_mixed == "auto":
            is_mixed = (
                device.type == "cuda"
                and torch.cuda.get_device_capability(device) >= BFLOAT16
            )
        return (
            torch.autocast(device.type, torch.bfloat16) if is_mixed else nullcontext()
        )


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
