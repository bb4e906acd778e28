"""Files without code: safetensors for the weights, JSON for everything else."""

import json
import uuid
from pathlib import Path, PurePath
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from skorch.history import History
from torch import nn

from fairtask._labels import Tasks
from fairtask._sensitive import SensitiveAttributes

__all__ = ["load", "save"]

FORMAT = 1

FEATURES = ("n_features_in_", "feature_names_in_")
"""Fitted attributes that describe the samples, if the estimator has them."""


def save(estimator: Any, path: str | Path) -> None:
    """Write a fitted estimator; see `FairnessEstimator.save`."""
    path = Path(path)
    if not path.parent.is_dir():
        raise FileNotFoundError(f"There is no folder {str(path.parent)!r}.")
    estimator._modality.check_portable()
    tasks, attributes = estimator._expected
    content = {
        "format": FORMAT,
        "class": type(estimator).__name__,
        "parameters": {
            name: _pack(estimator._fitted_parameters[name], f"`{name}`")
            for name in estimator.get_params(deep=False)
        },
        "classes": _pack(tasks.classes, "`classes_`"),
        "task_names": tasks.names,
        "groups": _pack(attributes.groups, "`groups_`"),
        "attribute_names": attributes.names,
        "compared": estimator._compared,
        "features": {
            name: _pack(getattr(estimator, name), f"`{name}`")
            for name in FEATURES
            if hasattr(estimator, name)
        },
        "modality": {
            name: _pack(value, "a column of `X`")
            for name, value in estimator._modality.state().items()
        },
        "history": estimator.history_.reset_index().to_dict("records"),
        "group_losses": estimator.net_.group_losses_,
    }
    # Clones, because the format refuses tensors that share memory.
    tensors = {
        name: tensor.detach().cpu().clone(memory_format=torch.contiguous_format)
        for name, tensor in _modules(estimator).state_dict().items()
    }
    # An interrupted write must leave the old file as it was.
    part = path.with_name(f"{path.name}.{uuid.uuid4().hex}.part")
    try:
        save_file(tensors, part, metadata={"fairtask": json.dumps(content)})
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def load(cls: type, path: str | Path, *, device: Any) -> Any:
    """Read an estimator; see `FairnessEstimator.load`."""
    content, tensors = _read(path)
    try:
        return _build(cls, content, tensors, device)
    except (AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
        raise ValueError(f"{str(path)!r} cannot be loaded: {error}") from error


def _read(path: str | Path) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            content = json.loads((file.metadata() or {}).get("fairtask", "null"))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, json.JSONDecodeError) as error:
        raise ValueError(
            f"{str(path)!r} is not a file that `save` wrote: {error}"
        ) from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise ValueError(
            f"{str(path)!r} is not a file that this version's `save` wrote: format "
            f"{FORMAT} is expected."
        )
    return content, tensors


def _build(
    cls: type, content: dict[str, Any], tensors: dict[str, torch.Tensor], device: Any
) -> Any:
    if content["class"] != cls.__name__:
        raise ValueError(f"it holds a {content['class']}; load it with that class.")
    parameters = _unpack_each(content["parameters"])
    if device is not None:
        parameters["device"] = device
    estimator = cls(**parameters)
    estimator._validate_params()
    features = _unpack_each(content["features"])
    for name in FEATURES:
        if name in features:
            setattr(estimator, name, features[name])
    modality = estimator._make_modality()
    modality.restore(_unpack_each(content["modality"]))
    estimator._restore(
        modality,
        Tasks(_unpack(content["classes"]), content["task_names"]),
        SensitiveAttributes(content["attribute_names"], _unpack(content["groups"])),
        content["compared"],
    )
    net, modules = estimator.net_, _modules(estimator)
    net.history_ = History({"batches": [], **epoch} for epoch in content["history"])
    net.group_losses_ = content["group_losses"]
    modules.load_state_dict(tensors)
    if not all(weight.isfinite().all() for weight in modules.parameters()):
        raise ValueError("it has weights that are not finite.")
    return estimator


def _modules(estimator: Any) -> nn.Module:
    """Return all modules of a fitted estimator in one."""
    net = estimator.net_
    return nn.ModuleDict({"network": net.module_, "objective": net.criterion_})


def _pack(value: Any, where: str) -> Any:
    """Return a value as JSON, with marks where it holds an array, tuple or dict."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, torch.device | PurePath):
        return str(value)
    is_array = isinstance(value, np.ndarray)
    if is_array and value.ndim == 1 and value.dtype.kind in "biufUO":
        kind = value.dtype.str if value.dtype.kind != "O" else "object"
        return {"array": kind, "values": _pack(value.tolist(), where)}
    if isinstance(value, list):
        return [_pack(entry, where) for entry in value]
    if isinstance(value, tuple):
        return {"tuple": _pack(list(value), where)}
    if isinstance(value, dict):
        return {"dict": [_pack(list(pair), where) for pair in value.items()]}
    kind = type(value).__name__
    if is_array:
        kind = f"{value.ndim}-dimensional array of {value.dtype}"
    raise ValueError(
        f"{where} holds a {kind}, which a file without code cannot hold. Fit with "
        "names, numbers or strings in its place, or use pickle."
    )


def _unpack(value: Any) -> Any:
    if isinstance(value, list):
        return [_unpack(entry) for entry in value]
    if not isinstance(value, dict):
        return value
    match list(value.items()):
        case [("tuple", entries)]:
            return tuple(_unpack(entries))
        case [("dict", pairs)]:
            return dict(_unpack(pairs))
        case [("array", kind), ("values", entries)]:
            array = np.empty(len(entries), dtype=kind)
            array[:] = _unpack(entries)
            return array
    raise ValueError(f"its content has unknown names: {sorted(value)}.")


def _unpack_each(values: dict[str, Any]) -> dict[str, Any]:
    return {name: _unpack(value) for name, value in values.items()}
