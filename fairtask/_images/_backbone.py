"""Backbones: how they are made, cut into stages, and frozen."""

import copy
import difflib
from typing import Any

from torch import nn

__all__ = [
    "frozen_modules",
    "frozen_names",
    "layer_scales",
    "make_backbone",
    "stages",
    "without_decay",
]

TAKEN = ("checkpoint_path", "in_chans", "model_name", "num_classes", "pretrained")
"""Arguments of `timm.create_model` that the estimator sets."""


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
