"""What all bounds check and tell."""

from math import isfinite
from numbers import Real
from typing import Any

from fairtask._warnings import warn_user
from fairtask.exceptions import VacuousBoundWarning

__all__ = ["check_delta", "is_number", "told"]


def is_number(value: Any) -> bool:
    """Whether this is a finite number."""
    return isinstance(value, Real) and isfinite(value)


def check_delta(delta: float) -> None:
    """Raise a ValueError if this is no probability of failing."""
    if not (is_number(delta) and 0 < delta < 1):
        raise ValueError(f"`delta` must be a number in (0, 1); got {delta!r}.")


def told(bound: float) -> float:
    """Return a bound; warn if it says nothing."""
    if bound >= 1:
        warn_user(
            VacuousBoundWarning,
            f"the bound is vacuous: {bound:.3g}, where no difference can be above 1",
        )
    return bound
