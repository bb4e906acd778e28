"""Section 4 of "Learning fair latent representation with multi-task deep learning".

The docstring of `fairtask.bounds` defines the symbols.
"""

from collections.abc import Sequence
from math import isfinite, log, sqrt
from numbers import Real
from typing import Any, Literal

import numpy as np

from fairtask._validation import check_one_of, warn_user
from fairtask.exceptions import VacuousBoundWarning

__all__ = [
    "adversarial_bound",
    "check_delta",
    "discrepancy_bound",
    "excess_bound",
    "generalization_slack",
    "group_loss_bound",
    "warn_if_vacuous",
]

DIFFERENCE_PER_PENALTY = {"glf": 1.0, "adversarial": 4.0}
"""Largest difference in loss that one unit of a fairness loss allows."""


def generalization_slack(
    n_samples: Sequence[int],
    *,
    delta: float = 0.05,
    complexities: Sequence[float] = (0.0, 0.0),
) -> float:
    """Slack C between a measured and an expected difference.

    Parameters
    ----------
    n_samples : sequence of 2 int
        Number of samples of each group.
    delta : float in (0, 0.5], default=0.05
        Probability with which the bound may fail.
    complexities : sequence of 2 float, default=(0.0, 0.0)
        Expected Rademacher complexity of the hypotheses, for as many samples of each
        group; 0 for one hypothesis that was fixed before the samples were seen.

    Returns
    -------
    slack : float

    Notes
    -----
    The slack has 4 times the complexity of the hypotheses, where the proof has 2 times
    that of their losses. The losses must therefore have at most twice the complexity
    of the hypotheses. This is so for the 0-1 loss of hypotheses with values 0 and 1. A
    loss must be in [0, 1]: the cross-entropy is not.

    Examples
    --------
    >>> from fairtask.bounds import generalization_slack
    >>> round(generalization_slack([2_000, 8_000]), 4)
    0.0456
    """
    sizes = _check_pair(n_samples, "n_samples", smallest=1)
    if any(size != int(size) for size in sizes):
        raise ValueError(f"`n_samples` must be whole numbers; got {n_samples!r}.")
    check_delta(delta)
    rademacher = sum(_check_pair(complexities, "complexities", smallest=0))
    return 4 * rademacher + sum(sqrt(log(2 / delta) / (2 * n)) for n in sizes)


def discrepancy_bound(
    discrepancy: float,
    n_samples: Sequence[int],
    *,
    delta: float = 0.05,
    complexities: Sequence[float] = (0.0, 0.0),
) -> float:
    r"""Bound on the discrepancy of the distributions of two groups (Lemmas 1 and 2).

    .. math::

        \operatorname{disc}(P_0, P_1)
        \le \operatorname{disc}(\hat P_0, \hat P_1) + C

    The lemmas add the complexity of the hypotheses, which is not needed. The pair of
    hypotheses with the greatest expected discrepancy does not depend on the samples,
    and no pair has a greater measured discrepancy than the greatest.

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

    Examples
    --------
    >>> from fairtask.bounds import discrepancy_bound
    >>> round(discrepancy_bound(0.1, [2_000, 8_000]), 4)
    0.1456
    """
    _check_between("discrepancy", discrepancy, largest=1)
    slack = generalization_slack(n_samples, delta=delta, complexities=complexities)
    return warn_if_vacuous(discrepancy + slack)


def group_loss_bound(
    difference: float,
    n_samples: Sequence[int],
    *,
    delta: float = 0.05,
    complexities: Sequence[float] = (0.0, 0.0),
) -> float:
    r"""Bound on the difference in loss from the measured difference (Theorem 2).

    .. math:: \Delta L \le \widehat{\Delta L} + C

    It holds for the head whose losses are compared. In training that is a fairness
    head; it is the head that predicts only with ``fairness_head="task"``.

    Parameters
    ----------
    difference : float in [0, 1]
        Absolute difference between the groups in mean loss.
    n_samples, delta, complexities
        See `generalization_slack`.

    Returns
    -------
    bound : float

    Examples
    --------
    >>> from fairtask.bounds import group_loss_bound
    >>> round(group_loss_bound(0.03, [2_000, 8_000]), 4)
    0.0756
    """
    _check_between("difference", difference, largest=1)
    slack = generalization_slack(n_samples, delta=delta, complexities=complexities)
    return warn_if_vacuous(difference + slack)


