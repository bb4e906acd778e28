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

from fairtask._history import group_cells
from fairtask._labels import Tasks
from fairtask._sensitive import SensitiveAttributes

__all__ = ["load", "save"]

FORMAT = 1
MALFORMED = (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError)
"""Errors that the content of a file that was changed by hand may raise."""

FEATURES = ("n_features_in_", "feature_names_in_")
"""Fitted attributes that describe the samples, where an estimator has them."""

CONTENT = {
    "format",
    "class",
    "parameters",
    "classes",
    "task_names",
    "groups",
    "attribute_names",
    "compared",
    "features",
    "modality",
    "history",
    "group_losses",
}


def save(estimator: Any, path: str | Path) -> None:
    """Write a fitted estimator; see `FairnessEstimator.save`."""
    estimator._modality.check_portable()
    tasks, attributes = estimator._expected
    content = {
        "format": FORMAT,
        "class": type(estimator).__name__,
        "parameters": {
            name: _pack(value, f"`{name}`")
            for name, value in estimator._fitted_parameters.items()
        },
        "classes": [_pack(classes, "`classes_`") for classes in tasks.classes],
        "task_names": tasks.names,
        "groups": [_pack(groups, "`groups_`") for groups in attributes.groups],
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
    # Clones: the format refuses tensors that share memory.
    tensors = {
        f"{part}.{name}": tensor.detach()
        .cpu()
        .clone(memory_format=torch.contiguous_format)
        for part, module in _parts(estimator.net_).items()
        for name, tensor in module.state_dict().items()
    }
    # A write that is cut off leaves the old file.
    path = Path(path)
    if not path.parent.is_dir():
        raise FileNotFoundError(f"There is no folder {str(path.parent)!r}.")
    part = path.with_name(f"{path.name}.{uuid.uuid4().hex}.part")
    try:
        save_file(tensors, part, metadata={"fairtask": json.dumps(content)})
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def load(cls: type, path: str | Path, *, device: Any) -> Any:
    """Read an estimator; see `FairnessEstimator.load`."""
    content, tensors = _read(path)
    if content["class"] != cls.__name__:
        raise ValueError(
            f"{str(path)!r} holds a {content['class']}; load it with its own class."
        )
    try:
        return _build(cls, content, tensors, device)
    except _Unreadable as error:
        raise ValueError(f"{str(path)!r} {error}") from error
    except MALFORMED as error:
        raise ValueError(
            f"{str(path)!r} has content that is unknown: {error}"
        ) from error


class _Unreadable(Exception):  # noqa: N818 (never leaves this module)
    """A fault of a file, as the end of a sentence."""


def _build(
    cls: type, content: dict[str, Any], tensors: dict[str, torch.Tensor], device: Any
) -> Any:
    parameters = {name: _unpack(v) for name, v in content["parameters"].items()}
    differing = set(cls().get_params(deep=False)) ^ set(parameters)
    if differing:
        raise _Unreadable(
            f"has parameters that are missing or unknown: {sorted(differing)}."
        )
    if device is not None:
        parameters["device"] = device
    estimator = cls(**parameters)
    estimator._validate_params()
    classes, groups = (
        [_unpack(entry) for entry in content[name]] for name in ("classes", "groups")
    )
    tasks = Tasks(classes, content["task_names"])
    attributes = SensitiveAttributes(content["attribute_names"], groups)
    _check_expected(tasks, attributes, content["compared"])
    for name, value in content["features"].items():
        if name not in FEATURES:
            raise _Unreadable(f"has content that is unknown: {name!r}.")
        setattr(estimator, name, _unpack(value))
    modality = estimator._make_modality()
    state = {name: _unpack(value) for name, value in content["modality"].items()}
    try:
        modality.restore(state)
    except ValueError as error:
        raise _Unreadable(str(error)) from error
    if set(state) != set(modality.state()):
        raise _Unreadable(f"has content that is unknown: {sorted(state)}.")
    estimator._restore(modality, tasks, attributes, content["compared"])
    net = estimator.net_
    net.history_ = _history(content)
    net.group_losses_ = _group_losses(content, len(group_cells(tasks, attributes)))
    for part, module in _parts(net).items():
        weights = {
            name.removeprefix(f"{part}."): tensor
            for name, tensor in tensors.items()
            if name.startswith(f"{part}.")
        }
        try:
            module.load_state_dict(weights)
        except RuntimeError as error:
            raise _Unreadable(f"does not fit its parameters: {error}") from error
    if not all(p.isfinite().all() for p in net.module_.parameters()):
        raise _Unreadable("has weights that are not numbers.")
    return estimator


def _check_expected(
    tasks: Tasks, attributes: SensitiveAttributes, compared: list[int]
) -> None:
    if (
        len(attributes.groups) != len(attributes.names)
        or len(tasks.classes) != max(1, len(tasks.names))
        or any(len(set(v)) != len(v) for v in [*tasks.classes, *attributes.groups])
        or any(len(values) < 2 for values in tasks.classes)
        or any(s not in range(len(attributes.names)) for s in compared)
    ):
        raise _Unreadable("has classes or groups that do not belong together.")


def _history(content: dict[str, Any]) -> History:
    if not content["history"]:
        raise _Unreadable("has no history.")
    history = History()
    for record in content["history"]:
        history.new_epoch()
        for name, value in record.items():
            history.record(name, value)
    return history


def _group_losses(content: dict[str, Any], n_cells: int) -> list[dict[str, Any]]:
    """Losses of each class and group, a dict of lists of numbers per epoch."""
    epochs = content["group_losses"]
    if len(epochs) != len(content["history"]) or any(
        part not in ("train", "valid")
        or len(losses) != n_cells
        or not all(isinstance(loss, float) for loss in losses)
        for epoch in epochs
        for part, losses in epoch.items()
    ):
        raise _Unreadable("has losses of groups that do not belong to its history.")
    return epochs


def _parts(net: Any) -> dict[str, nn.Module]:
    return {"network": net.module_, "objective": net.criterion_}


def _read(path: str | Path) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            content = json.loads((file.metadata() or {}).get("fairtask", "null"))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, json.JSONDecodeError, RecursionError) as error:
        raise ValueError(
            f"{str(path)!r} is not a file that `save` wrote: {error}"
        ) from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise ValueError(
            f"{str(path)!r} is not a file that this version's `save` wrote: format "
            f"{FORMAT} is expected."
        )
    if set(content) != CONTENT or not all(
        name.startswith(("network.", "objective.")) for name in tensors
    ):
        differences = sorted(set(content) ^ CONTENT)
        raise ValueError(
            f"{str(path)!r} has missing or unknown content: {differences}."
        )
    return content, tensors


