"""Group fairness learnt as an auxiliary task, for scikit-learn.

Its parts are imported when they are first used: metrics, bounds and data sets need no
torch, which takes longer to import than all of them.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fairtask import (
        baselines,
        bounds,
        datasets,
        exceptions,
        experiments,
        losses,
        metrics,
        model_selection,
        modules,
        objective,
    )
    from fairtask.image import AuxiliaryFairnessImageClassifier
    from fairtask.tabular import (
        AuxiliaryFairnessClassifier,
        AuxiliaryFairnessClassifierCV,
    )

__all__ = [
    "AuxiliaryFairnessClassifier",
    "AuxiliaryFairnessClassifierCV",
    "AuxiliaryFairnessImageClassifier",
    "__version__",
    "baselines",
    "bounds",
    "datasets",
    "exceptions",
    "experiments",
    "losses",
    "metrics",
    "model_selection",
    "modules",
    "objective",
]

__version__ = "0.1.0.dev0"

_HOMES = {
    "AuxiliaryFairnessClassifier": "tabular",
    "AuxiliaryFairnessClassifierCV": "tabular",
    "AuxiliaryFairnessImageClassifier": "image",
}


if not TYPE_CHECKING:  # which would believe that every name exists

    def __getattr__(name: str) -> Any:
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        if name not in _HOMES:
            return import_module(f"{__name__}.{name}")
        value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
        globals()[name] = value  # found without this function from now on
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
