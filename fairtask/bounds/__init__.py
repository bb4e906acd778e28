r"""Bounds on differences between groups on data that were not seen.

`certified_difference` is the bound for practice: it takes held-out samples and any
number of groups, and `certified_mean_difference` is the one for all linear heads on a
representation. The other functions compute the bounds of Section 4 of "Learning fair
latent representation with multi-task deep learning" [1]_ from plain numbers. They are
for two groups and a loss between 0 and 1, such as the zero-one loss. With :math:`L_g`
the expected loss of group g they bound :math:`\Delta L = |L_0 - L_1|`, each with
probability :math:`1 - \delta`. All of them add the slack

.. math::

    C = 4 \sum_{g=0}^{1} \operatorname{Rad}_g(\mathcal{H})
    + \sum_{g=0}^{1} \sqrt{\frac{\ln(2 / \delta)}{2 n_g}}.

Here :math:`n_g` is the number of samples of group g, which must be drawn independently.
:math:`\operatorname{Rad}_g(\mathcal{H})` is the Rademacher complexity of the hypotheses
among which training chose, for as many samples of the group. No useful value of it is
known for neural networks, so on training data these bounds are vacuous. On samples that
played no part in training there is one hypothesis, whose complexity is 0.

The formulas and conditions are those of the paper. Each function states the further
conditions that its proof needs. The complexity must be the expected one, a mean over
draws of the samples. With the complexity on the samples at hand, as in the paper,
:math:`3 \sqrt{\ln(4 / \delta) / (2 n_g)}` takes the place of the square root.

Every function raises a ValueError if an argument is not as described. A bound of 1 or
more says nothing, and a `~fairtask.exceptions.VacuousBoundWarning` says so.

References
----------
.. [1] "Learning fair latent representation with multi-task deep learning", Section 4.
"""

from fairtask.bounds._certificate import certified_difference
from fairtask.bounds._formulas import (
    adversarial_bound,
    discrepancy_bound,
    excess_bound,
    generalization_slack,
    group_loss_bound,
)
from fairtask.bounds._linear import LinearCertificate, certified_mean_difference

__all__ = [
    "LinearCertificate",
    "adversarial_bound",
    "certified_difference",
    "certified_mean_difference",
    "discrepancy_bound",
    "excess_bound",
    "generalization_slack",
    "group_loss_bound",
]
