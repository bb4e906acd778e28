"""Group fairness learnt as an auxiliary task, for scikit-learn."""

from fairtask.image import AuxiliaryFairnessImageClassifier
from fairtask.tabular import AuxiliaryFairnessClassifier, AuxiliaryFairnessClassifierCV

__all__ = [
    "AuxiliaryFairnessClassifier",
    "AuxiliaryFairnessClassifierCV",
    "AuxiliaryFairnessImageClassifier",
    "__version__",
]

__version__ = "0.1.0.dev0"
