"""The bounds of the paper, of plain numbers."""

from collections.abc import Sequence
from math import log, sqrt
from typing import Literal

import numpy as np

from fairtask._validation import check_one_of
from fairtask.bounds._checks import check_delta, is_number, told

__all__ = [
    "adversarial_bound",
    "discrepancy_bound",
    "excess_bound",
    "generalization_slack",
    "group_loss_bound",
]

PENALTY_SCALES = {"glf": 1.0, "adversarial": 4.0}
"""What a unit of a fairness loss bounds of the difference."""


def generalization_slack(
    n_samples: Sequence[int],
    *,
    delta: float = 0.05,
    complexities: Sequence[float] = (0.0, 0.0),
) -> float:
    """Slack C between what was measured and what is expected.

    Parameters
    ----------
    n_samples : sequence of 2 int
        Number of samples of each group.
    delta : float in (0, 1), default=0.05
        Probability with which the bound may fail.
    complexities : sequence of 2 float, default=(0.0, 0.0)
        Expected Rademacher complexity of the hypotheses, for as many samples of each
        group; 0 for one hypothesis that was fixed before the samples were seen.

    Returns
    -------
    slack : float

    Raises
    ------
    ValueError
        If an argument is not of this form.

    Examples
    --------
    >>> from fairtask.bounds import generalization_slack
    >>> round(generalization_slack([2_000, 8_000]), 4)
    0.0456
    """
    sizes = _pair(n_samples, "n_samples", smallest=1)
    if any(size != int(size) for size in sizes):
        raise ValueError(f"`n_samples` must be whole numbers; got {n_samples!r}.")
    check_delta(delta)
    rademacher = sum(_pair(complexities, "complexities", smallest=0))
    return 4 * rademacher + sum(sqrt(log(2 / delta) / (2 * n)) for n in sizes)


def discrepancy_bound(
    discrepancy: float,
    n_samples: Sequence[int],
    *,
    complexities: Sequence[float],
    delta: float = 0.05,
) -> float:
    r"""Bound on the discrepancy of the distributions of two groups (Lemmas 1 and 2).

    .. math::

        \operatorname{disc}(P_0, P_1)
        \le \operatorname{disc}(\hat P_0, \hat P_1) + C

    Lemma 1 has the complexity of disagreements between hypotheses, of which Lemma 2
    says that it is at most twice that of the hypotheses. It is a statement on all pairs
    of hypotheses, whose complexity is not 0.

    Parameters
    ----------
    discrepancy : float in [0, 1]
        Largest difference between the groups, over pairs of hypotheses, in the share of
        samples on which the two disagree.
    n_samples, delta, complexities
        See `generalization_slack`.

    Returns
    -------
    bound : float
        It holds with probability 1 - delta.

    Raises
    ------
    ValueError
        If an argument is not of this form.

    Warns
    -----
    VacuousBoundWarning
        If the bound is 1 or more.
    """
    _check_share(discrepancy, "discrepancy")
    return told(
        discrepancy
        + generalization_slack(n_samples, delta=delta, complexities=complexities)
    )


def group_loss_bound(
    difference: float,
    n_samples: Sequence[int],
    *,
    delta: float = 0.05,
    complexities: Sequence[float] = (0.0, 0.0),
) -> float:
    r"""Bound on the difference in loss from the one that was measured (Theorem 2).

    .. math:: \Delta L \le \widehat{\Delta L} + C

    It is about the head whose losses are compared. In training that is a fairness head:
    of the head that predicts it speaks only with ``fairness_head="task"``.

    Parameters
    ----------
    difference : float in [0, 1]
        Absolute difference between the groups in mean loss.
    n_samples, delta, complexities
        See `generalization_slack`.

    Returns
    -------
    bound : float
        It holds with probability 1 - delta.

    Raises
    ------
    ValueError
        If an argument is not of this form.

    Warns
    -----
    VacuousBoundWarning
        If the bound is 1 or more.

    Examples
    --------
    >>> from fairtask.bounds import group_loss_bound
    >>> round(group_loss_bound(0.03, [2_000, 8_000]), 4)
    0.0756
    """
    _check_share(difference, "difference")
    return told(
        difference
        + generalization_slack(n_samples, delta=delta, complexities=complexities)
    )


