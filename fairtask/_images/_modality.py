"""The modality of images: checked, read, augmented and represented."""

import multiprocessing
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import joblib
import numpy as np
import pandas as pd
import torch
from PIL import Image
from sklearn.base import BaseEstimator
from torch import Tensor, nn

from fairtask._averaging import WeightAverage
from fairtask._data import InMemorySource, Source
from fairtask._frames import as_pandas
from fairtask._images._backbone import (
    BackboneTrunk,
    layer_scales,
    make_backbone,
    without_decay,
)
from fairtask._images._opening import Images, load_pixels
from fairtask._images._source import ImageSource, make_augmentation
from fairtask._modality import Modality
from fairtask._validation import check_image_size, check_layer_sizes

__all__ = ["ImageModality", "as_images"]

MAX_WORKERS = 8
"""Largest number of processes that ``num_workers="auto"`` starts."""

FROZEN_HIDDEN_LAYERS = (128, 64)
"""Default hidden layers on the feature of a frozen backbone."""

CHANNELS = (1, 3, 4)
"""Numbers of channels of grayscale, RGB and RGBA."""

ROUNDING = 1e-4
"""How far floats may lie outside of [0, 1], as they do after an interpolation."""


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
        return X.readable(self.on_error)

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
            self.config,
            hidden_layer_sizes=check_layer_sizes(sizes, "hidden_layer_sizes"),
            dropout=self.dropout,
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
        augment = None
        if is_trained_on and self.augmentation is not None:
            augment = make_augmentation(self.augmentation, self.config)
        images = ImageSource(
            X,
            self.config["size"],
            self.config["interpolation"],
            augment=augment,
            num_workers=self._resolve_num_workers(X, device),
            pin_memory=device.type == "cuda",
        )
        if self.freeze == "backbone" and isinstance(trunk, BackboneTrunk):
            batches = images.batches(images.evaluated_at_once)
            feature = trunk.all_features((X for X, _ in batches), device)
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


def as_images(X: Any) -> Images:
    """Check images, without opening files; pixels of Pillow images are read.

    `X` is an array of pixels of shape (n, H, W, C), (n, C, H, W) or (n, H, W), integers
    in [0, 255] or floats in [0, 1]; or a list, array, Series or one-column data frame
    of paths, Pillow images or arrays. Everything else is a ValueError.
    """
    if isinstance(X, Images):
        return X
    if isinstance(X, str | bytes | os.PathLike | Image.Image):
        raise ValueError(
            f"`X` must hold one image per sample; got a single {type(X).__name__}. "
            "Pass a list."
        )
    X = as_pandas(_without_tensor(X), "X")
    if isinstance(X, pd.DataFrame):
        if X.shape[1] != 1:
            raise ValueError(
                "`X` must have one column, which holds the images; got the columns "
                f"{list(X.columns)}."
            )
        X = X.iloc[:, 0]
    if isinstance(X, np.ndarray):
        if X.dtype.kind in "biuf":
            return Images(_pixels(X))
        if X.ndim == 2 and X.shape[1] == 1:
            X = X[:, 0]
        if X.ndim != 1:
            raise ValueError(
                f"`X` must hold images; got an array of {X.dtype} of shape {X.shape}."
            )
    if isinstance(X, dict) or not (hasattr(X, "__len__") and hasattr(X, "__getitem__")):
        raise ValueError(f"`X` must hold images; got {type(X).__name__}.")
    entries = np.empty(len(X), dtype=object)
    for row, value in enumerate(X):
        entries[row] = _entry(value, row)
    return Images(entries)


def _without_tensor(value: Any) -> Any:
    return value.detach().cpu().numpy() if isinstance(value, Tensor) else value


def _entry(value: Any, row: int) -> Any:
    """Return a path as str, a Pillow image, pixels, or None for a missing value."""
    if isinstance(value, str | os.PathLike):
        return os.fsdecode(value)
    if isinstance(value, Image.Image):
        load_pixels(value)
        return value
    value = _without_tensor(value)
    if isinstance(value, np.ndarray) and value.dtype.kind in "biuf":
        try:
            return _pixels(value[np.newaxis])[0]
        except ValueError as error:
            raise ValueError(f"{error} This is the image of row {row}.") from error
    if value is None or value is pd.NA or (isinstance(value, float) and value != value):
        return None  # `Images.readable` may leave it out
    raise ValueError(
        "`X` must hold paths, Pillow images or arrays of pixels, one per sample; the "
        f"value of row {row} is {type(value).__name__}."
    )


def _pixels(X: np.ndarray) -> np.ndarray:
    """Return pixels with the channels last, as uint8 or as floats in [0, 1]."""
    if X.ndim == 4:
        first, last = X.shape[1] in CHANNELS, X.shape[3] in CHANNELS
        if first == last:
            raise ValueError(
                "`X` must have 1, 3 or 4 channels, as its last axis or as its second, "
                f"and which of the two must be clear; got the shape {X.shape}."
            )
        X = np.moveaxis(X, 1, 3) if first else X
    elif X.ndim == 3 and X.shape[2] in CHANNELS[1:]:
        raise ValueError(
            f"`X` must hold one image per sample; got the shape {X.shape} of a single "
            "image. Pass a list, or X[np.newaxis]."
        )
    elif X.ndim != 3:
        raise ValueError(
            "`X` must have the shape (n, H, W, C), (n, C, H, W) or (n, H, W), or be a "
            f"list with an image per sample; got an array of shape {X.shape}."
        )
    if 0 in X.shape[1:]:
        raise ValueError(f"`X` has images without pixels: its shape is {X.shape}.")
    if X.dtype == np.uint8 or not len(X):
        return X
    low, high = X.min(), X.max()
    is_integer = X.dtype.kind in "iu"
    limits = (0, 255) if is_integer else (-ROUNDING, 1 + ROUNDING)
    # The comparison is false for NaN.
    if not (low >= limits[0] and high <= limits[1]):
        raise ValueError(
            "`X` must have integer pixels in [0, 255] or floating-point pixels in "
            f"[0, 1]; got {X.dtype} from {low} to {high}."
        )
    return X.astype(np.uint8) if is_integer else X
