"""Files without code: safetensors for the weights, JSON for everything else."""

import hashlib
import json
import uuid
from collections.abc import Mapping
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
from fairtask._threads import survive_forks

__all__ = ["load", "save"]

FORMAT = 2

DESCRIPTION, DIGEST = "fairtask", "sha256"
"""Entries of the header: the JSON, and a digest of it and of the tensors."""

FEATURES = ("n_features_in_", "feature_names_in_")
"""Fitted attributes that describe the samples, if the estimator has them."""


def save(estimator: Any, path: str | Path) -> None:
    """Write a fitted estimator; see `FairnessEstimator.save`."""
    path = Path(path)
    if not path.parent.is_dir():
        raise FileNotFoundError(f"There is no folder {str(path.parent)!r}.")
    if path.is_dir():
        raise IsADirectoryError(f"{str(path)!r} is a folder; name a file in it.")
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
        # Columns: the names of an epoch's figures are written once.
        "history": estimator.history_.reset_index().to_dict("list"),
        "group_losses": estimator.net_.group_losses_,
    }
    # Clones, because the format refuses tensors that share memory.
    tensors = {
        name: tensor.detach().cpu().clone(memory_format=torch.contiguous_format)
        for name, tensor in _modules(estimator).state_dict().items()
    }
    _write(path, content, tensors)


def load(cls: type, path: str | Path, *, device: Any) -> Any:
    """Read an estimator; see `FairnessEstimator.load`."""
    survive_forks()  # servers load a model and then fork
    content, tensors = _read(path)
    try:
        return _build(cls, content, tensors, device)
    except (AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
        raise ValueError(f"{str(path)!r} cannot be loaded: {error}") from error


def _write(
    path: Path, content: dict[str, Any], tensors: Mapping[str, torch.Tensor]
) -> None:
    """Write a file; an interrupted write leaves the old file as it was."""
    description = json.dumps(content)
    header = {DESCRIPTION: description, DIGEST: _digest(description, tensors)}
    part = path.with_name(f"{path.name}.{uuid.uuid4().hex}.part")
    try:
        save_file(dict(tensors), part, metadata=header)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _read(path: str | Path) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    """Return the description and the tensors of a file, as they were written."""
    if Path(path).is_dir():
        raise IsADirectoryError(f"{str(path)!r} is a folder, not a file.")
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            header = file.metadata() or {}
            description = header.get(DESCRIPTION, "null")
            content = json.loads(description)
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, json.JSONDecodeError, RecursionError) as error:
        raise ValueError(
            f"{str(path)!r} is not a file that `save` wrote, or it is damaged: {error}"
        ) from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        found = content.get("format") if isinstance(content, dict) else None
        raise ValueError(
            f"{str(path)!r} is not a file that this version's `save` wrote: format "
            f"{FORMAT} is expected; its format is {found}. Load a file of another "
            "version with that version, or fit again."
        )
    if header.get(DIGEST) != _digest(description, tensors):
        raise ValueError(
            f"{str(path)!r} is damaged, or has been changed: its content does not fit "
            "the SHA-256 digest that `save` wrote into it."
        )
    return content, tensors


