"""Files without code: safetensors for the weights, JSON for everything else."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from skorch.history import History
from torch import nn

from fairtask._labels import Labels
from fairtask._sensitive import SensitiveFeatures
from fairtask._tables import TableEncoder
from fairtask._training import Samples
from fairtask._validation import check_device

__all__ = ["load", "save"]

FORMAT = 1
CONTENT = {
    "format",
    "class",
    "parameters",
    "classes",
    "task_names",
    "groups",
    "attribute_names",
    "penalized",
    "n_features",
    "feature_names",
    "categories",
    "history",
}


def save(estimator: Any, path: str | Path) -> None:
    """Write a fitted estimator; see `BaseAuxiliaryFairnessClassifier.save`."""
    known = estimator._known
    encoder = getattr(estimator, "_encoder", None)
    feature_names = getattr(estimator, "feature_names_in_", None)
    content = {
        "format": FORMAT,
        "class": type(estimator).__name__,
        "parameters": {
            name: _pack(value, f"`{name}`")
            for name, value in estimator.get_params(deep=False).items()
        },
        "classes": [_pack(classes, "`classes_`") for classes in known.labels.classes],
        "task_names": known.labels.names,
        "groups": [_pack(groups, "`groups_`") for groups in known.sensitive.groups],
        "attribute_names": known.sensitive.names,
        "penalized": estimator._attributes,
        "n_features": estimator.n_features_in_,
        "feature_names": None if feature_names is None else feature_names.tolist(),
        "categories": encoder and _pack(encoder.categories, "`X`"),
        "history": estimator.history_.reset_index().to_dict("records"),
    }
    # Clones: the format refuses tensors that share memory.
    tensors = {
        f"{part}.{name}": tensor.detach()
        .cpu()
        .clone(memory_format=torch.contiguous_format)
        for part, module in _parts(estimator.net_).items()
        for name, tensor in module.state_dict().items()
    }
    save_file(tensors, path, metadata={"fairtask": json.dumps(content)})


def load(cls: type, path: str | Path, *, device: Any) -> Any:
    """Read an estimator; see `BaseAuxiliaryFairnessClassifier.load`."""
    content, tensors = _read(path)
    if content["class"] != cls.__name__:
        raise ValueError(
            f"{str(path)!r} holds a {content['class']}; load it with its own class."
        )
    parameters = {name: _unpack(v) for name, v in content["parameters"].items()}
    unknown = sorted(set(parameters) - set(cls().get_params(deep=False)))
    if unknown:
        raise ValueError(f"{str(path)!r} has parameters that are unknown: {unknown}.")
    if device is not None:
        parameters["device"] = device
    estimator = cls(**parameters)
    estimator._validate_params()
    estimator.n_features_in_ = content["n_features"]
    if content["feature_names"] is not None:
        estimator.feature_names_in_ = np.array(content["feature_names"], dtype=object)
    categories = content["categories"]
    estimator._encoder = categories and TableEncoder(_unpack(categories))

    classes = [_unpack(entry) for entry in content["classes"]]
    groups = [_unpack(entry) for entry in content["groups"]]
    known = Samples(
        None,
        Labels(np.empty((0, len(classes)), np.int64), classes, content["task_names"]),
        SensitiveFeatures(
            np.empty((0, len(groups)), np.int64), content["attribute_names"], groups
        ),
    )
    history = History()
    for record in content["history"]:
        history.new_epoch()
        for name, value in record.items():
            history.record(name, value)
    estimator._restore(
        known,
        content["penalized"],
        check_device(estimator.device),
        history,
    )
    for part, module in _parts(estimator.net_).items():
        state = {
            name.removeprefix(f"{part}."): tensor
            for name, tensor in tensors.items()
            if name.startswith(f"{part}.")
        }
        _load_strictly(module, state, path)
    return estimator


def _parts(net: Any) -> dict[str, nn.Module]:
    return {"network": net.module_, "objective": net.criterion_}


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
    if set(content) != CONTENT or not all(
        name.startswith(("network.", "objective.")) for name in tensors
    ):
        differences = sorted(set(content) ^ CONTENT)
        raise ValueError(
            f"{str(path)!r} has missing or unknown content: {differences}."
        )
    return content, tensors


def _load_strictly(
    module: nn.Module, state: dict[str, torch.Tensor], path: str | Path
) -> None:
    try:
        module.load_state_dict(state)
    except RuntimeError as error:
        raise ValueError(
            f"{str(path)!r} does not fit its parameters: {error}"
        ) from error


def _pack(value: Any, where: str) -> Any:
    """Return a value as JSON knows it, arrays and tuples by their names."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, torch.device):
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
    raise ValueError(
        f"{where} holds a {type(value).__name__}, which a file without code cannot. "
        "Set the parameter to something simpler before `save`, or use pickle."
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
        array = np.empty(len(entries), dtype=np.dtype(value["array"]))
        array[:] = entries
        return array
    raise ValueError(f"The file has content that is unknown: {sorted(value)}.")
