"""Checks of the settings and batches of fairness losses."""

from math import inf, isfinite
from numbers import Integral, Real
from typing import Any

import torch
from torch import Tensor

__all__ = [
    "are_codes",
    "check_columns",
    "check_number",
    "check_samples",
    "check_size",
    "check_values",
]


def are_codes(codes: Any, n_classes: int) -> bool:
    """Whether these are some of the class codes, each once."""
    try:
        return len(codes) == len(set(codes) & set(range(n_classes))) > 0
    except TypeError:  # such as a number
        return False


def check_size(argument: str, value: Any, smallest: int) -> None:
    """Raise a ValueError unless it is an integer of at least `smallest`."""
    if not isinstance(value, Integral) or value is True or value < smallest:
        raise ValueError(
            f"`{argument}` must be an integer of at least {smallest}; got {value!r}."
        )


def check_number(
    argument: str, value: Any, *, below: float = inf, other: str = ""
) -> None:
    """Raise a ValueError unless it is a number of at least 0 and below a limit."""
    is_number = isinstance(value, Real)
    if not is_number or not 0 <= value < below:
        raise ValueError(
            f"`{argument}` must be a number in [0, {below:g}){other}; got {value!r}."
        )


def check_columns(argument: str, values: Tensor, setting: str, expected: int) -> None:
    """Raise a ValueError unless `values` have as many columns as a setting says."""
    _check_tensor(argument, values)
    if values.ndim == 2 and values.shape[1] == expected:
        return
    hint = ""
    if setting == "n_classes" and values.ndim == 1:
        hint = " Of one logit t per sample make two: stack([zeros_like(t), t], dim=1)."
    raise ValueError(
        f"`{argument}` must have the shape (n_samples, {expected}), since the loss has "
        f"`{setting}={expected}`; got the shape {tuple(values.shape)}.{hint}"
    )


def check_samples(
    n_samples: int, y: Tensor, groups: Tensor, weight: Tensor | None
) -> None:
    """Raise a ValueError unless there is an entry of the right type per sample."""
    columns = {"y": y, "groups": groups}
    if weight is not None:
        columns["weight"] = weight
    for name, column in columns.items():
        _check_tensor(name, column)
        if column.shape != (n_samples,):
            raise ValueError(
                f"`{name}` must have the shape ({n_samples},), an entry per sample; "
                f"got the shape {tuple(column.shape)}."
            )
    for name, codes in (("y", y), ("groups", groups)):
        if codes.dtype != torch.int64:
            raise ValueError(
                f"`{name}` must hold codes of type torch.int64; got {codes.dtype}. If "
                f"these are codes, pass `{name}.long()`."
            )


def check_values(
    y: Tensor, groups: Tensor, weight: Tensor | None, *, n_classes: int, n_groups: int
) -> None:
    """Raise a ValueError if a code or a weight is out of range."""
    if not len(y):
        return
    low, high = _range_of(y)
    if low < 0 or high >= n_classes:
        raise ValueError(
            f"`y` must hold class codes from 0 to {n_classes - 1}, since the loss has "
            f"`n_classes={n_classes}`; found {low if low < 0 else high}."
        )
    low, high = _range_of(groups)
    if low < -1 or high >= n_groups:
        raise ValueError(
            f"`groups` must hold group codes from 0 to {n_groups - 1}, since the loss "
            f"has `n_groups={n_groups}`, or -1 where the group is unknown; found "
            f"{low if low < -1 else high}."
        )
    if weight is not None:
        low, high = _range_of(weight)
        if not (low >= 0 and isfinite(high)):
            raise ValueError(
                "`weight` must hold finite numbers of at least 0; found "
                f"{high if low >= 0 else low}."
            )


def _check_tensor(argument: str, value: Any) -> None:
    """Raise a ValueError unless it is a tensor."""
    if not isinstance(value, Tensor):
        raise ValueError(
            f"`{argument}` must be a tensor of torch; got {type(value).__name__}. Make "
            "one of an array with `torch.as_tensor`."
        )


def _range_of(values: Tensor) -> tuple[float, float]:
    """Return the smallest and the largest value; NaN if one is."""
    low, high = values.detach().aminmax()
    return low.item(), high.item()
