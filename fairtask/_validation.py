"""Checks of arguments other than samples, labels and groups; warnings to users."""

import inspect
import os
import warnings
from collections.abc import Sequence
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.utils.validation import _check_sample_weight

from fairtask._columns import as_column, read_numbers

if TYPE_CHECKING:
    import torch

__all__ = [
    "check_device",
    "check_distinct",
    "check_image_size",
    "check_is_tensor",
    "check_layer_sizes",
    "check_one_of",
    "check_positive_integer",
    "check_sample_weight",
    "read_weights",
    "warn_user",
]


def check_device(device: "str | torch.device") -> "torch.device":
    """Return the device, or raise a ValueError if it is not there."""
    import torch  # here, because metrics and bounds need none

    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if str(device) == "cuda" and "LOCAL_RANK" in os.environ:
        # torchrun numbers the processes of a machine; each has a GPU of its own.
        device = f"cuda:{os.environ['LOCAL_RANK']}"
    try:
        found = torch.empty(0, device=device).device
        if found.type == "meta":
            raise RuntimeError("it holds no values")
        return found
    except (AssertionError, RuntimeError) as error:
        raise ValueError(
            "`device` must be 'auto' or a device of torch that is there, such as 'cpu' "
            f"or 'cuda:0'; got {device!r}: {error}"
        ) from error


def check_distinct(names: Sequence[str], argument: str) -> None:
    """Raise a ValueError if columns of an argument share a name."""
    duplicates = sorted({name for name in names if names.count(name) > 1})
    if duplicates:
        raise ValueError(
            f"`{argument}` must have distinct names; {duplicates} occur more than once."
        )


def check_sample_weight(sample_weight: Any, n_samples: int) -> np.ndarray | None:
    """Return sample weights, scaled to a mean of 1, or None if there are none."""
    if sample_weight is None:
        return None
    weights = read_weights(sample_weight, n_samples)
    return (weights / weights.mean()).astype(np.float32)


def read_weights(sample_weight: Any, n_samples: int) -> np.ndarray:
    """Return sample weights as floats; a single number is that of each sample.

    Raises
    ------
    ValueError
        If they are not one finite number, at least 0, per sample, or all are 0.
    """
    if not isinstance(sample_weight, Real):
        column = as_column(sample_weight, "sample_weight")
        sample_weight = read_numbers(column, "`sample_weight`")
        if sample_weight is None:
            raise ValueError(
                f"`sample_weight` must hold numbers; its type is {column.dtype}."
            )
    weights = _check_sample_weight(
        sample_weight,
        np.empty((n_samples, 1)),
        dtype=np.float64,
        ensure_non_negative=True,
    )
    if not weights.any():
        raise ValueError("`sample_weight` must have a weight above 0; all are zero.")
    return weights


def check_layer_sizes(sizes: Any, name: str) -> list[int]:
    """Return widths of layers, or raise a ValueError if they are none."""
    sizes = list(sizes)
    if not all(
        isinstance(size, int | np.integer) and size >= 1 and size is not True
        for size in sizes
    ):
        raise ValueError(f"`{name}` must hold integers of at least 1; got {sizes!r}.")
    return [int(size) for size in sizes]


def check_positive_integer(argument: str, value: Any) -> None:
    """Raise a ValueError unless it is an integer of at least 1."""
    is_number = isinstance(value, Integral) and value is not True
    if not is_number or value < 1:
        raise ValueError(
            f"`{argument}` must be an integer of at least 1; got {value!r}."
        )


def check_image_size(size: Any) -> tuple[int, int] | None:
    """Return (height, width), or raise a ValueError if it is not a size."""
    if size is None:
        return None
    sizes = [size] if isinstance(size, int | np.integer) else size
    sizes = check_layer_sizes(sizes, "image_size")
    if len(sizes) not in (1, 2):
        raise ValueError(
            f"`image_size` must be a number of pixels or (height, width); got {size!r}."
        )
    return sizes[0], sizes[-1]


def check_is_tensor(output: Any, name: str) -> None:
    """Raise a ValueError if a module returned anything but a tensor in training."""
    import torch

    if not isinstance(output, torch.Tensor):
        raise ValueError(
            f"`{name}` must return one tensor in training, as it does in predictions; "
            f"in training it returned a {type(output).__name__}. Switch its auxiliary "
            "outputs off, often with aux_logits=False."
        )


def check_one_of(name: str, value: Any, options: Sequence[str]) -> None:
    """Raise a ValueError if a value is not among the options."""
    if not isinstance(value, str) or value not in options:
        *first, last = (repr(option) for option in options)
        choice = f"{', '.join(first)} or {last}"
        raise ValueError(f"`{name}` must be {choice}; got {value!r}.")


def warn_user(category: type[Warning], message: str) -> None:
    """Warn at the line outside of this package, scikit-learn and joblib that led here.

    In several threads or processes there may be none: then at the outermost line.
    """
    frame, level = inspect.currentframe(), 0
    while frame is not None and frame.f_globals.get("__name__", "").split(".")[0] in (
        "fairtask",
        "joblib",
        "sklearn",
    ):
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level + 1)