def adversarial_bound(
    error: float,
    n_samples: Sequence[int],
    *,
    complexities: Sequence[float],
    delta: float = 0.05,
) -> float:
    r"""Bound on the difference in loss from a discriminator's error (Theorem 1).

    .. math:: \Delta L \le 2 - 4 \hat\varepsilon + C

    It holds under two conditions that the paper does not state. First, the groups must
    have the same distribution of labels given the input of the discriminator. Otherwise
    the loss may differ although the groups cannot be distinguished. Second, the error
    must be that of the best discriminator, of a class that contains the level sets of
    the expected loss. On a chessboard with a group on the squares of each colour, no
    half-plane is better than chance, and yet a predictor may be wrong on the black
    squares alone. A discriminator that was trained by gradient descent may have a
    greater error than the best, which makes the bound too small.

    The bound falls as the error grows. The paper adds the error of the discriminator to
    the objective. Training then minimises this error, which raises the bound. An
    adversary needs the opposite sign, which `~fairtask.baselines.AdversarialClassifier`
    has.

    Parameters
    ----------
    error : float in [0, 0.5]
        Smallest error :math:`\hat\varepsilon` of a discriminator that predicts the
        group, with a weight of one half for each group. The bound is vacuous for any
        error up to 0.25.
    n_samples, delta, complexities
        See `generalization_slack`.

    Returns
    -------
    bound : float

    Examples
    --------
    >>> from fairtask.bounds import adversarial_bound
    >>> bound = adversarial_bound(0.45, [2_000, 8_000], complexities=[0, 0])
    >>> round(bound, 4)
    0.2456
    """
    _check_between("error", error, largest=0.5)
    slack = generalization_slack(n_samples, delta=delta, complexities=complexities)
    return warn_if_vacuous(2 - 4 * error + slack)


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
    :math:`\theta^*` is at most that of :math:`\hat\theta`. The paper does not state
    this condition. A constant prediction shows the need for it: it has no difference,
    and a task loss that the objective would not accept.

    For an adversary this is not enough. The proof bounds the difference by
    :math:`2 - 4 \varepsilon`, and needs
    :math:`2 - 4 \varepsilon(\theta^*) \le \Delta L(\theta^*) + C`. Of two models that
    both reveal the groups (:math:`\varepsilon = 0`) and have the same task loss, one
    can have a difference of 0 and the other of .04, at the same value of the objective.
    Pass :math:`2 - 4 \varepsilon(\theta^*)` as `difference`: the bound then holds.

    Parameters
    ----------
    difference : float in [0, 1] (of an adversary, in [0, 2])
        Expected difference :math:`\Delta L(\theta^*)` of the parameters compared with;
        for an adversary :math:`2 - 4 \varepsilon(\theta^*)`.
    eta : float
        An upper limit of how far the objective of the trained parameters is above its
        minimum.
    lam : float in [0, 1)
        Weight of the task in the objective.
    fairness_loss : {"glf", "adversarial"}, default="glf"
        The loss that was penalised.
    n_samples, delta, complexities
        See `generalization_slack`.

    Returns
    -------
    bound : float

    Examples
    --------
    >>> from fairtask.bounds import excess_bound
    >>> bound = excess_bound(
    ...     0.03, [2_000, 8_000], eta=0.01, lam=0.8, complexities=[0, 0]
    ... )
    >>> round(bound, 4)
    0.1711
    """
    check_one_of("fairness_loss", fairness_loss, list(DIFFERENCE_PER_PENALTY))
    largest = 2 if fairness_loss == "adversarial" else 1
    _check_between("difference", difference, largest=largest)
    if not (_is_finite(eta) and eta >= 0):
        raise ValueError(f"`eta` must be a finite number of at least 0; got {eta!r}.")
    if not (_is_finite(lam) and 0 <= lam < 1):
        raise ValueError(
            "`lam` must be a number in [0, 1), since with 1 nothing is penalised; got "
            f"{lam!r}."
        )
    slack = generalization_slack(n_samples, delta=delta, complexities=complexities)
    excess = DIFFERENCE_PER_PENALTY[fairness_loss] * eta / (1 - lam)
    return warn_if_vacuous(difference + excess + 2 * slack)


def check_delta(delta: Any) -> None:
    """Raise a ValueError if this is not a probability of failing."""
    if not (_is_finite(delta) and 0 < delta <= 0.5):
        raise ValueError(
            "`delta` is the probability that the bound fails and must be in (0, 0.5]; "
            f"got {delta!r}. For a confidence of 95 %, pass 0.05."
        )


def warn_if_vacuous(bound: float) -> float:
    """Return a bound on a difference; warn if it is 1 or more."""
    if bound >= 1:
        warn_user(
            VacuousBoundWarning,
            f"the bound is vacuous: {bound:.3g}, where no difference can be above 1",
        )
    return bound


def _check_pair(values: Any, name: str, *, smallest: float) -> list[float]:
    found = np.asarray(values, dtype=object)  # rows may differ in length
    pair = found.tolist() if found.ndim == 1 else []
    if len(pair) != 2 or not all(_is_finite(v) and v >= smallest for v in pair):
        raise ValueError(
            f"`{name}` must be two finite numbers of at least {smallest}, one for each "
            f"group; got {values!r}."
        )
    return [float(value) for value in pair]


def _check_between(name: str, value: Any, *, largest: float) -> None:
    if not (_is_finite(value) and 0 <= value <= largest):
        raise ValueError(f"`{name}` must be a number in [0, {largest}]; got {value!r}.")


def _is_finite(value: Any) -> bool:
    return isinstance(value, Real) and isfinite(value)
