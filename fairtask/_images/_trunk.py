"""The trunk for images: a backbone, and hidden layers on its feature."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Literal

import torch
from torch import Tensor, nn

from fairtask._images._backbone import frozen_modules, frozen_names
from fairtask._modality import representation_width
from fairtask.modules import MLP

__all__ = ["BackboneTrunk"]

BFLOAT16 = (8, 0)
"""Lowest compute capability of CUDA devices that have bfloat16."""


class BackboneTrunk(nn.Module):
    """A backbone for images, and hidden layers on its feature.

    Parameters
    ----------
    backbone : nn.Module
        Maps images of shape (n_samples, 3, height, width) to a feature of shape
        (n_samples, width).
    size : (height, width)
    mean, std : sequence of 3 floats
        Mean and standard deviation of each channel, on the scale from 0 to 1.
    hidden_layer_sizes, dropout, freeze, channels_last, mixed_precision
        See `~fairtask.AuxiliaryFairnessImageClassifier`.

    Attributes
    ----------
    out_features : int
        Width p of the representation.

    Raises
    ------
    ValueError
        If the output of the backbone is not one feature per image, or `freeze` does
        not fit its number of stages.
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
        """Switch dropout and running statistics, except those of frozen stages."""
        super().train(mode)
        for module in self._frozen:
            module.training = False
        return self

    def forward(self, X: Tensor | Mapping[str, Tensor]) -> Tensor:
        """Compute the representation.

        Parameters
        ----------
        X : Tensor of shape (n_samples, 3, height, width), or dict
            Images, as uint8 or normalised; or ``{"feature": feature}`` if the feature
            has been computed before.

        Returns
        -------
        Tensor of shape (n_samples, p)
        """
        feature = X["feature"] if isinstance(X, Mapping) else self.features(X)
        return self.hidden(self.dropout(feature))

    def features(self, X: Tensor) -> Tensor:
        """Compute the output of the backbone, of shape (n_samples, width)."""
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
