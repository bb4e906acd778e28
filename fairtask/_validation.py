"""Checks of arguments other than samples, labels and groups; warnings to users."""

import inspect
import os
import warnings
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import wraps
from numbers import Integral
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import numpy as np
from sklearn.exceptions import NotFittedError
from sklearn.utils import check_random_state

from fairtask._columns import as_column, read_numbers
from fairtask._frames import check_n_rows

if TYPE_CHECKING:
    import torch

__all__ = [
    "LARGEST_WEIGHT",
    "check_bool",
    "check_can_be_squared",
    "check_device",
    "check_distinct",
    "check_image_size",
    "check_is_tensor",
    "check_layer_sizes",
    "check_one_of",
    "check_positive_integer",
    "check_sample_weight",
    "check_weights",
    "groups_by_name",
    "named_in_errors",
    "read_random_state",
    "read_weights",
    "warn_user",
]

LARGEST_SQUARED = 1e150
"""Of numbers up to this size, sums of squares are finite."""

LARGEST_WEIGHT = float(np.finfo(np.float32).max)
"""Files hold weights as float32; sums of their squares are finite as float64."""

P = ParamSpec("P")
R = TypeVar("R")


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


@contextmanager
def named_in_errors(argument: str) -> Iterator[None]:
    """Name the argument in errors, most of them of scikit-learn, that speak of `X`."""
    try:
        yield
    except NotFittedError:
        raise
    except (TypeError, ValueError) as error:
        text = str(error).replace("`X`", f"`{argument}`")
        if f"`{argument}`" not in text:
            text = f"`{argument}`: {text}"
        if text == str(error):
            raise
        # scikit-learn expects a TypeError of estimators for some wrong types.
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(text) from error


def groups_by_name(function: Callable[P, R]) -> Callable[P, R]:
    """Say in the error for a wrong way to pass groups which way is right.

    Groups are the argument that somebody would pass after samples and labels. A
    function takes them by name, or not at all.
    """
    parameters = inspect.signature(function).parameters
    positional = [
        name
        for name, parameter in parameters.items()
        if parameter.kind is parameter.POSITIONAL_OR_KEYWORD
    ]
    is_method = positional[:1] == ["self"]
    listed = ", ".join(f"`{name}`" for name in positional[is_method:])

    @wraps(function)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
        name = function.__name__
        if is_method and args:
            name = f"{type(args[0]).__name__}.{name}"
        if "sensitive_features" not in parameters:
            if "sensitive_features" in kwargs or len(args) > len(positional):
                raise TypeError(
                    f"`{name}` takes {listed} and no groups: an estimator learns from "
                    "`sensitive_features` in `fit`."
                )
        elif len(args) > len(positional):
            raise TypeError(
                f"`{name}` takes {listed} by position, and other arguments by name: "
                "pass groups as `sensitive_features=...`."
            )
        return function(*args, **kwargs)

    return wrapper


def read_random_state(random_state: Any) -> np.random.RandomState:
    """Return the state that a parameter describes, see scikit-learn."""
    try:
        return check_random_state(random_state)
    except ValueError as error:
        raise ValueError(
            "`random_state` must be None, an integer from 0 to 2**32 - 1, or a "
            f"generator of random numbers; got {random_state!r}."
        ) from error


def check_distinct(names: Iterable[Hashable], argument: str) -> None:
    """Raise a ValueError if columns of an argument share a name."""
    duplicates = [name for name, count in Counter(names).items() if count > 1]
    if duplicates:
        raise ValueError(
            f"`{argument}` must have distinct names; found several of {duplicates}."
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
        If they are not one finite number, at least 0, per sample, one is too large to
        be added up, or all are 0.
    """
    if isinstance(sample_weight, float | np.number) or type(sample_weight) is int:
        sample_weight = np.full(n_samples, sample_weight, dtype=float)
    column = as_column(sample_weight, "sample_weight")
    check_n_rows(sample_weight, len(column), "sample_weight", n_samples)
    weights = read_numbers(column, "`sample_weight`")
    if weights is None:
        raise ValueError(
            f"`sample_weight` must hold numbers; its type is {column.dtype}."
        )
    check_weights(weights)
    if not weights.any():
        raise ValueError("`sample_weight` must have a weight above 0; all are zero.")
    return weights


def check_weights(weights: np.ndarray) -> None:
    """Raise a ValueError if sample weights are not finite, negative or too large."""
    if not np.isfinite(weights).all():
        raise ValueError("`sample_weight` must be finite; found NaN or infinity.")
    if (weights < 0).any():
        raise ValueError(
            f"`sample_weight` must not be negative; found {weights.min():.3g}."
        )
    if (weights > LARGEST_WEIGHT).any():
        raise ValueError(
            f"`sample_weight` must hold numbers of at most {LARGEST_WEIGHT:.2g}, whose "
            f"sums are finite; found {weights.max():.3g}. Divide all weights by it."
        )


def check_can_be_squared(numbers: np.ndarray, name: str) -> None:
    """Raise a ValueError if sums of squares of these numbers may not be finite."""
    largest = np.abs(numbers).max(initial=0)
    if largest > LARGEST_SQUARED:
        raise ValueError(
            f"`{name}` must hold numbers of a size up to {LARGEST_SQUARED:.2g}, since "
            f"they are squared; found {largest:.3g}."
        )


def check_layer_sizes(sizes: Any, name: str) -> list[int]:
    """Return widths of layers, or raise a ValueError if they are none."""
    sizes = list(sizes) if getattr(sizes, "ndim", 1) else [sizes]
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


def check_bool(argument: str, value: Any) -> None:
    """Raise a ValueError unless it is True or False."""
    if not isinstance(value, bool | np.bool_):
        raise ValueError(f"`{argument}` must be True or False; got {value!r}.")


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
