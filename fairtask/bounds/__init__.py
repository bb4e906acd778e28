r"""What is known of differences between groups on data that were not seen.

The bounds of Section 4 of the paper [1]_ as functions of plain numbers, for two groups
and a loss between 0 and 1, such as the zero-one loss. With :math:`L_g` the expected
loss of group g they bound :math:`\Delta L = |L_0 - L_1|`. All share a slack

.. math::

    C = 4 \sum_{g=0}^{1} \operatorname{Rad}_g(\mathcal{H})
    + \sum_{g=0}^{1} \sqrt{\frac{\ln(2 / \delta)}{2 n_g}},

in which :math:`n_g` is the number of samples of group g, drawn independently, and
:math:`\operatorname{Rad}_g(\mathcal{H})` the Rademacher complexity of the hypotheses
among which training chose, for as many samples of the group. For a neural network no
useful value of it is known: on its training data these bounds are vacuous. On samples
that played no part in training there is one hypothesis, whose complexity is 0.
`certified_difference` is what can be said there, for any number of groups, and what one
can act on.

The formulas are as the paper states them, and so are the conditions; what a proof needs
besides stands with each function. The complexity must be the expected one, a mean over
draws of the samples. With that on the samples at hand, which the paper writes,
:math:`3 \sqrt{\ln(4 / \delta) / (2 n_g)}` takes the place of the square root.

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

__all__ = [
    "adversarial_bound",
    "certified_difference",
    "discrepancy_bound",
    "excess_bound",
    "generalization_slack",
    "group_loss_bound",
]
