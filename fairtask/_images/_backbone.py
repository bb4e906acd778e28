"""Backbones: how they are made, cut into stages, frozen, and used as a trunk."""

import copy
import difflib
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Literal

import torch
from torch import Tensor, nn

from fairtask._modality import representation_width
from fairtask._validation import check_is_tensor
from fairtask.modules import MLP

__all__ = [
    "BackboneTrunk",
    "frozen_modules",
    "frozen_names",
    "layer_scales",
    "make_backbone",
    "stages",
    "without_decay",
]

TAKEN = ("checkpoint_path", "in_chans", "model_name", "num_classes", "pretrained")
"""Arguments of `timm.create_model` that the estimator sets."""

BFLOAT16 = (8, 0)
"""Lowest compute capability of CUDA devices that have bfloat16."""


def make_backbone(
    backbone: str | nn.Module,
    *,
    pretrained: bool,
    image_size: tuple[int, int] | None,
    params: dict[str, Any] | None,
) -> tuple[nn.Module, dict[str, Any]]:
    """Return a backbone without its classifier, and the images that it expects.

    Parameters
    ----------
    backbone, pretrained, image_size, params
        See `~fairtask.AuxiliaryFairnessImageClassifier`. A module is copied.

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
        # Models of timm, or written like them, put out the feature without classifier.
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
    except Exception as error:  # models and formats of weights raise errors of any type
        raise ValueError(
            f"`backbone={name!r}` cannot be made with pretrained={pretrained} and "
            f"`backbone_params={params!r}`: {error}"
        ) from error


def _has_fixed_size(name: str) -> bool:
    """Whether a model is made for images of one size, which it takes as argument."""
    import timm

    config = timm.get_pretrained_cfg(name, allow_unregistered=True)
    return bool(config is not None and config.fixed_input_size)


def stages(backbone: nn.Module, *, coarse: bool = True) -> list[list[str]]:
    """Return the names of the parameters of each stage, from the input on.

    A model of timm names its stages, of which the stem is the first. The stages of
    another module are its children. A lone normalisation belongs to the stage before
    it. With ``coarse=False`` each block of a stage is on its own.
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
    """Return the names of the weights that are exempt from weight decay.

    These are biases and scales, and weights that the backbone names, such as embeddings
    of positions.
    """
    exempt: set[str] = getattr(backbone, "no_weight_decay", set)()
    return {
        name
        for name, weight in backbone.named_parameters()
        if weight.ndim <= 1 or name in exempt
    }


def layer_scales(backbone: nn.Module, decay: float) -> dict[str, float]:
    """Return the share of the learning rate that each parameter gets.

    The last layer gets all of it, and each other layer the fraction `decay` of the
    share of the next layer.
    """
    layers = stages(backbone, coarse=False)
    return {
        name: decay ** (len(layers) - 1 - depth)
        for depth, names in enumerate(layers)
        for name in names
    }


def frozen_names(backbone: nn.Module, freeze: int | str | None) -> set[str]:
    """Return the names of the weights in ``stages[:freeze]``, or in all stages.

    A ValueError says so if the backbone does not have as many stages.
    """
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


def frozen_modules(backbone: nn.Module) -> list[nn.Module]:
    """Return the modules that have no weight to train.

    A module without weights, such as dropout or a normalisation without scale, is
    treated like the module before it.
    """

    def is_trained(module: nn.Module) -> bool:
        return any(weight.requires_grad for weight in module.parameters())

    frozen_parts: dict[nn.Module, bool] = {}
    is_frozen = not is_trained(backbone)
    for module in backbone.modules():
        if next(module.children(), None) is None:
            if next(module.parameters(), None) is not None:
                is_frozen = not is_trained(module)
            frozen_parts[module] = is_frozen
    return [
        module
        for module in backbone.modules()
        if not is_trained(module)
        and all(frozen_parts.get(part, True) for part in module.modules())
    ]


class BackboneTrunk(nn.Module):
    """A backbone for images, and hidden layers on its feature.

    Parameters
    ----------
    backbone : nn.Module
        Maps images of shape (n_samples, 3, height, width) to a feature of shape
        (n_samples, width).
    config : dict
        ``size`` (height, width), and ``mean`` and ``std`` of each channel, on the scale
        from 0 to 1.
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
        config: dict[str, Any],
        *,
        hidden_layer_sizes: Sequence[int],
        dropout: float,
        freeze: int | str | None,
        channels_last: bool,
        mixed_precision: bool | Literal["auto"],
    ) -> None:
        super().__init__()
        self.channels_last = channels_last
        self.mixed_precision = mixed_precision
        self.backbone = backbone
        for name in ("mean", "std"):
            self.register_buffer(name, torch.tensor(config[name]).view(3, 1, 1))
        example = torch.zeros(1, 3, *config["size"])
        width = representation_width(backbone, example, "backbone")
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
        check_is_tensor(feature, "backbone")
        return feature.float()

    def all_features(self, batches: Iterable[Tensor], device: torch.device) -> Tensor:
        """Compute the features of all batches, once for all epochs of a training."""
        self.to(device).eval()
        with torch.no_grad():
            return torch.cat([self.features(X.to(device)) for X in batches])

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