def _digest(description: str, tensors: Mapping[str, torch.Tensor]) -> str:
    """Return the SHA-256 of a description and of tensors on the CPU."""
    digest = hashlib.sha256(description.encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {_form(tensor)}".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _form(tensor: torch.Tensor) -> str:
    """Return the type and the shape of a tensor, as text."""
    return f"{tensor.dtype} of shape {tuple(tensor.shape)}"


def _build(
    cls: type, content: dict[str, Any], tensors: dict[str, torch.Tensor], device: Any
) -> Any:
    if content["class"] != cls.__name__:
        raise ValueError(
            f"it holds a model of the class {content['class']}; load it with that one."
        )
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
    tasks = Tasks(
        _arrays(content, "classes", names="task_names"), content["task_names"]
    )
    attributes = SensitiveAttributes(
        content["attribute_names"], _arrays(content, "groups", names="attribute_names")
    )
    estimator._restore(
        modality,
        tasks,
        attributes,
        content["compared"],
        check=lambda *parts: _check_forms(_in_one(*parts), tensors),
    )
    net = estimator.net_
    names, columns = zip(*content["history"].items(), strict=True)
    net.history_ = History(
        {"batches": [], **dict(zip(names, epoch, strict=True))}
        for epoch in zip(*columns, strict=True)
    )
    net.group_losses_ = content["group_losses"]
    _check_lengths(content, tasks, attributes)
    modules = _modules(estimator)
    modules.load_state_dict(tensors)
    if not all(weight.isfinite().all() for weight in modules.parameters()):
        raise ValueError("it has weights that are not finite.")
    return estimator


def _arrays(content: dict[str, Any], key: str, *, names: str) -> list[np.ndarray]:
    """Return one array for each name; a single task has an array and no name."""
    arrays = _unpack(content[key])
    if not all(isinstance(name, str) for name in content[names]):
        raise ValueError(f"`{names}` must be strings; found {content[names]}.")
    if not all(isinstance(array, np.ndarray) for array in arrays):
        raise ValueError(f"`{key}` must be arrays.")
    n_expected = len(content[names]) or (key == "classes")
    if len(arrays) != n_expected:
        raise ValueError(f"it has {len(arrays)} `{key}` for {n_expected} `{names}`.")
    return arrays


def _check_lengths(
    content: dict[str, Any], tasks: Tasks, attributes: SensitiveAttributes
) -> None:
    """Raise a ValueError unless lists have the lengths that other lists ask for."""
    compared = content["compared"]
    if compared != sorted({*compared} & {*range(len(attributes.names))}):
        raise ValueError(
            f"`compared` must be positions among {attributes.names}; found {compared}."
        )
    epochs, n_epochs = content["group_losses"], len(content["history"]["epoch"])
    if len(epochs) != n_epochs:
        raise ValueError(f"it has {len(epochs)} `group_losses` for {n_epochs} epochs.")
    n_cells = sum(tasks.n_classes) * sum(map(len, attributes.groups))
    for part in (part for epoch in epochs for part in epoch.values()):
        if len(part) != n_cells:
            raise ValueError(f"it has {len(part)} `group_losses` for {n_cells} cells.")


def _check_forms(modules: nn.Module, tensors: Mapping[str, torch.Tensor]) -> None:
    """Raise a ValueError unless the tensors have the types and shapes of modules."""
    expected = {name: _form(own) for name, own in modules.state_dict().items()}
    found = {name: _form(tensor) for name, tensor in tensors.items()}
    for name in sorted(expected.keys() | found.keys()):
        if found.get(name) != expected.get(name):
            raise ValueError(
                f"the tensor {name!r} must be {expected.get(name, 'absent')}, as its "
                f"parameters say; it is {found.get(name, 'absent')}."
            )


def _modules(estimator: Any) -> nn.Module:
    """Return all modules of a fitted estimator in one."""
    return _in_one(estimator.net_.module_, estimator.net_.criterion_)


def _in_one(network: nn.Module, objective: nn.Module) -> nn.Module:
    return nn.ModuleDict({"network": network, "objective": objective})


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
        # Strings are as wide as the widest, which the file shows.
        kinds = {"O": "object", "U": "str"}
        kind = kinds.get(value.dtype.kind, value.dtype.str)
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
        case [("array", "object"), ("values", entries)]:
            array = np.empty(len(entries), dtype=object)
            array[:] = _unpack(entries)
            return array
        case [("array", "str"), ("values", entries)] if entries:
            return np.array(entries, dtype=str)
        case [("array", kind), ("values", entries)] if np.dtype(kind).kind in "biuf":
            return np.array(entries, dtype=kind)
    raise ValueError(f"its content has unknown names: {sorted(value)}.")


def _unpack_each(values: dict[str, Any]) -> dict[str, Any]:
    return {name: _unpack(value) for name, value in values.items()}
