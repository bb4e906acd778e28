"""Constructors of estimators that share most of their parameters."""

import inspect
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from sklearn.base import BaseEstimator

__all__ = ["constructor_like"]

Estimator = TypeVar("Estimator", bound=BaseEstimator)


def constructor_like(
    parent: type[BaseEstimator], *, without: Sequence[str] = (), **own: Any
) -> Callable[[type[Estimator]], type[Estimator]]:
    """Class decorator: a constructor with the parameters of another estimator.

    scikit-learn reads the parameters of an estimator from the signature of its
    constructor, so that a class whose parameters differ in two from those of its parent
    has to repeat the other thirty. This writes that constructor.

    Parameters
    ----------
    parent : class
        Estimator whose parameters are taken.
    without : sequence of str
        Parameters of `parent` that do not apply.
    **own
        Parameters with their defaults, new ones or in place of those of `parent`.
    """
    inherited = [
        parameter
        for parameter in inspect.signature(parent.__init__).parameters.values()
        if parameter.name not in {*without, *own}
    ]
    added = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default)
        for name, default in own.items()
    ]
    signature = inspect.Signature([*inherited, *added])

    def decorate(cls: type[Estimator]) -> type[Estimator]:
        def __init__(self: Estimator, *args: Any, **kwargs: Any) -> None:  # noqa: N807
            try:
                bound = signature.bind(self, *args, **kwargs)
            except TypeError as error:
                raise TypeError(f"{cls.__name__}(): {error}") from None
            bound.apply_defaults()
            for name, value in list(bound.arguments.items())[1:]:
                setattr(self, name, value)

        __init__.__signature__ = signature  # type: ignore[attr-defined]
        __init__.__qualname__ = f"{cls.__qualname__}.__init__"
        cls.__init__ = __init__
        cls._parameter_constraints = {
            name: constraint
            for name, constraint in cls._parameter_constraints.items()
            if name in signature.parameters
        }
        return cls

    return decorate
