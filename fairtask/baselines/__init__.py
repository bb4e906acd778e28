"""Other methods of group fairness, with the trunk and the training of our own.

Each method is a few hooks over the template, in a mixin that knows nothing of tables or
images.
"""

from fairtask.baselines._adversarial import AdversarialClassifier
from fairtask.baselines._group_specific import GroupSpecificClassifier
from fairtask.baselines._regularized import RegularizedClassifier

__all__ = [
    "AdversarialClassifier",
    "GroupSpecificClassifier",
    "RegularizedClassifier",
]