def _pack(value: Any, where: str) -> Any:
    """Return a value as JSON knows it, arrays and tuples by their names."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, torch.device | PurePath):
        return str(value)
    if isinstance(value, np.ndarray) and value.dtype.kind in "biufUO":
        kind = value.dtype.str if value.dtype.kind != "O" else "object"
        return {"array": kind, "values": [_pack(v, where) for v in value.tolist()]}
    if isinstance(value, list):
        return [_pack(entry, where) for entry in value]
    if isinstance(value, tuple):
        return {"tuple": [_pack(entry, where) for entry in value]}
    if isinstance(value, dict):
        pairs = [[_pack(k, where), _pack(v, where)] for k, v in value.items()]
        return {"dict": pairs}
    kind = value.dtype if isinstance(value, np.ndarray) else type(value).__name__
    raise ValueError(
        f"{where} holds a {kind}, which a file without code cannot hold. Fit with "
        "something simpler in its place (names, numbers, strings), or use pickle."
    )


def _unpack(value: Any) -> Any:
    if isinstance(value, list):
        return [_unpack(entry) for entry in value]
    if not isinstance(value, dict):
        return value
    if set(value) == {"tuple"}:
        return tuple(_unpack(entry) for entry in value["tuple"])
    if set(value) == {"dict"}:
        return {_unpack(k): _unpack(v) for k, v in value["dict"]}
    if set(value) == {"array", "values"}:
        entries = [_unpack(entry) for entry in value["values"]]
        dtype = np.dtype(value["array"])
        if dtype.kind not in "biufUO":
            raise _Unreadable(f"has an array of type {dtype}.")
        array = np.empty(len(entries), dtype=dtype)
        array[:] = entries
        return array
    raise _Unreadable(f"has content that is unknown: {sorted(value)}.")
