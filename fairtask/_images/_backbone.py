"""Backbones: made, cut into stages, and used as a trunk."""

import copy
import difflib
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Literal

import torch
from torch import Tensor, nn

from fairtask.modules import MLP

__all__ = [
    "BackboneTrunk",
    "layer_scales",
    "make_backbone",
    "stages",
    "without_decay",
]

BFLOAT16 = (8, 0)
"""Compute capability from which on CUDA devices have bfloat16."""

TAKEN = ("checkpoint_path", "in_chans", "model_name", "num_classes", "pretrained")
"""Arguments of `timm.create_model` that are not the user's."""


def make_backbone(
    backbone: str | nn.Module,
    *,
    pretrained: bool,
    image_size: tuple[int, int] | None,
    params: dict[str, Any] | None,
) -> tuple[nn.Module, dict[str, Any]]:
    """Return a backbone without classifier, and what it expects of images.

    Parameters
    ----------
    backbone : str or nn.Module
        Name of a timm model, or a module, which is copied.
    pretrained : bool
        Whether a timm model gets its pretrained weights.
    image_size : (height, width), optional
    params : dict, optional
        Further arguments of `timm.create_model`.

    Returns
    -------
    backbone : nn.Module
    config : dict
        ``size`` (height, width), ``mean`` and ``std`` of each channel, and
        ``interpolation``.

    Raises
    ------
    ValueError
        If there is no such model, or it cannot be made.
    """
    from timm.data import resolve_model_data_config

    if isinstance(backbone, nn.Module):
        if params:
            raise ValueError(
                "`backbone_params` are arguments of timm.create_model, and `backbone` "
                "is a module; got both."
            )
        model: Any = copy.deepcopy(backbone).to("cpu").float()
        # One of timm's, or made like them: the feature before its classifier.
        if getattr(model, "num_classes", 0) and hasattr(model, "reset_classifier"):
            model.reset_classifier(0)
    else:
        model = _create_model(backbone, pretrained, image_size, params or {})
    found = resolve_model_data_config(model)
    return model, {
        "size": image_size or tuple(found["input_size"][1:]),
        "mean": tuple(found["mean"]),
        "std": tuple(found["std"]),
        "interpolation": found["interpolation"],
    }


def _create_model(
    name: str,
    pretrained: bool,
    image_size: tuple[int, int] | None,
    params: dict[str, Any],
) -> nn.Module:
    import timm

    taken = sorted(set(params) & set(TAKEN))
    if taken:
        raise ValueError(
            f"`backbone_params` must not have {taken}, which the estimator decides."
        )
    is_local = ":" not in name  # not in the hub
    if is_local and not timm.is_model(name.split(".")[0]):
        near = difflib.get_close_matches(name, timm.list_models(), cutoff=0.5)
        raise ValueError(
            "`backbone` must be the name of a model of timm or a module; got "
            f"{name!r}. {f'Similar: {near}.' if near else 'See timm.list_models().'}"
        )
    try:
        if image_size is not None and is_local and _has_fixed_size(name):
            params = {"img_size": image_size, **params}
        return timm.create_model(name, pretrained=pretrained, num_classes=0, **params)
    except OSError as error:
        raise ValueError(
            f"The pretrained weights of `backbone={name!r}` cannot be read with "
            f"`backbone_params={params!r}`: {str(error) or type(error).__name__}. "
            "Without the network, take pretrained=False, or a file: "
            "backbone_params={'pretrained_cfg_overlay': {'file': path}}."
        ) from error
    except Exception as error:  # models, and formats of weights, raise what they like
        raise ValueError(
            f"`backbone={name!r}` cannot be made with pretrained={pretrained} and "
            f"`backbone_params={params!r}`: {error}"
        ) from error


def _has_fixed_size(name: str) -> bool:
    """Whether a model is made for images of one size, which has to be told to it."""
    import timm

    config = timm.get_pretrained_cfg(name, allow_unregistered=True)
    return bool(config is not None and config.fixed_input_size)


def stages(backbone: nn.Module, *, coarse: bool = True) -> list[list[str]]:
    """Return the names of the parameters of each stage, from the input on.

    Stages are those of timm's models, the stem the first among them; of other modules
    they are the children. A normalisation by itself belongs to the stage before it.

    Parameters
    ----------
    backbone : nn.Module
    coarse : bool, default=True
        Whether to keep the blocks of a stage together.
    """
    weights = dict(backbone.named_parameters())
    matcher: Any = getattr(backbone, "group_matcher", None)
    if matcher is not None:
        from timm.models import group_parameters

        groups = group_parameters(backbone, matcher(coarse=coarse))
        parts = [list(groups[i]) for i in sorted(groups)]
    else:
        by_child: dict[str, list[str]] = {}
        for name in weights:
            by_child.setdefault(name.split(".")[0], []).append(name)
        parts = list(by_child.values())
    found: list[list[str]] = []
    for part in parts:
        is_normalization = all(weights[name].ndim <= 1 for name in part)
        if found and is_normalization:
            found[-1].extend(part)
        else:
            found.append(part)
    return found


