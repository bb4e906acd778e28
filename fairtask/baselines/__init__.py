"""Other methods of group fairness, with the trunk and the training of our own.

Each method is a few hooks over the template, in a mixin that knows nothing of tables or
images, and has an estimator for each.
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
    RegularizedImageClassifier,
)

__all__ = [
    "AdversarialClassifier",
    "AdversarialImageClassifier",
    "GroupSpecificClassifier",
    "GroupSpecificImageClassifier",
    "RegularizedClassifier",
    "RegularizedImageClassifier",
]
