"""The parameters of estimators: how they are declared, and compared."""

import inspect
from dataclasses import dataclass
from typing import Any, TypeVar, dataclass_transform

import numpy as np
from sklearn.base import BaseEstimator
from torch import nn

__all__ = ["estimator", "is_same_setting"]

Estimator = TypeVar("Estimator", bound=BaseEstimator)


@dataclass_transform(eq_default=False)
def estimator(cls: type[Estimator]) -> type[Estimator]:
    """Write the constructor of an estimator, from the parameters that it declares.

    The constructor of a dataclass is the one that scikit-learn wants: it only assigns.
    Subclasses inherit parameters, and editors and type checkers see the signature. It
    lists the parameters of the modality first, then those of the method and those of
    the training: those of each class before those of the classes that it derives from.
    """
    cls = dataclass(eq=False, repr=False)(cls)
    declared = {
        name: depth
        for depth, base in enumerate(cls.__mro__)
        for name in vars(base).get("__annotations__", {})
    }
    signature = inspect.signature(cls.__init__)
    parameters = sorted(
        signature.parameters.values(),
        key=lambda p: (p.kind, declared.get(p.name, -1)),
    )
    ordered = signature.replace(parameters=parameters)
    cls.__init__.__signature__ = ordered
    return cls


def is_same_setting(before: Any, now: Any) -> bool:
    """Whether two values of a parameter mean the same, such as [8] and (8,)."""
    if isinstance(before, nn.Module) or isinstance(now, nn.Module):
        return before is now  # another of the same form has other weights
    before, now = (
        np.array(value).tolist() if isinstance(value, tuple | np.ndarray) else value
        for value in (before, now)
    )
    return repr(before) == repr(now)