def without_decay(backbone: nn.Module) -> set[str]:
    """Return the names of the weights that weight decay should leave alone.

    Biases and scales, and what the backbone names, such as embeddings of positions.
    """
    exempt: set[str] = getattr(backbone, "no_weight_decay", set)()
    return {
        name
        for name, weight in backbone.named_parameters()
        if weight.ndim <= 1 or name in exempt
    }


def layer_scales(backbone: nn.Module, decay: float) -> dict[str, float]:
    """Return the share of the learning rate that each parameter gets.

    The last layer gets all of it, and each before it the fraction `decay` of the next.
    """
    layers = stages(backbone, coarse=False)
    return {
        name: decay ** (len(layers) - 1 - depth)
        for depth, names in enumerate(layers)
        for name in names
    }


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
        width = _feature_width(backbone, size)
        self.dropout = nn.Dropout(dropout)
        self.hidden = MLP(width, hidden_layer_sizes, dropout=dropout)
        self.out_features = self.hidden.out_features
        frozen = _frozen_names(backbone, freeze)
        for name, weight in backbone.named_parameters():
            if name in frozen:
                weight.requires_grad_(False)
        self._frozen = _frozen_modules(backbone)
        if channels_last:
            self.to(memory_format=torch.channels_last)

    def train(self, mode: bool = True) -> "BackboneTrunk":
        """Switch dropout and running statistics, but not those of frozen stages."""
        super().train(mode)
        for module in self._frozen:
            module.training = False
        return self

    @property
    def is_trained(self) -> bool:
        """Whether there are weights that are not frozen."""
        return any(weight.requires_grad for weight in self.parameters())

    def forward(self, X: Tensor) -> Tensor:
        """Compute the representation.

        Parameters
        ----------
        X : Tensor of shape (n_samples, 3, height, width) or (n_samples, width)
            Images, as uint8 or normalised; or what `features` made of them.

        Returns
        -------
        Tensor of shape (n_samples, p)
        """
        return self.hidden(self.dropout(self.features(X) if X.ndim == 4 else X))

    def features(self, X: Tensor) -> Tensor:
        """Compute what the backbone makes of images.

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


def _frozen_names(backbone: nn.Module, freeze: int | str | None) -> set[str]:
    if freeze is None:
        return set()
    if isinstance(freeze, bool):
        raise ValueError(
            f"`freeze` must be None, a number of stages or 'backbone'; got {freeze}."
        )
    parts = stages(backbone)
    if freeze == "backbone":
        freeze = len(parts)
    elif not -len(parts) < int(freeze) < len(parts):
        raise ValueError(
            f"`freeze` must be between {1 - len(parts)} and {len(parts) - 1} for this "
            f"backbone, which has {len(parts)} stages, or 'backbone' for all of them; "
            f"got {freeze}."
        )
    return {name for part in parts[: int(freeze)] for name in part}


def _frozen_modules(backbone: nn.Module) -> list[nn.Module]:
    """Return the modules of which no weight is trained.

    A module without weights, such as dropout or a normalisation without scale, goes
    with the one before it.
    """
    if not any(weight.requires_grad for weight in backbone.parameters()):
        return list(backbone.modules())
    is_frozen: dict[nn.Module, bool] = {}
    before = False
    for module in backbone.modules():
        if next(module.children(), None) is None:
            weights = list(module.parameters())
            if weights:
                before = not any(weight.requires_grad for weight in weights)
            is_frozen[module] = before
    return [
        module
        for module in backbone.modules()
        if all(is_frozen.get(part, True) for part in module.modules())
        and not any(weight.requires_grad for weight in module.parameters())
    ]


def _feature_width(backbone: nn.Module, size: tuple[int, int]) -> int:
    """Return the width of the feature, by computing one."""
    was_training = backbone.training
    try:
        with torch.no_grad():
            feature = backbone.eval()(torch.zeros(1, 3, *size))
    except (RuntimeError, TypeError, ValueError, AssertionError) as error:
        raise ValueError(
            f"`backbone` cannot compute a feature of an image of {size[0]} times "
            f"{size[1]} pixels: {error}"
        ) from error
    finally:
        backbone.train(was_training)
    if not isinstance(feature, Tensor) or feature.ndim != 2 or len(feature) != 1:
        found = (
            f"shape {tuple(feature.shape)}"
            if isinstance(feature, Tensor)
            else f"type {type(feature).__name__}"
        )
        raise ValueError(
            "`backbone` must put out a feature of shape (n_samples, width); for one "
            f"image its output has {found}."
        )
    return feature.shape[1]