def adversarial_bound(
    error: float,
    n_samples: Sequence[int],
    *,
    complexities: Sequence[float],
    delta: float = 0.05,
) -> float:
    r"""Bound on the difference in loss from a discriminator's error (Theorem 1).

    .. math:: \Delta L \le 2 - 4 \hat\varepsilon + C

    It holds under two conditions that the paper does not state. The groups must have
    the same distribution of labels given what the discriminator sees: else the loss may
    differ although the groups cannot be told apart. And the error must be that of the
    best discriminator of the class; one that was trained by gradient descent may have a
    greater error, and the bound too small a value.

    Parameters
    ----------
    error : float in [0, 0.5]
        Smallest error :math:`\hat\varepsilon` of a discriminator that tells the groups
        apart, each group counting half.
    n_samples, delta, complexities
        See `generalization_slack`.

    Returns
    -------
    bound : float
        It holds with probability 1 - delta.

    Raises
    ------
    ValueError
        If an argument is not of this form.

    Warns
    -----
    VacuousBoundWarning
        If the bound is 1 or more, as for any error up to 0.25.
    """
    _check_share(error, "error", largest=0.5)
    return told(
        2
        - 4 * error
        + generalization_slack(n_samples, delta=delta, complexities=complexities)
    )


def excess_bound(
    difference: float,
    n_samples: Sequence[int],
    *,
    eta: float,
    lam: float,
    complexities: Sequence[float],
    fairness_loss: Literal["glf", "adversarial"] = "glf",
    delta: float = 0.05,
) -> float:
    r"""Bound on the difference in loss after training (Corollaries 1 and 2).

    .. math::

        \Delta L(\hat\theta) \le \Delta L(\theta^*) + \frac{a \eta}{1 - \lambda} + 2 C

    with a = 1 for GLF and a = 4 for an adversary. It holds where the task loss of
    :math:`\theta^*` is at most that of :math:`\hat\theta`, which the paper does not
    state: a constant prediction has no difference, and a task loss that the objective
    would not accept.

    Parameters
    ----------
    difference : float in [0, 1]
        Expected difference :math:`\Delta L(\theta^*)` of the parameters compared with.
    n_samples : sequence of 2 int
        See `generalization_slack`.
    eta : float
        By how much, at most, the objective of the trained parameters exceeds its
        minimum.
    lam : float in [0, 1)
        Weight of the task in the objective.
    fairness_loss : {"glf", "adversarial"}, default="glf"
    delta, complexities
        See `generalization_slack`.

    Returns
    -------
    bound : float
        It holds with probability 1 - delta.

    Raises
    ------
    ValueError
        If an argument is not of this form.

    Warns
    -----
    VacuousBoundWarning
        If the bound is 1 or more.
    """
    _check_share(difference, "difference")
    if not (is_number(eta) and eta >= 0):
        raise ValueError(f"`eta` must be a finite number of at least 0; got {eta!r}.")
    if not (is_number(lam) and 0 <= lam < 1):
        raise ValueError(
            "`lam` must be a number in [0, 1), since with 1 nothing is penalised; got "
            f"{lam!r}."
        )
    check_one_of("fairness_loss", fairness_loss, list(PENALTY_SCALES))
    slack = generalization_slack(n_samples, delta=delta, complexities=complexities)
    excess = PENALTY_SCALES[fairness_loss] * eta / (1 - lam)
    return told(difference + excess + 2 * slack)


def _pair(values: Sequence[float], name: str, *, smallest: float) -> list[float]:
    pair = list(values) if np.ndim(values) == 1 else []
    if len(pair) != 2 or not all(is_number(v) and v >= smallest for v in pair):
        raise ValueError(
            f"`{name}` must be two finite numbers of at least {smallest}, one for each "
            f"group; got {values!r}."
        )
    return [float(value) for value in pair]


def _check_share(value: float, name: str, largest: float = 1) -> None:
    if not (is_number(value) and 0 <= value <= largest):
        raise ValueError(f"`{name}` must be a number in [0, {largest}]; got {value!r}.")
