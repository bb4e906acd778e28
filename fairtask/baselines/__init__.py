"""Other methods of group fairness, with the same trunk and training.

Each method has an estimator for tables and one for images.
"""

from fairtask.baselines._adversarial import (
    AdversarialClassifier,
    AdversarialImageClassifier,
)
from fairtask.baselines._group_specific import (
    GroupSpecificClassifier,
    GroupSpecificImageClassifier,
)
from fairtask.baselines._regularized import (
    RegularizedClassifier,
    RegularizedClassifierCV,
    RegularizedImageClassifier,
)

__all__ = [
    "AdversarialClassifier",
    "AdversarialImageClassifier",
    "GroupSpecificClassifier",
    "GroupSpecificImageClassifier",
    "RegularizedClassifier",
    "RegularizedClassifierCV",
    "RegularizedImageClassifier",
]
